//! Accounts and users on them: weights, and what they have used.

use super::PlannerView;
use crate::accounts::{Account, Party};
use taskyard_model::{AccountId, AccountView, Amounts, PartyId, PartyView, Usage};

impl PlannerView {
    /// Shows an account that has no users yet.
    pub(crate) fn add_account(&mut self, account: &Account) {
        let id = self.0.accounts.next_id();
        let Account { name, weight, level, at_ms, recent, .. } = account.clone();
        let usage = Usage { level, recent, at_ms, size: 0 };
        self.0.accounts.push(AccountView { id, name, weight, weights: 0, usage });
    }

    /// Shows a user on an account, with nothing running.
    pub(crate) fn add_party(&mut self, party: &Party) {
        let id = self.0.parties.next_id();
        let Party { account, owner, weight, level, at_ms, recent } = party.clone();
        let usage = Usage { level, recent, at_ms, size: 0 };
        let (running, running_gpu_milli) = (Amounts::default(), 0);
        self.0.parties.push(PartyView { id, account, owner, weight, usage, running, running_gpu_milli });
        self.0.accounts[account].weights += u64::from(weight);
    }

    pub(crate) fn set_account_weight(&mut self, id: AccountId, weight: u32) {
        self.0.accounts[id].weight = weight;
    }

    pub(crate) fn set_party_weight(&mut self, id: PartyId, weight: u32) {
        let party = &mut self.0.parties[id];
        let weights = &mut self.0.accounts[party.account].weights;
        *weights = *weights - u64::from(party.weight) + u64::from(weight);
        party.weight = weight;
    }

    pub(crate) fn set_half_life(&mut self, half_life_ms: u64) {
        self.0.half_life_ms = half_life_ms;
    }

    /// Brings what a user and the account have used up to now. Answers with both.
    pub(crate) fn settle_party(&mut self, id: PartyId) -> (Usage, Usage) {
        let (now_ms, half_life_ms) = (self.0.now_ms, self.0.half_life_ms);
        let party = &mut self.0.parties[id];
        party.usage.settle(now_ms, half_life_ms);
        let account = &mut self.0.accounts[party.account];
        account.usage.settle(now_ms, half_life_ms);
        (party.usage, account.usage)
    }
}
