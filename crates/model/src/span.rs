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
    /// is expected to take twice as long, and twice again, up to its limit; one at its limit is about to be stopped.
    pub fn end_ms(self, since_ms: u64, now_ms: u64) -> Option<u64> {
        let expected = self.expected_ms()?;
        let ran = now_ms.saturating_sub(since_ms);
        if ran < expected {
            return Some(since_ms.saturating_add(expected));
        }
        let limit = self.limit_ms.unwrap_or(u64::MAX);
        let doublings = u64::BITS - (ran / expected.max(1)).leading_zeros();
        let length = u128::from(expected.max(1)) << doublings;
        let length = u64::try_from(length).unwrap_or(u64::MAX).min(limit);
        Some(since_ms.saturating_add(length).max(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_outlives_its_expectation_is_expected_to_take_twice_as_long() {
        let end = |estimate, limit, ran| {
            Span { estimate_ms: estimate, limit_ms: limit }.end_ms(1_000, 1_000 + ran).map(|at| at - 1_000)
        };
        assert_eq!(end(None, None, 5), None);
        assert_eq!(end(Some(10), None, 9), Some(10));
        assert_eq!(end(Some(10), None, 10), Some(20));
        assert_eq!(end(Some(10), None, 20), Some(40));
        assert_eq!(end(Some(10), None, 39), Some(40));
        assert_eq!(end(Some(10), Some(35), 20), Some(35));
        assert_eq!(end(Some(10), Some(35), 50), Some(50), "it is about to be stopped");
        assert_eq!(end(None, Some(35), 3), Some(35));
        assert_eq!(end(Some(99), Some(35), 3), Some(35));
        assert_eq!(end(Some(0), None, 3), Some(4));
        assert_eq!(end(Some(1), None, u64::MAX - 2_000), Some(u64::MAX - 1_000));
    }
}
