//! The replicated state machine. `apply(entry) -> reply + events` is the only way anything changes; live, replay, restore and follower all
//! go through it.
//!
//! Pure: no clock, no I/O, no randomness, no hash-map order, no float. A command that cannot be done is a [`Reply::Rejected`]; a state that
//! cannot be is a panic. `README.md` says what is in which room.

mod access;
mod accounts;
mod apply;
mod block;
mod class;
mod command;
mod core;
mod fold;
mod job;
mod ledger;
mod lookup;
mod memory;
mod node;
mod outcome;
mod phase;
mod read;
mod rebuild;
mod record;
mod server;
mod snapshot;
mod state;
mod stored;
mod suppose;
mod sync;
mod table;
mod usage;
mod used;
mod view;

pub use access::{NamespaceHead, Token, TokenUse};
pub use apply::Prospect;
pub use command::{
    AccountChange, Change, Command, Entry, KeepChange, Maintenance, NewToken, Register, Submit,
};
pub use job::{Job, JobHead, NotBefore, PastAttempt, Skip};
pub use node::{AgentOrder, Node, NodeHead};
pub use outcome::{Applied, Event, Rejection, Reply};
pub use phase::Phase;
pub use read::{AssignedRun, Forgotten, OrderDue, RetainedJobs, StopCause, StopOrders, Stopping};
pub use record::TaskRecord;
pub use server::{Impostor, ServerRecord, ServerRole, ServerStarted};
pub use snapshot::{Frozen, Holds, SnapshotError};
pub use state::State;
pub use stored::{SpecFile, Stored, Whole, Written};
pub use usage::{UsageBook, UsedBy};
pub use used::Used;
