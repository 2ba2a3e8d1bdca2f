//! The fair share as one factor of several: what it takes off the ranks of a user's jobs.

use taskyard_model::policy::POINT;
use taskyard_model::{AccountView, PartyView, View, fixed};

/// Bits of a thousandth's fraction.
const FRACTION_BITS: u32 = 20;

/// How much of [`taskyard_model::policy::Factors::fair_share`] users get.
#[derive(Clone, Copy)]
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

    /// The same, had all used so much.
    pub(crate) fn with_all(&self, all: u64) -> Self {
        FairShares { all, ..*self }
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
        self.part(party, party.usage.counted(self.view.now_ms, self.view.half_life_ms)) >> FRACTION_BITS
    }

    /// What is taken off the ranks of a user's jobs, had they used so much, where all of the fair share is worth so many
    /// points.
    pub(crate) fn offset(&self, points: i32, party: &PartyView, used: u64) -> i128 {
        // In full precision: over minutes, what two users have used lately differs by less than a thousandth.
        let one = 1_000 << FRACTION_BITS;
        -(i128::from(points) * i128::from(self.part(party, used)) * POINT / one)
    }

    /// The part of the fair share that a user gets: thousandths, with [`FRACTION_BITS`].
    fn part(&self, party: &PartyView, used: u64) -> u64 {
        let Some(account) = self.view.accounts.get(party.account) else { return 0 };
        let part = |of: u128, weight: u32, weights: u64| of * u128::from(weight) / u128::from(weights.max(1));
        let due = part(u128::from(self.all), account.weight, self.weights);
        let due = part(due, party.weight, account.weights);
        let Ok(times) = u64::try_from((u128::from(used) << 16) / due.max(1)) else { return 0 };
        fixed::decayed(1_000 << FRACTION_BITS, times, 1 << 16)
    }
}
