//! Random numbers from a seed that is printed, so that a failure can be repeated.

use std::time::Duration;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `TASKYARD_SEED`, else from the clock.
    pub(crate) fn seeded(test: &str) -> Random {
        let given = std::env::var("TASKYARD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| Random::fresh().next() % 1_000_000_007);
        println!("{test}: repeat with TASKYARD_SEED={seed}");
        Random(seed)
    }

    /// Different each time, for what no failure can hang on.
    pub(crate) fn fresh() -> Random {
        use std::hash::{BuildHasher, RandomState};
        Random(RandomState::new().hash_one(std::process::id()))
    }

    /// An independent sequence.
    pub(crate) fn fork(&mut self) -> Random {
        Random(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A time from `from` to `to` milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }
}
