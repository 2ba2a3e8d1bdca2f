//! Why an agent cannot go on.

use crate::journal::JournalError;
use std::io;
use std::path::PathBuf;
use taskyard_datadir::DirError;

/// An agent that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file of the data directory.
    #[error("{path}: cannot be used")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A second agent.
    #[error("{path}: another agent runs on this data directory; give each agent its own with --data-dir")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The journal.
    #[error("the agent's journal cannot be used")]
    Journal(#[from] JournalError),
    /// The keeper.
    #[error("{program}: the keeper cannot be started")]
    Keeper {
        /// Its command.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The server does not want this agent, and trying again is of no use.
    #[error("the server refuses this agent: {0}")]
    Refused(String),
    /// A server that does not ask found an agent of another cluster.
    #[error(
        "the data directory belongs to cluster \"{ours}\", and {server} is of cluster \"{theirs}\"; start the agent with a new --data-dir"
    )]
    OtherCluster {
        /// Which server.
        server: String,
        /// Its cluster.
        theirs: String,
        /// That of the data directory.
        ours: String,
    },
    /// It was started with too little.
    #[error("{0}")]
    Incomplete(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] taskyard_tls::TlsError),
}

impl From<DirError> for AgentError {
    fn from(error: DirError) -> AgentError {
        let path = match &error {
            DirError::Io { path, .. } | DirError::Shared { path, .. } | DirError::Damaged { path, .. } => {
                path.clone()
            }
        };
        AgentError::DataDir { path, source: error.into_io() }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
