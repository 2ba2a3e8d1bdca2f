//! The planner: `schedule(&View, Budget) -> Plan`, and `explain`, which answers from the same code.
//!
//! Pure: one value in, one value out. It must not know the state, a clock, or how a plan is carried out. `README.md`
//! tells what a pass does and where a change goes.
//!
//! The cost of a pass follows classes and placements, never the number of tasks or jobs that wait.
#![warn(clippy::pedantic)]
// A line in a lane is what the code is about.
#![allow(clippy::similar_names, clippy::module_name_repetitions, clippy::must_use_candidate)]

mod depth;
mod explain;
mod order;
mod pass;
mod place;
mod prefetch;
mod reserve;
mod schedule;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use explain::{
    Basis, Counterfactual, Delay, Dimension, EndReason, EndingWork, ExpectedStart, Explanation, Finding,
    KeptNodes, MoveCause, QueuePosition, ReservedStart, StartKind, StartMove, Unforeseen, counterfactuals,
    delays, explain, reason, reasons, reserved_starts,
};
pub use order::FairShares;
pub use pass::Budget;
pub use schedule::{schedule, schedule_beside};
