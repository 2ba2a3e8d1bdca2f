//! The replicated log: a segmented write-ahead log and the adapter to the Raft library, concretely typed to
//! [`taskyard_state`]. Nothing of the library is visible outside.
//!
//! A single server is a cluster of one member: there is no other way to store anything. A proposal is answered
//! when its entry is on the disks of a quorum and applied, never before. When storage fails the process must stop,
//! see [`Consensus::failed`].

mod admission;
mod background;
mod backup;
mod clock;
mod cluster;
mod codec;
mod config;
mod consensus;
mod error;
mod identity;
mod machine;
mod metrics;
mod peer;
mod removal;
mod restore;
#[cfg(test)]
mod several;
mod snapshot;
mod store;
mod succession;
#[cfg(test)]
mod tests;
mod types;
mod wal;

pub use backup::{Copied, SavedState};
pub use clock::{boottime, wall_ms};
pub use cluster::{ClusterError, Leader, ServerStatus};
pub use config::ConsensusConfig;
pub use consensus::{Committed, Consensus, Leadership, offline_digest};
pub use error::{FatalError, ProposeError, StartError};
pub use identity::{claim_dir, number_of, owner_of, random};
pub use metrics::{BUCKETS, LogMetrics};
pub use peer::{Alone, Dial, Dialing, Duplex};
pub use restore::{NewDir, Restored};
pub use taskyard_state::Holds;

/// Hears of every applied entry, on the path of applying: it must be quick, and never wait.
pub trait Observer: Send {
    /// Entry `index` is applied; the state's time is `now_ms` now, and the entry's wall clock `wall_ms`.
    fn applied(&mut self, index: u64, now_ms: u64, wall_ms: u64, events: Vec<taskyard_state::Event>);
}

/// Hears nothing.
impl Observer for () {
    fn applied(&mut self, _index: u64, _now_ms: u64, _wall_ms: u64, _events: Vec<taskyard_state::Event>) {}
}
