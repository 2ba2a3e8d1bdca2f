//! What servers read, by what they read it for. Nothing here changes anything.

mod access;
mod accounts;
mod assigned;
mod cluster;
mod jobs;
mod memory;
mod stopping;

pub use assigned::{AssignedRun, OrderDue};
pub use jobs::{Forgotten, RetainedJobs};
pub use stopping::{StopCause, StopOrders, Stopping};
