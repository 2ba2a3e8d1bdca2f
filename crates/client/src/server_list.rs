//! Addresses of servers, and who named them.

use std::path::PathBuf;

/// Where an address came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerSource {
    /// `--server`.
    Flag,
    /// `TASKYARD_SERVER`.
    Variable,
    /// The config file.
    Config(PathBuf),
    /// The file in which `login` keeps them.
    Login(PathBuf),
    /// The endpoint file of the local `dev`.
    Dev(PathBuf),
    /// Where a server of this machine listens unless it is told otherwise.
    DefaultPort,
}

/// Addresses, first the one to try first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerList {
    /// `https://host:port` or `http://host:port`, without a slash at the end.
    pub urls: Vec<String>,
    /// Where they came from.
    pub source: ServerSource,
}
