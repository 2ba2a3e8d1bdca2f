//! Answers about what waits, from the same passes that plan: why a job does not run, where it stands, when it is
//! expected to start, and what would let it start now. Nothing here decides anything of its own.

mod position;
mod reason;
mod start;
mod whatif;

pub use position::QueuePosition;
pub use reason::{Explanation, KeptNodes, explain, reason, reasons};
pub use start::{
    Basis, Delay, EndReason, EndingWork, ExpectedStart, MoveCause, ReservedStart, StartKind, StartMove,
    Unforeseen, delays, reserved_starts,
};
pub use whatif::{Counterfactual, Dimension, Finding, counterfactuals};
