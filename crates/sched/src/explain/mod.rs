//! Answers about what waits, from the same passes that plan: why a job does not run, where it stands, when it is
//! expected to start, and what would let it start now. Nothing here decides anything of its own.

mod position;
mod reason;
mod start;
mod whatif;

pub use position::Place;
pub use reason::{Explanation, Kept, explain, reason, reasons};
pub use start::{
    Basis, By, Delay, Moved, Reservation, Start, StartKind, Unforeseen, Why, Work, delays, reservations,
};
pub use whatif::{Counterfactual, Dimension, Finding, counterfactuals};
