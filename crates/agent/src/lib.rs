//! The agent on each node, and its keeper.
//!
//! Two processes: the *agent* ([`run`]) dials a server, decides and keeps the journal; the *keeper* ([`keeper_main`])
//! is the parent of all tasks. The decisions are in a pure core; everything with a side effect is around it. See
//! `docs/adr/0004-agent-and-keeper.md`.

mod capacity;
mod clock;
mod config;
mod core;
mod descendants;
mod driver;
mod environment;
mod error;
mod journal;
mod keeper;
mod layout;
mod notes;
mod orders;
mod packed;
mod random;
mod runtime;
#[cfg(test)]
mod scripts;
mod spawn;
mod swarm;
mod uplink;

pub use capacity::detect;
pub use config::AgentConfig;
pub use error::AgentError;
pub use journal::JournalError;
pub use keeper::keeper_main;
pub use runtime::run;
pub use swarm::{Again, Swarm};
