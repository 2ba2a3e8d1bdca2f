//! Counters of the log, read on demand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the log and consensus did so far, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogMetrics {
    /// fdatasync calls.
    pub fsyncs: u64,
    /// Time spent in them.
    pub fsync_total: Duration,
    /// Calls by duration: element `n` counts those below 2^n µs and not below 2^(n-1).
    pub fsync_buckets: [u64; BUCKETS],
    /// Bytes written.
    pub log_bytes: u64,
    /// Entries written.
    pub log_entries: u64,
    /// Segment files.
    pub segments: u64,
    /// Index of the last entry in the log.
    pub last_index: u64,
    /// Index of the last applied entry.
    pub applied_index: u64,
    /// Index the newest snapshot includes.
    pub snapshot_index: u64,
    /// Proposals not yet answered.
    pub in_flight: u64,
    /// Their bytes.
    pub in_flight_bytes: u64,
    /// False when the disk is full or has failed.
    pub storage_ok: bool,
}

/// Number of buckets for durations.
pub const BUCKETS: usize = 24;

impl LogMetrics {
    /// An upper bound of the `quantile` (0 to 100) of fdatasync durations.
    pub fn fsync_quantile(&self, quantile: u64) -> Duration {
        let wanted = self.fsyncs * quantile / 100;
        let mut seen = 0;
        for (bucket, count) in self.fsync_buckets.iter().enumerate() {
            seen += count;
            if seen > wanted {
                return Duration::from_micros(1 << bucket);
            }
        }
        Duration::ZERO
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    fsyncs: AtomicU64,
    fsync_nanos: AtomicU64,
    fsync_buckets: [AtomicU64; BUCKETS],
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Counters {
    pub(crate) fn written(&self, bytes: usize, entries: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.fsyncs.fetch_add(1, Ordering::Relaxed);
        self.fsync_nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        let bucket = (u64::BITS - (took.as_micros() as u64).leading_zeros()) as usize;
        self.fsync_buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn read(&self, metrics: &mut LogMetrics) {
        metrics.fsyncs = self.fsyncs.load(Ordering::Relaxed);
        metrics.fsync_total = Duration::from_nanos(self.fsync_nanos.load(Ordering::Relaxed));
        for (to, from) in metrics.fsync_buckets.iter_mut().zip(&self.fsync_buckets) {
            *to = from.load(Ordering::Relaxed);
        }
        metrics.log_bytes = self.bytes();
        metrics.log_entries = self.entries.load(Ordering::Relaxed);
    }
}
