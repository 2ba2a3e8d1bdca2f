//! What can go wrong with certificates.

use std::io;
use std::path::PathBuf;

/// Why certificates could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the data directory.
    #[error("{path}: cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{path} is damaged at offset {offset}: {why}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There is an authority already, and a new one would lock everybody out.
    #[error("{0}: this directory already has an authority; a new one would invalidate all its certificates")]
    Exists(PathBuf),
    /// A text that was to be a certificate, a request or a fingerprint.
    #[error("{what}: {why}")]
    Invalid {
        /// What it was to be.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The authority did not sign.
    #[error("{server} gives no certificate: {why}")]
    Refused {
        /// Who was asked.
        server: String,
        /// What it said.
        why: String,
    },
    /// A server that cannot prove to be of the cluster.
    #[error(
        "{server}: its certificate does not come from the authority with this fingerprint, or is for another host: {why}"
    )]
    Stranger {
        /// Who was called.
        server: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// No server could be asked; it may be tried again.
    #[error("{server} could not be asked for a certificate")]
    Unreachable {
        /// Who was asked.
        server: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn invalid(what: &'static str, why: impl std::fmt::Display) -> TlsError {
    TlsError::Invalid { what, why: why.to_string() }
}
