//! When jobs are submitted.

use super::between;
use rand::{Rng, RngExt};
use std::f64::consts::TAU;
use taskyard_model::Invalid;

const DAY_MS: f64 = 86_400_000.0;

/// A day of submits: their rate is 1 + `amplitude` · cos of the time from the peak. Workloads begin at midnight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycle {
    /// 0: the same at all hours; 1: none at all twelve hours from the peak.
    pub amplitude: f64,
    /// Hour of the day with most submits.
    pub peak_hour: f64,
}

impl Cycle {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        between("amplitude", self.amplitude, 0.0, 1.0)?;
        between("peak", self.peak_hour, 0.0, 24.0)
    }

    /// Sorted times of `count` submits over `span_ms`, the first at its beginning, the last at its end: given their
    /// number, those of a Poisson process are independent draws from its rate.
    pub(super) fn arrivals(&self, count: usize, span_ms: u64, chance: &mut impl Rng) -> Vec<u64> {
        let mut times: Vec<u64> = (0..count).map(|_| self.draw(span_ms, chance)).collect();
        times.sort_unstable();
        if let [first, .., last] = times.as_mut_slice() {
            (*first, *last) = (0, span_ms);
        }
        times
    }

    /// Draws evenly and keeps a draw as often as its hour is busy.
    fn draw(&self, span_ms: u64, chance: &mut impl Rng) -> u64 {
        loop {
            let at = chance.random_range(0..=span_ms);
            let rate = 1.0 + self.amplitude * ((at as f64 / DAY_MS - self.peak_hour / 24.0) * TAU).cos();
            if chance.random::<f64>() * (1.0 + self.amplitude) <= rate {
                return at;
            }
        }
    }
}
