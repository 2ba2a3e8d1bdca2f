//! Before when a job may not start.

use minicbor::{Decode, Encode};

/// As the user said it: which instant that is in state time is decided when it goes through the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Begin {
    /// Not before this instant of the wall clock, in milliseconds since 1970.
    #[n(0)]
    At(#[n(0)] u64),
    /// Not before so many milliseconds have passed; 0 is at once.
    #[n(1)]
    After(#[n(0)] u64),
}
