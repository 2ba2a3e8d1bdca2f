//! Accounts and users on them: their weights, who may charge them, and what they have used lately.

use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::party::{HALF_LIFE_MS_DEFAULT, WEIGHT_DEFAULT};
use taskyard_model::{AccountId, PartyId};

use crate::table::SharedTable;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Account {
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) weight: u32,
    /// See [`Usage::level`].
    #[n(2)]
    pub(crate) level: u64,
    /// State time of both levels.
    #[n(3)]
    pub(crate) at_ms: u64,
    /// See [`Usage::recent`].
    #[n(4)]
    pub(crate) recent: u64,
    /// Who may charge it; everybody who may submit when missing.
    #[n(5)]
    pub(crate) users: Option<BTreeSet<String>>,
}

/// A user on an account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Party {
    #[n(0)]
    pub(crate) account: AccountId,
    #[n(1)]
    pub(crate) owner: String,
    #[n(2)]
    pub(crate) weight: u32,
    /// See [`Usage::level`].
    #[n(3)]
    pub(crate) level: u64,
    /// State time of both levels.
    #[n(4)]
    pub(crate) at_ms: u64,
    /// See [`Usage::recent`].
    #[n(5)]
    pub(crate) recent: u64,
}

/// All of them. Nobody is ever taken out: their ids are in classes.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    pub(crate) rows: SharedTable<AccountId, Account>,
    pub(crate) parties: SharedTable<PartyId, Party>,
    pub(crate) half_life_ms: u64,
}

impl Default for Accounts {
    fn default() -> Self {
        let (rows, parties) = (SharedTable::default(), SharedTable::default());
        Accounts { rows, parties, half_life_ms: HALF_LIFE_MS_DEFAULT }
    }
}

impl Account {
    pub(crate) fn new(name: &str) -> Account {
        Account { name: name.to_owned(), weight: WEIGHT_DEFAULT, level: 0, at_ms: 0, recent: 0, users: None }
    }

    pub(crate) fn lets(&self, user: &str) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(user))
    }
}

impl Party {
    /// A user who has used nothing yet: the time of a level of 0 does not matter.
    pub(crate) fn new(account: AccountId, owner: &str) -> Party {
        Party { account, owner: owner.to_owned(), weight: WEIGHT_DEFAULT, level: 0, at_ms: 0, recent: 0 }
    }
}

/// Ids by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccountIndex {
    accounts: BTreeMap<String, AccountId>,
    parties: BTreeMap<(AccountId, String), PartyId>,
}

impl AccountIndex {
    pub(crate) fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(crate) fn account(&self, name: &str) -> Option<AccountId> {
        self.accounts.get(name).copied()
    }

    pub(crate) fn party(&self, account: AccountId, owner: &str) -> Option<PartyId> {
        self.parties.get(&(account, owner.to_owned())).copied()
    }

    pub(crate) fn know_account(&mut self, id: AccountId, account: &Account) {
        self.accounts.insert(account.name.clone(), id);
    }

    pub(crate) fn know_party(&mut self, id: PartyId, party: &Party) {
        self.parties.insert((party.account, party.owner.clone()), id);
    }
}
