//! How long a task takes: what its job says, and what the planner makes of it.

use crate::JobSpec;
use minicbor::{Decode, Encode};

/// How long a task is expected to run and how long it may, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Span {
    /// What the user expects.
    #[n(0)]
    pub estimate_ms: Option<u64>,
    /// When it is stopped.
    #[n(1)]
    pub limit_ms: Option<u64>,
}

impl Span {
    /// What a job says of each of its tasks.
    pub fn of(spec: &JobSpec) -> Span {
        Span { estimate_ms: spec.estimate_ms, limit_ms: spec.time_limit_ms }
    }

    /// How long a task is expected to run: the estimate, else the limit, never more than the limit. `None`: nobody knows.
    pub fn expected_ms(self) -> Option<u64> {
        match (self.estimate_ms, self.limit_ms) {
            (Some(estimate), Some(limit)) => Some(estimate.min(limit)),
            (estimate, limit) => estimate.or(limit),
        }
    }

    /// When an attempt that has run since `since_ms` is expected to end, seen at `now_ms` (state time). One that has outlived its expectation
    /// gets small corrections that grow (see [`CORRECTIONS`]), up to its limit; one at its limit is about to be stopped.
    pub fn end_ms(self, since_ms: u64, now_ms: u64) -> Option<u64> {
        let expected = self.expected_ms()?;
        let ran = now_ms.saturating_sub(since_ms);
        if ran < expected {
            return Some(since_ms.saturating_add(expected));
        }
        let limit = self.limit_ms.unwrap_or(u64::MAX);
        Some(since_ms.saturating_add(corrected_ms(expected, ran).min(limit)).max(now_ms))
    }
}

/// What is added to an expectation each time that it is outlived, in units of a sixtieth of it, at most a minute: from an hour on they are the
/// 1, 5, 15 and 30 minutes, 1, 2, 5, 10, 20, 50 and 100 hours of Tsafrir, Etsion and Feitelson (TPDS 2007). A task that is late by a moment is
/// then expected in a moment, so that nothing long is let past whoever waits for it. Beyond the last, each is twice the one before.
const CORRECTIONS: [u64; 11] = [1, 5, 15, 30, 60, 120, 300, 600, 1_200, 3_000, 6_000];
const CORRECTION_UNIT_MS_MAX: u64 = 60_000;

/// The length that is expected of an attempt that has run as long as was expected, or longer.
fn corrected_ms(expected_ms: u64, ran_ms: u64) -> u64 {
    let unit = (expected_ms / 60).clamp(1, CORRECTION_UNIT_MS_MAX);
    let mut length = expected_ms;
    let mut add = 0;
    let mut listed = CORRECTIONS.iter();
    while length <= ran_ms && length < u64::MAX {
        add = listed.next().map_or_else(|| u64::saturating_mul(add, 2), |units| units * unit);
        length = length.saturating_add(add);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected length of an attempt that has run so long.
    fn length(estimate_ms: Option<u64>, limit_ms: Option<u64>, ran_ms: u64) -> Option<u64> {
        Span { estimate_ms, limit_ms }.end_ms(1_000, 1_000 + ran_ms).map(|at| at - 1_000)
    }

    #[test]
    fn an_outlived_expectation_gets_small_corrections_that_grow() {
        const MIN: u64 = 60_000;
        const HOUR: u64 = 60 * MIN;
        let of_two_hours = |ran| length(Some(2 * HOUR), None, ran).map(|length| length - 2 * HOUR);
        let published =
            [1, 6, 21, 51, 111, 231, 531, 1_131, 2_331, 5_331, 11_331, 23_331, 47_331].map(|min| min * MIN);
        let mut late = 0;
        for next in published {
            assert_eq!(of_two_hours(2 * HOUR + late), Some(next), "{late} ms late");
            assert_eq!(of_two_hours(2 * HOUR + next - 1), Some(next), "until that is outlived too");
            late = next;
        }
        // Shorter ones are scaled down.
        assert_eq!(length(Some(MIN), None, MIN), Some(MIN + 1_000));
        assert_eq!(length(Some(MIN), None, MIN + 2_000), Some(MIN + 6_000));
        assert_eq!(length(Some(10), None, 12), Some(16));
    }

    #[test]
    fn a_correction_is_small_against_what_was_outlived() {
        for expected in [1, 7, 59, 60, 1_000, 61_000, 3_599_999, 3_600_000, 40_000_000, 1 << 40] {
            for ran in (0..400).map(|step| expected + expected / 97 * step * step) {
                let late = ran - expected;
                let more = length(Some(expected), None, ran).unwrap() - ran;
                assert!(more > 0 && more <= (expected / 60).max(1).max(5 * late), "{expected} {ran}: {more}");
            }
        }
    }

    #[test]
    fn expectations_end_at_the_limit() {
        assert_eq!(length(None, None, 5), None);
        assert_eq!(length(Some(10), None, 9), Some(10));
        assert_eq!(length(Some(10), Some(35), 34), Some(35));
        assert_eq!(length(Some(10), Some(35), 50), Some(50), "it is about to be stopped");
        assert_eq!(length(None, Some(35), 3), Some(35));
        assert_eq!(length(Some(99), Some(35), 3), Some(35));
        assert_eq!(length(Some(0), None, 0), Some(1));
        assert_eq!(length(Some(1), None, u64::MAX - 2_000), Some(u64::MAX - 1_000));
    }
}
