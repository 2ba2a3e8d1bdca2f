//! What can go wrong, each naming what it went wrong with and what to do.

use std::io;
use std::path::{Path, PathBuf};
use taskyard_consensus::StartError;
use taskyard_model::Invalid;

/// Why something about backups failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A setting or a word of the command line makes no sense.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The store did not do what it was asked.
    #[error("cannot {what} {object}: {cause}; check that the store exists and that you may use it{hint}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// With which object, as a location.
        object: String,
        /// What the store said.
        cause: String,
        /// What else to look at.
        hint: &'static str,
    },
    /// Something in the store is not what was written there.
    #[error(
        "{object} is damaged: {what}; choose another backup: `taskyard backup list` names them, `taskyard backup verify` reads one in full"
    )]
    Damaged {
        /// The object, as a location.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// It was written by a newer version.
    #[error(
        "{object} has format {found}, and this program reads format {supported}; use the version that wrote it, or a newer one"
    )]
    Version {
        /// The object, as a location.
        object: String,
        /// Its format.
        found: u64,
        /// What this program knows.
        supported: u64,
    },
    /// There is no such backup.
    #[error("there is no {what} in {store}; `taskyard backup list` shows what is there")]
    NotFound {
        /// What was looked for.
        what: String,
        store: String,
    },
    /// The directory of a store is not there.
    #[error("there is no directory {}, so no backup was made there yet; is the path right?", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A file here cannot be written or read.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The state in it cannot be read, or the directory cannot take it.
    #[error(transparent)]
    State(#[from] StartError),
}

impl BackupError {
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
        move |source| BackupError::File { what, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(object: impl Into<String>, what: impl Into<String>) -> BackupError {
        BackupError::Damaged { object: object.into(), what: what.into() }
    }
}
