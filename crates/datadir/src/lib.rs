//! The data directory of a server or an agent: private to the user it runs as, and with small files that notice damage.
//!
//! A data directory holds the commands and environments of all users, hashes of tokens and keys. Directories get mode
//! 0700 and files 0600 when they are made, whatever the umask, and again at each start. Nothing here knows what the
//! files mean.

mod private;
mod sealed;

pub use private::{Tightened, claim, create, make_dir, open, replace};
pub use sealed::{read_pem, read_sealed, seal_pem, write_pem, write_sealed};

use std::io;
use std::path::{Path, PathBuf};

/// Why a data directory or a file of it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system says no.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// The directory is open to others and holds something else, so its mode is not ours to change.
    #[error(
        "{} is open to other users (mode {mode:04o}) and {why}: name a directory that is used for nothing else, or run `chmod 700 {}`",
        path.display(), path.display()
    )]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What speaks against changing it.
        why: String,
    },
    /// A file is not what was written.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it the damage begins, as near as its checksums tell.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

impl DirError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirError {
        let path = path.to_owned();
        move |cause| DirError::Io { what, path, cause }
    }

    /// As an error of the system, for those who tell no more than that.
    pub fn into_io(self) -> io::Error {
        match self {
            DirError::Io { cause, .. } => cause,
            other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
        }
    }
}
