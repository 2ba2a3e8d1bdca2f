//! Who may charge what, and what was used.

use crate::state::State;
use crate::usage::UsageBook;
use std::collections::BTreeSet;
use taskyard_model::AccountId;

impl State {
    /// Whether a user may charge an account. Work that names none is everybody's.
    pub fn may_charge(&self, account: &str, user: &str) -> bool {
        account.is_empty()
            || self.lookup.accounts.account(account).is_some_and(|id| self.core.accounts.rows[id].lets(user))
    }

    /// The accounts that a user may charge.
    pub fn accounts_of(&self, user: &str) -> Vec<&str> {
        let named = self.core.accounts.rows.iter().filter(|account| !account.name.is_empty());
        named.filter(|account| account.lets(user)).map(|account| account.name.as_str()).collect()
    }

    /// Who may charge an account; `None`: everybody who may submit.
    pub fn users_of(&self, account: AccountId) -> Option<&BTreeSet<String>> {
        self.core.accounts.rows.get(account)?.users.as_ref()
    }

    /// What was counted so far, with what runs counted up to now.
    pub fn usage(&self) -> UsageBook {
        let charged_ms = |party| self.view.party(party).map_or(u64::MAX, |party| party.usage.at_ms);
        self.lookup.meter.book(&self.core.ledger, (self.now_ms(), self.wall_ms()), charged_ms)
    }
}
