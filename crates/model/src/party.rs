//! Whose work counts together: accounts, and users within them. What each has used lately decides whose turn it is under fair share.

use crate::{AccountId, Amounts, Invalid, PartyId, Request, fixed, policy};

/// An account's or user's weight when nobody has set one.
pub const WEIGHT_DEFAULT: u32 = 100;
/// The largest weight.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Time in which past use counts half, when nobody has set one, in milliseconds: a week.
pub const HALF_LIFE_MS_DEFAULT: u64 = 7 * 86_400_000;
/// 1 thousandth of a core, in units of [`Usage::level`]. So fine that milliseconds count against a half-life of years.
pub const LEVEL_ONE: u64 = 1 << 30;
/// Time in which what ran just now counts half against a share; the cluster's half-life if that is shorter. Over it, slots that do not divide by the
/// weights change hands, so that each gets its part of them.
const RECENT_HALF_LIFE_MS: u64 = 600_000;
/// What is left of steady use, as multiples of the half-life in which it halves: 1 / ln 2, in thousandths.
const HALF_LIVES_KEPT: u128 = 1_443;

/// See [`RECENT_HALF_LIFE_MS`].
pub fn recent_half_life_ms(half_life_ms: u64) -> u64 {
    half_life_ms.min(RECENT_HALF_LIFE_MS)
}

/// What somebody runs, and has used lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The average of the size of what ran, halved with each half-life. In units of [`LEVEL_ONE`].
    pub level: u64,
    /// The same with [`recent_half_life_ms`].
    pub recent: u64,
    /// State time of both.
    pub at_ms: u64,
    /// What runs now, as [`policy::size`].
    pub size: u64,
}

/// An account, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its name; empty for work that names none.
    pub name: String,
    /// Its share among accounts.
    pub weight: u32,
    /// The sum of its users' weights.
    pub weights: u64,
    /// The sum of what its users use.
    pub usage: Usage,
}

/// A user on an account, as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyView {
    /// Its id.
    pub id: PartyId,
    /// The account.
    pub account: AccountId,
    /// The user.
    pub owner: String,
    /// Its share within the account.
    pub weight: u32,
    /// What it uses.
    pub usage: Usage,
    /// What its running attempts have.
    pub running: Amounts,
    /// Likewise, thousandths of GPUs.
    pub running_gpu_milli: u64,
}

impl Usage {
    /// The level at a later time, as long as what runs stays as it is: it draws near to that, by half of the distance in each half-life.
    pub fn level_at(&self, now_ms: u64, half_life_ms: u64) -> u64 {
        self.nearer(self.level, now_ms, half_life_ms)
    }

    fn recent_at(&self, now_ms: u64, half_life_ms: u64) -> u64 {
        self.nearer(self.recent, now_ms, recent_half_life_ms(half_life_ms))
    }

    fn nearer(&self, level: u64, now_ms: u64, half_life_ms: u64) -> u64 {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        if elapsed == 0 {
            return level;
        }
        let runs = self.size.saturating_mul(LEVEL_ONE);
        let distance = fixed::decayed(level.abs_diff(runs), elapsed, half_life_ms);
        if level >= runs { runs.saturating_add(distance) } else { runs - distance }
    }

    /// What counts against a share: what was used lately, and what runs now. The one without the other would give a whole cluster to whoever
    /// comes first.
    pub fn counted(&self, now_ms: u64, half_life_ms: u64) -> u64 {
        self.level_at(now_ms, half_life_ms).saturating_add(self.size.saturating_mul(LEVEL_ONE))
    }

    /// What was used lately and just now, over time: levels times milliseconds. As [`Usage::counted`], with what ran just now for what runs: a slot more
    /// or less is outweighed by what it has used.
    pub fn past(&self, now_ms: u64, half_life_ms: u64) -> u128 {
        let level = u128::from(self.level_at(now_ms, half_life_ms));
        let recent = u128::from(self.recent_at(now_ms, half_life_ms));
        (level + recent) * u128::from(recent_half_life_ms(half_life_ms)) * HALF_LIVES_KEPT / 1_000
    }

    /// One more attempt runs.
    pub fn takes(&mut self, request: &Request) {
        self.size = self.size.saturating_add(policy::size(request));
    }

    /// One less.
    pub fn gives(&mut self, request: &Request) {
        self.size = self.size.saturating_sub(policy::size(request));
    }

    /// Brings the levels up to a time; before what runs changes.
    pub fn settle(&mut self, now_ms: u64, half_life_ms: u64) {
        (self.level, self.recent) =
            (self.level_at(now_ms, half_life_ms), self.recent_at(now_ms, half_life_ms));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

impl PartyView {
    /// One more attempt of it runs.
    pub fn takes(&mut self, request: &Request) {
        self.running.give(&request.amounts);
        self.running_gpu_milli += u64::from(request.gpu_milli);
        self.usage.takes(request);
    }

    /// One less.
    pub fn gives(&mut self, request: &Request) {
        self.running.take(&request.amounts);
        self.running.named.retain(|_, amount| *amount > 0);
        self.running_gpu_milli -= u64::from(request.gpu_milli);
        self.usage.gives(request);
    }
}

/// Checks a weight.
pub fn check_weight(weight: u32) -> Result<(), Invalid> {
    if weight == 0 || weight > WEIGHT_MAX {
        return Err(Invalid::new("weight", weight, format!("between 1 and {WEIGHT_MAX}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_follows_what_runs_and_forgets_by_half() {
        let mut usage = Usage { size: 1_000, ..Usage::default() };
        assert_eq!(usage.level_at(0, 100), 0);
        assert_eq!(usage.level_at(100, 100), 500 * LEVEL_ONE);
        assert_eq!(usage.level_at(200, 100), 750 * LEVEL_ONE);
        usage.settle(100, 100);
        usage.size = 0;
        assert_eq!(usage.level_at(200, 100), 250 * LEVEL_ONE);
        // Over so short a time, nothing is forgotten.
        let week = 7 * 86_400_000;
        let short = Usage { size: 1_000, ..Usage::default() };
        let milli_ms = short.past(5, week) / u128::from(LEVEL_ONE);
        assert!(milli_ms.abs_diff(5_000) <= 10, "{milli_ms}");
        // In parts or at once: the same.
        let (mut one, mut other) = (usage, usage);
        one.settle(333, 100);
        (101..=333).for_each(|now| other.settle(now, 100));
        assert!(one.level.abs_diff(other.level) < 3_000, "{} {}", one.level, other.level);
    }
}
