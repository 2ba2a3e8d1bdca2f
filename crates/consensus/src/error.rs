//! Errors, each saying what to do and whether something may have happened.

use std::io;
use std::path::{Path, PathBuf};

use taskyard_datadir::DirError;

/// Why a server did not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An operation of the file system failed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("{} is in use by another process; a data directory serves one server", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data belongs to another server or cluster.
    #[error(
        "{} belongs to {field} {found}, but this server is configured as {field} {expected}; \
         correct the configuration, or start with an empty data directory", file.display()
    )]
    Identity {
        /// The file that says so.
        file: PathBuf,
        /// Which part of the identity differs.
        field: &'static str,
        /// As configured.
        expected: String,
        found: String,
    },
    /// The data was written by another version.
    #[error(
        "{} has format version {found}, and this program supports {supported}; use the program that wrote it",
        file.display()
    )]
    Version {
        file: PathBuf,
        /// Its version.
        found: u16,
        /// What this program knows.
        supported: u16,
    },
    /// Acknowledged data is damaged or missing.
    #[error("{} is damaged at offset {offset}: {what}; {remedy}", file.display())]
    Damaged {
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong, and what was expected.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// The Raft library refused.
    #[error("consensus did not start: {0}")]
    Raft(String),
}

impl From<DirError> for StartError {
    fn from(error: DirError) -> StartError {
        let remedy = "restore the data directory from a backup, or start with an empty one";
        match error {
            DirError::Io { what, path, cause } => StartError::Io { what, path, source: cause },
            DirError::Damaged { path, offset, what } => {
                StartError::Damaged { file: path, offset, what, remedy }
            }
            shared @ DirError::Shared { .. } => StartError::Config(shared.to_string()),
        }
    }
}

impl StartError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> StartError {
        StartError::Io { what, path: path.to_owned(), source }
    }
}

/// Storage has failed. Nothing was acknowledged since, nothing ever will be: the process must exit with this
/// message, because after a failed sync nobody knows what is on the disk until it is read again at a start.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "storage failed: {operation} {} at offset {offset}: {cause}; nothing was acknowledged after it. \
     Check the disk, free space on it, and start again", file.display()
)]
pub struct FatalError {
    /// What was tried.
    pub operation: &'static str,
    /// On which file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What the system said.
    pub cause: String,
    /// The system's error number.
    pub errno: Option<i32>,
}

impl FatalError {
    pub(crate) fn new(operation: &'static str, file: &Path, offset: u64, cause: &io::Error) -> FatalError {
        let errno = cause.raw_os_error();
        FatalError { operation, file: file.to_owned(), offset, cause: cause.to_string(), errno }
    }
}

/// Why a proposal got no answer. *Definite* errors mean that nothing happened and nothing will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Definite: another server leads, or none.
    #[error("this server does not lead{}", leader.map(|id| format!("; server {id} does")).unwrap_or_default())]
    NotLeader {
        /// Who does, if known.
        leader: Option<u64>,
    },
    /// Definite: too much is in flight.
    #[error("overloaded; retry after {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Definite: the disk is full. Only small commands of the system itself are accepted until there is space.
    #[error("the disk of the log is full; until space is freed, only running work continues")]
    StorageFull,
    /// Definite: the command is larger than an entry may be.
    #[error("the command has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Encoded size.
        bytes: usize,
        limit: usize,
    },
    /// Indefinite: it may have been committed, or be committed later. Retry with the same request id.
    #[error("it is unknown whether this was committed: {0}")]
    Unknown(String),
    /// Indefinite: the server is stopping.
    #[error("the server is stopping; it is unknown whether this was committed")]
    Stopped,
}

impl ProposeError {
    /// Whether it is certain that nothing happened and nothing will.
    pub fn is_definite(&self) -> bool {
        !matches!(self, ProposeError::Unknown(_) | ProposeError::Stopped)
    }
}
