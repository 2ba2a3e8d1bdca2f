//! The replicated log: a segmented write-ahead log and the adapter to the Raft library, concretely typed to
//! [`taskyard_state`].

mod error;
mod metrics;
#[allow(dead_code)]
mod wal;

pub use error::{FatalError, ProposeError, StartError};
pub use metrics::Metrics;
