//! What is counted about backups, so that missing ones can be noticed.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Counters and last values of this process.
#[derive(Clone, Default)]
pub(crate) struct BackupMetrics {
    made: Counter,
    failures: Counter,
    last_success: Gauge<f64, AtomicU64>,
    last_duration: Gauge<f64, AtomicU64>,
    last_bytes: Gauge<f64, AtomicU64>,
}

impl BackupMetrics {
    /// A backup was made.
    pub(crate) fn made(&self, at_ms: u64, took: Duration, bytes: u64) {
        self.made.inc();
        self.seen(at_ms);
        self.last_duration.set(took.as_secs_f64());
        self.last_bytes.set(bytes as f64);
    }

    /// A backup of this time is in the store, made by any server.
    pub(crate) fn seen(&self, at_ms: u64) {
        self.last_success.set(self.last_success.get().max(at_ms as f64 / 1e3));
    }

    /// A backup could not be made, or old ones not be removed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("backups", "Backups made by this process", self.made.clone());
        registry.register("backup_failures", "Backups that failed", self.failures.clone());
        let what = "Time of the newest backup of this cluster known to this process";
        let (name, unit) = ("backup_last_success_timestamp", Unit::Seconds);
        registry.register_with_unit(name, what, unit, self.last_success.clone());
        let what = "Duration of the last backup made";
        registry.register_with_unit("backup_last_duration", what, Unit::Seconds, self.last_duration.clone());
        let what = "Size of the last backup made";
        registry.register_with_unit("backup_last_size", what, Unit::Bytes, self.last_bytes.clone());
    }
}
