//! The servers of the cluster as the log knows them: who has which number, from which data directory, and what it is meant to be.
//!
//! Numbers are never used again, so that a vote or an acknowledgement can only be of the server it is taken for.

use minicbor::{Decode, Encode};

/// What a server is meant to be. Membership follows it one change at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ServerRole {
    /// Takes part in decisions once it has caught up.
    #[default]
    #[n(0)]
    Voter,
    /// Receives the log, and is not counted.
    #[n(1)]
    Learner,
    /// Has left for ever.
    #[n(2)]
    Removed,
}

impl ServerRole {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ServerRole::Voter => "voter",
            ServerRole::Learner => "learner",
            ServerRole::Removed => "removed",
        }
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServerRecord {
    /// Its number.
    #[n(0)]
    pub id: u64,
    /// Random number of its data directory: another directory under this number is an impostor.
    #[n(1)]
    pub directory: u64,
    /// How often a process has started on that directory; an older copy of it counts fewer.
    #[n(2)]
    pub starts: u64,
    /// Random number of the process that started last.
    #[n(3)]
    pub process: u64,
    /// Where others reach it.
    #[n(4)]
    pub url: String,
    /// Version of its program.
    #[n(5)]
    pub version: String,
    /// What it is meant to be.
    #[n(6)]
    pub role: ServerRole,
    /// The process on its machine, for people.
    #[n(7)]
    pub pid: u32,
}

/// A process has started on a server's data directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServerStarted {
    /// The server's number.
    #[n(0)]
    pub id: u64,
    /// Random number of its data directory.
    #[n(1)]
    pub directory: u64,
    /// How often a process has started there.
    #[n(2)]
    pub starts: u64,
    /// Random number of this process.
    #[n(3)]
    pub process: u64,
    /// Where others reach it.
    #[n(4)]
    pub url: String,
    /// Version of its program.
    #[n(5)]
    pub version: String,
    /// The process on its machine, for people.
    #[n(6)]
    pub pid: u32,
}

/// Why a server is not who it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impostor {
    /// The number belongs to another data directory.
    #[error("its number belongs to another data directory: start with an empty one and join as a new server")]
    OtherDirectory,
    /// The directory is an older copy: it has forgotten votes and entries that it had promised to keep.
    #[error(
        "its data directory is an older copy that has forgotten what it promised: remove the server from the cluster, and join again with an empty directory"
    )]
    OlderCopy,
    /// It has left.
    #[error("it was removed from the cluster: join again with an empty data directory")]
    Removed,
}

impl ServerRecord {
    /// Whether this process may be the server.
    pub fn vet(&self, started: &ServerStarted) -> Result<(), Impostor> {
        if self.role == ServerRole::Removed {
            return Err(Impostor::Removed);
        }
        // A server that was admitted and has not been heard of yet has started no process.
        if self.directory != started.directory {
            return Err(Impostor::OtherDirectory);
        }
        let same_process = self.starts != started.starts || self.process == started.process;
        if started.starts < self.starts || !same_process {
            return Err(Impostor::OlderCopy);
        }
        Ok(())
    }
}
