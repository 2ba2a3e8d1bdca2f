//! The fair share as one factor of several: what it takes off the ranks of a user's jobs.

use std::collections::BTreeMap;
use taskyard_model::policy::POINT;
use taskyard_model::{AccountView, ClassView, PartyId, PartyView, View, fixed};

/// How much of [`taskyard_model::policy::Factors::fair_share`] users get.
pub struct FairShares<'v> {
    view: &'v View,
    /// What all use, and the weights of all accounts.
    all: u64,
    weights: u64,
}

impl<'v> FairShares<'v> {
    /// Sums up what all use.
    pub fn new(view: &'v View) -> Self {
        let used = |account: &AccountView| account.usage.counted(view.now_ms, view.half_life_ms);
        let all = view.accounts.iter().fold(0u64, |sum, account| sum.saturating_add(used(account)));
        let weights = view.accounts.iter().map(|account| u64::from(account.weight)).sum();
        FairShares { view, all, weights }
    }

    /// The same, with more that runs.
    pub(crate) fn with(self, more: u64) -> Self {
        FairShares { all: self.all.saturating_add(more), ..self }
    }

    /// What all use, lately and now, in units of [`taskyard_model::Usage::counted`].
    pub fn used(&self) -> u64 {
        self.all
    }

    /// The weights of all accounts together.
    pub fn weights(&self) -> u64 {
        self.weights
    }

    /// In thousandths: all for who used nothing, half at the fair share, a quarter at twice it, and so on.
    pub fn thousandths(&self, party: &PartyView) -> u64 {
        self.thousandths_of(party, party.usage.counted(self.view.now_ms, self.view.half_life_ms))
    }

    /// The same, had they used so much.
    pub(crate) fn thousandths_of(&self, party: &PartyView, used: u64) -> u64 {
        let Some(account) = self.view.accounts.get(party.account) else { return 0 };
        let part = |of: u128, weight: u32, weights: u64| of * u128::from(weight) / u128::from(weights.max(1));
        let due = part(u128::from(self.all), account.weight, self.weights);
        let due = part(due, party.weight, account.weights);
        let Ok(times) = u64::try_from((u128::from(used) << 16) / due.max(1)) else { return 0 };
        fixed::decayed(1_000 << 20, times, 1 << 16) >> 20
    }
}

/// What the fair share of users takes off their ranks under [`Policy::MultiFactor`].
pub(super) struct Offsets<'v> {
    view: &'v View,
    shares: Option<FairShares<'v>>,
    known: BTreeMap<PartyId, u64>,
}

impl<'v> Offsets<'v> {
    pub(super) fn new(view: &'v View) -> Self {
        Offsets { view, shares: None, known: BTreeMap::new() }
    }

    /// What is taken off the ranks of a class's jobs.
    pub(super) fn of(&mut self, class: &ClassView) -> i128 {
        let view = self.view;
        let Some(queue) = view.queue(class.queue) else { return 0 };
        let points = queue.config.factors.unwrap_or_default().fair_share;
        let Some(party) = view.party(class.party).filter(|_| points != 0) else { return 0 };
        let shares = self.shares.get_or_insert_with(|| FairShares::new(view));
        let thousandths = self.known.entry(party.id).or_insert_with(|| shares.thousandths(party));
        fair_offset(points, *thousandths)
    }
}

/// What a fair share takes off a rank, given the points for all of it and the thousandths that a user gets.
pub(crate) fn fair_offset(points: i32, thousandths: u64) -> i128 {
    -(i128::from(points) * i128::from(thousandths) * (POINT / 1_000))
}
