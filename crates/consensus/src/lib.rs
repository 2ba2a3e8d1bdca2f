//! The replicated log: a segmented write-ahead log and the adapter to the Raft library, concretely typed to
//! [`taskyard_state`]. Nothing of the library is visible outside.
//!
//! A single server is a cluster of one member: there is no other way to store anything. A proposal is answered
//! when its entry is on the disks of a quorum and applied, never before. When storage fails the process must stop,
//! see [`Consensus::failed`].

mod admission;
mod background;
mod backup;
mod barrier;
mod clock;
mod cluster;
mod codec;
mod config;
mod consensus;
mod error;
mod identity;
mod machine;
mod metrics;
mod observer;
mod peer;
mod removal;
mod restore;
#[cfg(test)]
mod several;
mod snapshot;
mod start;
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
pub use consensus::{Committed, Consensus, Leadership};
pub use error::{FatalError, ProposeError, StartError};
pub use identity::{claim_dir, number_of, owner_of, random};
pub use metrics::{BUCKETS, LogMetrics};
pub use observer::Observer;
pub use peer::{Alone, Dial, Dialing, Duplex};
pub use restore::{NewDir, Restored};
pub use start::offline_digest;
pub use taskyard_state::Holds;
