//! Stands in for the crate of this name, in which the Raft library records the sizes of its batches.
//!
//! The original computes tables for all its sixteen resolutions at first use: 26 MB, more than everything else in an idle server. Here is what the
//! library calls, written anew over one count per power of two. To be dropped when the original computes only what is used (see
//! `docs/adr/0001-workspace-and-encoding.md`).

use std::fmt;
use std::marker::PhantomData;

/// Counts values by the position of their highest bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; 65],
    slot: PhantomData<T>,
}

/// Values below which so many percent of all values are, each to a power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were counted.
    pub samples: u64,
    /// 0.1 %.
    pub p0_1: u64,
    /// 1 %.
    pub p1: u64,
    /// 5 %.
    pub p5: u64,
    /// 10 %.
    pub p10: u64,
    /// Half.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Histogram::new()
    }
}

impl<T> Histogram<T> {
    /// An empty one.
    pub fn new() -> Histogram<T> {
        Histogram { counts: [0; 65], slot: PhantomData }
    }

    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value so many times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        self.counts[(u64::BITS - value.leading_zeros()) as usize] += times;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The usual percentiles.
    pub fn percentile_stats(&self) -> PercentileStats {
        let samples = self.total();
        let at = |per_mille: u64| self.at_rank((samples * per_mille).div_ceil(1_000).max(1));
        PercentileStats {
            samples,
            p0_1: at(1),
            p1: at(10),
            p5: at(50),
            p10: at(100),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
        }
    }

    /// Lower end of the bucket that holds the value of a rank, from 1.
    fn at_rank(&self, rank: u64) -> u64 {
        let mut seen = 0;
        for (bits, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return if bits == 0 { 0 } else { 1 << (bits - 1) };
            }
        }
        0
    }
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values, half below {}, 99 % below {}", self.samples, self.p50, self.p99)
    }
}

/// A list of histograms, shown as their percentiles.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart(Vec<(String, PercentileStats)>);

impl AsciiChart {
    /// An empty one.
    pub fn new() -> AsciiChart {
        AsciiChart::default()
    }

    /// Adds a histogram under a name.
    #[allow(clippy::should_implement_trait)]
    pub fn add<T>(mut self, name: impl Into<String>, histogram: Histogram<T>) -> AsciiChart {
        self.0.push((name.into(), histogram.percentile_stats()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn percentiles_are_right_to_a_power_of_two() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(3, 98);
        histogram.record(1_000);
        histogram.record(0);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p0_1, stats.p50, stats.p99, stats.p99_9), (100, 0, 2, 2, 512));
        assert_eq!(Histogram::<()>::new().percentile_stats().p50, 0);
    }
}
