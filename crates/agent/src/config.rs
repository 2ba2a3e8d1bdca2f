//! What an agent is started with.

use crate::capacity::detect;
use std::path::PathBuf;
use std::time::Duration;
use taskyard_model::constraint::Labels;
use taskyard_model::{Capacity, limits};

/// How to run an agent.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Servers, as `https://HOST:PORT`, or with `http` where there is no TLS: tried in turn.
    pub servers: Vec<String>,
    /// Holds a token: with TLS one to join with, which is used once; without the one that says to the servers that this
    /// is an agent, none where they ask for none, and read at each connection.
    pub token_file: Option<PathBuf>,
    /// Name of the node.
    pub name: String,
    /// Where the journal, captured output and task directories are. One agent at a time.
    pub data_dir: PathBuf,
    /// What the node offers (see [`detect`]).
    pub capacity: Capacity,
    /// Its labels.
    pub labels: Labels,
    /// Captured output that is kept of one stream of one attempt, in bytes; of more, the first and the last half.
    pub output_bytes_max: u64,
    /// Captured output that the node keeps in all, in bytes, and at most a quarter of its disk: past that the oldest
    /// goes.
    pub output_of_node_bytes_max: u64,
    /// Threads of the keeper that start tasks and wait for them.
    pub workers: u32,
    /// How long running tasks may go on after the agent was told to stop, before they are told so too.
    pub drain: Duration,
    /// Program and arguments of the keeper. Empty: this very executable with the argument `keeper`.
    pub keeper_command: Vec<String>,
}

impl AgentConfig {
    /// An agent of this name with what the machine offers and every default.
    pub fn new(servers: Vec<String>, name: impl Into<String>, data_dir: impl Into<PathBuf>) -> AgentConfig {
        let cores = std::thread::available_parallelism().map_or(2, |n| n.get() as u32);
        // A worker that starts a task sleeps until its exec is done, so there are more workers than processors.
        AgentConfig {
            servers,
            token_file: None,
            name: name.into(),
            data_dir: data_dir.into(),
            capacity: detect(),
            labels: Labels::new(),
            output_bytes_max: limits::OUTPUT_BYTES_MAX,
            output_of_node_bytes_max: limits::OUTPUT_OF_NODE_BYTES_MAX,
            workers: (2 * cores).clamp(4, 16),
            drain: Duration::ZERO,
            keeper_command: Vec::new(),
        }
    }
}
