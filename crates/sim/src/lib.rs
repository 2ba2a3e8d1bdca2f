//! What the simulator reads and what it says: traces and generated workloads in, metrics, reports and a recommendation out.
//!
//! Not pure: files and floats are at home here. Nothing in this crate decides what runs where; that is for `sched` alone.

pub mod alibaba;
pub mod engine;
mod error;
mod input;
pub mod limits;
mod lines;
pub mod swf;
pub mod workload;

pub use error::TraceError;
pub use workload::{Malformed, NodeShape, TraceJob, Workload};
