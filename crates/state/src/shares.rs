//! Accounts and users: their weights, and what they have used lately.

use crate::command::AccountChange;
use crate::outcome::{Event, Rejection, Reply};
use crate::usage::{self, Taken, Whose};
use crate::{Class, Core, Lookup, State};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use taskyard_model::party::{HALF_LIFE_MS_DEFAULT, WEIGHT_DEFAULT};
use taskyard_model::{
    AccountId, AccountView, Amounts, ClassId, Constraint, Invalid, JobId, JobSpec, PartyId, PartyView,
    QueueId, Request, Span, Usage, limits, policy,
};

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
pub(crate) struct Shares {
    pub(crate) accounts: imbl::Vector<Account>,
    pub(crate) parties: imbl::Vector<Party>,
    pub(crate) half_life_ms: u64,
}

impl Default for Shares {
    fn default() -> Self {
        let (accounts, parties) = (imbl::Vector::new(), imbl::Vector::new());
        Shares { accounts, parties, half_life_ms: HALF_LIFE_MS_DEFAULT }
    }
}

impl Account {
    fn new(name: &str) -> Account {
        Account { name: name.to_owned(), weight: WEIGHT_DEFAULT, level: 0, at_ms: 0, recent: 0, users: None }
    }
}

impl Account {
    fn lets(&self, user: &str) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(user))
    }
}

impl Core {
    /// Classes of snapshots from before there were parties get theirs.
    pub(crate) fn adopt_parties(&mut self) {
        // What they run already is counted from here on.
        let runs = self.nodes.iter().any(|node| !node.runs.is_empty());
        let at_ms = if runs { self.clock.now_ms } else { 0 };
        for class in self.classes.iter_mut().flatten().filter(|class| class.party == PartyId::default()) {
            if self.shares.accounts.is_empty() {
                self.shares.accounts.push_back(Account::new(""));
            }
            let known = self.shares.parties.iter().position(|party| party.owner == class.owner);
            let at = known.unwrap_or_else(|| {
                let (account, owner) = (AccountId(1), class.owner.clone());
                let party = Party { account, owner, weight: WEIGHT_DEFAULT, level: 0, at_ms, recent: 0 };
                self.shares.parties.push_back(party);
                self.shares.parties.len() - 1
            });
            Arc::make_mut(class).party = PartyId(at as u32 + 1);
        }
    }
}

impl Lookup {
    fn know_party(&mut self, id: PartyId, party: &Party) {
        self.parties.insert((party.account, party.owner.clone()), id);
    }
}

impl State {
    /// The class of a job with this specification.
    pub(crate) fn class_of(
        &mut self,
        queue: QueueId,
        owner: &str,
        spec: &JobSpec,
        job: JobId,
    ) -> Result<ClassId, Rejection> {
        let party = self.party_for(spec.account.as_deref().unwrap_or_default(), owner)?;
        let (request, constraint) = (spec.request.clone(), self.constraint(queue, spec));
        let class = Class {
            queue,
            owner: owner.to_owned(),
            request,
            constraint,
            span: Span::of(spec),
            party,
            siting: spec.siting.clone(),
            only: spec.siting.is_apart().then_some(job),
        };
        Ok(self.class_for(class))
    }

    /// Where a job of a queue may run: its own constraint and the queue's nodes.
    pub(crate) fn constraint(&self, queue: QueueId, spec: &JobSpec) -> Constraint {
        let mut constraint = spec.constraint.clone();
        let nodes = self.core.queues[queue.0 as usize - 1].config.nodes.as_ref();
        constraint.0.extend(nodes.into_iter().flat_map(|nodes| nodes.0.iter().cloned()));
        constraint
    }

    fn party_for(&mut self, account: &str, owner: &str) -> Result<PartyId, Rejection> {
        let known = self.lookup.accounts.get(account).copied();
        if let Some(account) = known
            && let Some(party) = self.lookup.parties.get(&(account, owner.to_owned()))
        {
            return Ok(*party);
        }
        if self.core.shares.parties.len() >= limits::PARTIES_MAX {
            return Err(Rejection::Limit("users on accounts", limits::PARTIES_MAX as u64));
        }
        let account = known.unwrap_or_else(|| self.new_account(account));
        // The time of a level of 0 does not matter.
        let party =
            Party { account, owner: owner.to_owned(), weight: WEIGHT_DEFAULT, level: 0, at_ms: 0, recent: 0 };
        self.core.shares.parties.push_back(party.clone());
        Ok(self.view_new_party(&party))
    }

    fn new_account(&mut self, name: &str) -> AccountId {
        let account = Account::new(name);
        self.core.shares.accounts.push_back(account.clone());
        self.view_new_account(&account)
    }

    fn view_new_account(&mut self, account: &Account) -> AccountId {
        let id = AccountId(self.view.accounts.len() as u32 + 1);
        let Account { name, weight, level, at_ms, recent, .. } = account.clone();
        self.lookup.accounts.insert(name.clone(), id);
        let usage = Usage { level, recent, at_ms, size: 0 };
        self.view.accounts.push(AccountView { id, name, weight, weights: 0, usage });
        id
    }

