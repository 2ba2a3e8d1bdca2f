//! Arguments of `backup`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done about backups.
#[derive(Subcommand, Clone, Debug)]
pub enum BackupCommand {
    /// Create a backup of a running cluster
    #[command(after_help = super::examples::BACKUP_CREATE)]
    Create {
        /// A backup store from the server's configuration [default: `to` in the table [backup]]
        #[arg(long, value_name = "STORE")]
        to: Option<String>,
    },
    /// List backups, newest first
    #[command(after_help = super::examples::BACKUP_LIST)]
    List(BackupFrom),
    /// Read a backup and compare it with its manifest
    #[command(after_help = super::examples::BACKUP_VERIFY)]
    Verify {
        /// Name of the backup
        #[arg(value_name = "BACKUP", default_value = "latest")]
        backup: String,
        /// Where it is
        #[command(flatten)]
        from: BackupFrom,
    },
    /// Restore a backup into a new cluster of one server; needs no running server
    #[command(after_help = super::examples::BACKUP_RESTORE)]
    Restore {
        /// Name
        #[arg(long, value_name = "BACKUP", default_value = "latest")]
        backup: String,
        /// Data directory to create; it must not exist or be empty
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
    /// Place to read: a path, file:///path or s3://bucket/prefix without a server, or a store from the server's
    /// configuration
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// Server configuration file whose table [backup] gives the place and its keys
    #[arg(long, value_name = "FILE", env = "TASKYARD_CONFIG")]
    pub config: Option<PathBuf>,
}

impl BackupFrom {
    /// Whether it names a place that is read from here, not a store of the server.
    pub fn is_place(&self) -> bool {
        self.from.as_deref().is_some_and(|from| from.contains('/') || matches!(from, "." | ".."))
    }
}
