//! Random numbers from a seed that is printed, so that a failure can be repeated.

use super::full;
use std::time::Duration;

/// Seeds that found a defect: test, seed, what it found. Each is the one that its test runs with, outside of the long
/// run.
const FOUND: [(&str, u64, &str); 1] = [(
    "damage of three",
    577_682_582,
    "a flipped bit in the name of the cluster, which only the other servers noticed",
)];

/// The seed of a test outside of the long run.
fn fixed(test: &str) -> u64 {
    let found = FOUND.iter().find(|(name, ..)| *name == test);
    // FNV-1a of its name.
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    found.map_or_else(|| test.bytes().fold(0xcbf2_9ce4_8422_2325, hash) % 1_000_000_007, |(_, seed, _)| *seed)
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `TASKYARD_SEED`; else fresh in the long run ([`full`]), and the test's own otherwise: a first run is
    /// never red by luck.
    pub(crate) fn seeded(test: &str) -> Random {
        let given = std::env::var("TASKYARD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = match given {
            Some(seed) => seed,
            None if full() => Random::fresh().below(1_000_000_007),
            None => fixed(test),
        };
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
