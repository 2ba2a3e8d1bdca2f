//! Whose work counts together: accounts, and users within them. What each has used lately decides whose turn it is under fair share.

use crate::{AccountId, Amounts, Invalid, PartyId, Request, fixed, policy};

/// An account's or user's weight when nobody has set one.
pub const WEIGHT_DEFAULT: u32 = 100;
/// The largest weight.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Time in which past use counts half, when nobody has set one, in milliseconds: a week.
pub const HALF_LIFE_MS_DEFAULT: u64 = 7 * 86_400_000;
/// 1 thousandth of a core, in units of [`PartyView::level`].
pub const LEVEL_ONE: u64 = 1 << 16;

/// What somebody runs, and has used lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The average of the size of what ran, halved with each half-life. In 2^-16 thousandths of a core.
    pub level: u64,
    /// State time of `level`.
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
        let elapsed = now_ms.saturating_sub(self.at_ms);
        if elapsed == 0 {
            return self.level;
        }
        let runs = self.size.saturating_mul(LEVEL_ONE);
        let distance = fixed::decayed(self.level.abs_diff(runs), elapsed, half_life_ms);
        if self.level >= runs { runs.saturating_add(distance) } else { runs - distance }
    }

    /// What counts against a share: what was used lately, and what runs now. The one without the other would give a whole cluster to whoever
    /// comes first.
    pub fn counted(&self, now_ms: u64, half_life_ms: u64) -> u64 {
        self.level_at(now_ms, half_life_ms).saturating_add(self.size.saturating_mul(LEVEL_ONE))
    }

    /// Brings the level up to a time; before what runs changes.
    pub fn settle(&mut self, now_ms: u64, half_life_ms: u64) {
        self.level = self.level_at(now_ms, half_life_ms);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

impl PartyView {
    /// One more attempt of it runs.
    pub fn takes(&mut self, request: &Request) {
        self.running.give(&request.amounts);
        self.running_gpu_milli += u64::from(request.gpu_milli);
        self.usage.size = self.usage.size.saturating_add(policy::size(request));
    }

    /// One less.
    pub fn gives(&mut self, request: &Request) {
        self.running.take(&request.amounts);
        self.running.named.retain(|_, amount| *amount > 0);
        self.running_gpu_milli -= u64::from(request.gpu_milli);
        self.usage.size = self.usage.size.saturating_sub(policy::size(request));
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
        // In parts or at once: the same.
        let (mut one, mut other) = (usage, usage);
        one.settle(333, 100);
        (101..=333).for_each(|now| other.settle(now, 100));
        assert!(one.level.abs_diff(other.level) < 300, "{} {}", one.level, other.level);
    }
}
