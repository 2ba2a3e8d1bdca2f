//! Accounts: weights, who may charge them, and how fast past use is forgotten.

use crate::command::AccountChange;
use crate::outcome::{Event, Rejection, Reply};
use crate::state::State;
use taskyard_model::{Invalid, limits};

impl State {
    /// Sets the weight of an account, or of a user on it.
    pub(crate) fn set_share(
        &mut self,
        account: &str,
        user: Option<&str>,
        weight: u32,
        events: &mut Vec<Event>,
    ) -> Reply {
        if let Some(user) = user {
            let party = match self.party_for(account, user) {
                Ok(party) => party,
                Err(rejection) => return Reply::Rejected(rejection),
            };
            self.core.accounts.parties[party].weight = weight;
            self.view.set_party_weight(party, weight);
        } else {
            if self.lookup.accounts.len() >= limits::PARTIES_MAX {
                return Reply::Rejected(Rejection::Limit("accounts", limits::PARTIES_MAX as u64));
            }
            let known = self.lookup.accounts.account(account);
            let id = known.unwrap_or_else(|| self.new_account(account));
            self.core.accounts.rows[id].weight = weight;
            self.view.set_account_weight(id, weight);
        }
        events.push(Event::SharesChanged);
        Reply::Done
    }

    /// Says who may charge an account, which becomes known by it.
    pub(crate) fn set_account(
        &mut self,
        name: &str,
        change: &AccountChange,
        events: &mut Vec<Event>,
    ) -> Reply {
        let known = self.lookup.accounts.account(name);
        let mut users = known.and_then(|id| self.core.accounts.rows[id].users.clone());
        match change.everyone {
            Some(true) => users = None,
            Some(false) => drop(users.get_or_insert_default()),
            None => {}
        }
        if !change.grant.is_empty() {
            users.get_or_insert_default().extend(change.grant.iter().cloned());
        }
        for user in &change.revoke {
            let Some(users) = &mut users else {
                let remedy = "every submitter may charge this account: grant it to users instead";
                return Reply::Rejected(Rejection::Unfit(Invalid::new("revoke", user, remedy)));
            };
            users.remove(user);
        }
        if users.as_ref().is_some_and(|users| users.len() > limits::ACCOUNT_USERS_MAX) {
            return Reply::Rejected(Rejection::Limit(
                "users of an account",
                limits::ACCOUNT_USERS_MAX as u64,
            ));
        }
        if known.is_none() && self.lookup.accounts.len() >= limits::PARTIES_MAX {
            return Reply::Rejected(Rejection::Limit("accounts", limits::PARTIES_MAX as u64));
        }
        let id = known.unwrap_or_else(|| self.new_account(name));
        self.core.accounts.rows[id].users = users;
        events.push(Event::SharesChanged);
        Reply::Done
    }

    /// Sets the time in which past use counts half. What was used until now is weighed by the old one.
    pub(crate) fn set_half_life(&mut self, half_life_ms: u64, events: &mut Vec<Event>) -> Reply {
        for id in self.core.accounts.parties.ids() {
            self.settle_party(id);
        }
        self.core.accounts.half_life_ms = half_life_ms;
        self.view.set_half_life(half_life_ms);
        events.push(Event::SharesChanged);
        Reply::Done
    }
}
