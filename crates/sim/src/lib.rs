//! What the simulator reads and what it says: traces and generated workloads in, metrics, reports and a
//! recommendation out.
//!
//! Not pure: files and floats are at home here. Nothing in this crate decides what runs where; that is for `sched`
//! alone.

pub mod alibaba;
pub mod compare;
pub mod engine;
mod error;
pub mod generate;
pub mod history;
mod input;
pub mod jobs_csv;
pub mod limits;
mod lines;
pub mod metrics;
pub mod recommend;
pub mod report;
pub mod swf;
pub mod workload;

pub use error::TraceError;
pub use metrics::{JobTimes, Metrics};
pub use report::{PolicyRun, Recommendation, SimulationReport};
pub use workload::{Malformed, NodeShape, TraceJob, Workload};