    fn view_new_party(&mut self, party: &Party) -> PartyId {
        let id = PartyId(self.view.parties.len() as u32 + 1);
        self.lookup.know_party(id, party);
        let Party { account, owner, weight, level, at_ms, recent } = party.clone();
        let usage = Usage { level, recent, at_ms, size: 0 };
        let (running, running_gpu_milli) = (Amounts::default(), 0);
        self.view.parties.push(PartyView { id, account, owner, weight, usage, running, running_gpu_milli });
        self.view.accounts[account.0 as usize - 1].weights += u64::from(weight);
        id
    }

    /// Shows all of them, with nothing running.
    pub(crate) fn view_shares(&mut self) {
        self.view.half_life_ms = self.core.shares.half_life_ms;
        for account in self.core.shares.accounts.clone() {
            self.view_new_account(&account);
        }
        for party in self.core.shares.parties.clone() {
            self.view_new_party(&party);
        }
    }

    /// Brings what a party has used up to now, before what it runs changes.
    pub(crate) fn settle_party(&mut self, id: PartyId) {
        let Some(party) = party(&mut self.view.parties, id) else { return };
        if party.usage.at_ms == self.core.clock.now_ms {
            return;
        }
        let account = party.account.0 as usize - 1;
        self.settle(account, id.0 as usize - 1);
    }

    fn settle(&mut self, account: usize, party: usize) {
        self.charge(PartyId(party as u32 + 1));
        let (now_ms, half_life_ms) = (self.core.clock.now_ms, self.core.shares.half_life_ms);
        let usage = &mut self.view.accounts[account].usage;
        usage.settle(now_ms, half_life_ms);
        let kept = &mut self.core.shares.accounts[account];
        (kept.level, kept.recent, kept.at_ms) = (usage.level, usage.recent, usage.at_ms);
        let usage = &mut self.view.parties[party].usage;
        usage.settle(now_ms, half_life_ms);
        let kept = &mut self.core.shares.parties[party];
        (kept.level, kept.recent, kept.at_ms) = (usage.level, usage.recent, usage.at_ms);
    }

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
            let at = party.0 as usize - 1;
            self.core.shares.parties[at].weight = weight;
            let view = &mut self.view.parties[at];
            let weights = &mut self.view.accounts[view.account.0 as usize - 1].weights;
            *weights = *weights - u64::from(view.weight) + u64::from(weight);
            view.weight = weight;
        } else {
            if self.lookup.accounts.len() >= limits::PARTIES_MAX {
                return Reply::Rejected(Rejection::Limit("accounts", limits::PARTIES_MAX as u64));
            }
            let known = self.lookup.accounts.get(account).copied();
            let at = known.unwrap_or_else(|| self.new_account(account)).0 as usize - 1;
            self.core.shares.accounts[at].weight = weight;
            self.view.accounts[at].weight = weight;
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
        let known = self.lookup.accounts.get(name).copied();
        let mut users = known.and_then(|id| self.core.shares.accounts[id.0 as usize - 1].users.clone());
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
        let at = known.unwrap_or_else(|| self.new_account(name)).0 as usize - 1;
        self.core.shares.accounts[at].users = users;
        events.push(Event::SharesChanged);
        Reply::Done
    }

    /// Whether a user may charge an account. Work that names none is everybody's.
    pub fn may_charge(&self, account: &str, user: &str) -> bool {
        account.is_empty()
            || self
                .lookup
                .accounts
                .get(account)
                .is_some_and(|id| self.core.shares.accounts[id.0 as usize - 1].lets(user))
    }

    /// The accounts that a user may charge.
    pub fn accounts_of(&self, user: &str) -> Vec<&str> {
        let named = self.core.shares.accounts.iter().filter(|account| !account.name.is_empty());
        named.filter(|account| account.lets(user)).map(|account| account.name.as_str()).collect()
    }

    /// Who may charge an account; `None`: everybody who may submit.
    pub fn users_of(&self, account: AccountId) -> Option<&BTreeSet<String>> {
        self.core.shares.accounts.get((account.0 as usize).checked_sub(1)?)?.users.as_ref()
    }

    /// Sets the time in which past use counts half. What was used until now is weighed by the old one.
    pub(crate) fn set_half_life(&mut self, half_life_ms: u64, events: &mut Vec<Event>) -> Reply {
        for at in 0..self.view.parties.len() {
            let account = self.view.parties[at].account.0 as usize - 1;
            self.settle(account, at);
        }
        self.core.shares.half_life_ms = half_life_ms;
        self.view.half_life_ms = half_life_ms;
        events.push(Event::SharesChanged);
        Reply::Done
    }
}

/// The view of a party, if it is one.
fn party(parties: &mut [PartyView], id: PartyId) -> Option<&mut PartyView> {
    parties.get_mut((id.0 as usize).wrapping_sub(1))
}

/// An attempt of a party begins to run, or no longer does. What it has used until now is settled (see [`State::settle_party`]), except when the
/// view is made anew.
pub(crate) fn runs(
    (parties, accounts): (&mut [PartyView], &mut [AccountView]),
    taken: &mut BTreeMap<Whose, Taken>,
    (id, queue): Whose,
    request: &Request,
    begins: bool,
) {
    let Some(party) = party(parties, id) else { return };
    usage::takes(taken, (id, queue), request, begins);
    let account = &mut accounts[party.account.0 as usize - 1].usage;
    let size = policy::size(request);
    if begins {
        party.takes(request);
        account.size = account.size.saturating_add(size);
    } else {
        party.gives(request);
        account.size = account.size.saturating_sub(size);
    }
}
