//! What the binary lends to the commands: the servers are in crates that this one must not know.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use taskyard_client::api::{ApiError, Backup, BackupProgress, BackupRestored, Invalid};

/// A future behind a pointer, so that [`Host`] can be a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The process around the commands.
pub trait Host: Send + Sync {
    /// The whole command line, for completions.
    fn app(&self) -> clap::Command;

    /// Starts the server and agent of `--local` with their data in `dir`, and comes back when they accept jobs. `Err`
    /// is one sentence for people.
    fn start_local<'a>(&'a self, dir: &'a Path) -> Pending<'a, Result<LocalHandle, String>>;

    /// Makes the authority of a cluster in the data directory of its first server. `Err` is one sentence for people.
    fn init_cluster(&self, data_dir: Option<&Path>) -> Result<ClusterMade, Invalid>;

    /// Reads or restores backups without a server.
    fn backups<'a>(
        &'a self,
        ask: BackupAsk,
        progress: Progress<'a>,
    ) -> Pending<'a, Result<BackupAnswer, ApiError>>;
}

/// An authority that was made.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ClusterMade {
    /// Data directory of the server.
    pub data_dir: PathBuf,
    /// The authority's certificate, which may be shown to everybody.
    pub authority: PathBuf,
    /// SHA-256 of it.
    pub fingerprint: String,
}

/// Hears how far something is.
pub type Progress<'a> = &'a (dyn Fn(&BackupProgress) + Send + Sync);

/// A question about backups that needs no server.
#[derive(Clone, Debug)]
pub struct BackupAsk {
    /// Where they are; if it is not said, the configuration file says it.
    pub from: Option<String>,
    /// A server's configuration file.
    pub config: Option<PathBuf>,
    /// What to do.
    pub what: BackupWhat,
}

/// See [`BackupAsk`].
#[derive(Clone, Debug)]
pub enum BackupWhat {
    /// List them.
    List,
    /// Read one and compare it with its manifest.
    Verify {
        /// Its name.
        name: String,
    },
    /// Make a new cluster of one.
    Restore {
        /// Its name.
        name: String,
        /// Where.
        data_dir: PathBuf,
    },
}

/// The answer.
#[derive(Clone, Debug)]
pub enum BackupAnswer {
    /// All that are there.
    Listed(Vec<Backup>),
    /// It is good.
    Verified(Backup),
    /// It is there.
    Restored(BackupRestored),
}

/// A running embedded server.
pub struct LocalHandle {
    /// Where it answers.
    pub url: String,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Stops it in order; awaited at the end of the command.
    pub stop: Pending<'static, ()>,
}
