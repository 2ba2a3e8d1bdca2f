//! Arguments of `backup`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done about backups.
#[derive(Subcommand, Clone, Debug)]
pub enum BackupCommand {
    /// Make a backup of a running cluster
    #[command(after_help = super::examples::BACKUP_CREATE)]
    Create {
        /// A store of the server's configuration [default: that of `[backup] to`]
        #[arg(long, value_name = "STORE")]
        to: Option<String>,
    },
    /// List backups, newest first
    #[command(after_help = super::examples::BACKUP_LIST)]
    List(BackupFrom),
    /// Read a backup and compare it with its manifest
    #[command(after_help = super::examples::BACKUP_VERIFY)]
    Verify {
        /// Its name
        #[arg(value_name = "BACKUP", default_value = "latest")]
        backup: String,
        /// Where it is
        #[command(flatten)]
        from: BackupFrom,
    },
    /// Make a new cluster of one server from a backup, in an empty directory; no server is needed
    #[command(after_help = super::examples::BACKUP_RESTORE)]
    Restore {
        /// Its name
        #[arg(long, value_name = "BACKUP", default_value = "latest")]
        backup: String,
        /// The data directory to make; it must be empty or not exist
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Where it is
        #[command(flatten)]
        from: BackupFrom,
    },
}

/// Where backups are.
#[derive(Args, Clone, Debug, Default)]
pub struct BackupFrom {
    /// A path, file:///path or s3://bucket/prefix, to read without a server; or a store of the server's configuration
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// Read the table [backup] of this server's configuration file, for a place that needs keys or is not said
    #[arg(long, value_name = "FILE", env = "TASKYARD_CONFIG")]
    pub config: Option<PathBuf>,
}

impl BackupFrom {
    /// Whether it names a place that is read from here, not a store of the server.
    pub fn is_place(&self) -> bool {
        self.from.as_deref().is_some_and(|from| from.contains('/') || matches!(from, "." | ".."))
    }
}
