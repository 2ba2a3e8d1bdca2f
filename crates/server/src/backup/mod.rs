//! Backups of this server's state: where they may go, how one is made while work goes on, and the loop that makes them on time.

mod config;
mod metrics;
mod schedule;
mod work;

pub use config::{BackupConfig, DEFAULT_STORE};
pub(crate) use metrics::BackupMetrics;
pub(crate) use schedule::scheduled;
pub(crate) use work::{Work, list};
