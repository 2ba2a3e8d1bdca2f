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
    /// Without TLS nothing but this machine may connect.
    #[error(
        "listen: \"{0}\": without TLS only a loopback address is allowed, such as 127.0.0.1:7420; set TLS up with `taskyard cluster init`"
    )]
    NotLoopback(SocketAddr),
    /// All addresses of a machine are no address to reach it at.
    #[error(
        "listen: \"{0}\": give the address for other servers and agents, with --advertise https://HOST:PORT"
    )]
    NoName(SocketAddr),
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
    /// A file of the data directory cannot be written.
    #[error("cannot write {path}")]
    File {
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
    /// A file that is needed cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
}

impl From<DirError> for ServerError {
    fn from(error: DirError) -> ServerError {
        ServerError::Start(error.into())
    }
}
