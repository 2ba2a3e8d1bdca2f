//! Why a server does not start or has to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use taskyard_consensus::{FatalError, StartError};
use taskyard_datadir::DirError;
use taskyard_tls::TlsError;

/// Why a server did not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error(
        "cannot listen on {listen}: another program may use the address; choose another one with --listen"
    )]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// The log or a snapshot cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Storage failed while running.
    #[error(transparent)]
    Storage(FatalError),
    /// A file cannot be used.
    #[error("cannot {what} {path}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
    /// The cluster it is to join does not take it.
    #[error("{server} does not admit this server: {why}")]
    NotAdmitted {
        /// Who was asked.
        server: String,
        /// Why not.
        why: String,
    },
    /// The other servers want no more of this one.
    #[error("the cluster refuses this server: {0}")]
    Expelled(String),
}

impl From<DirError> for ServerError {
    fn from(error: DirError) -> ServerError {
        ServerError::Start(error.into())
    }
}
