//! Work that is held ahead of need: attempts given to an agent before there is room, so that a slot that becomes free
//! takes the next one at once instead of waiting for a round trip through the log.
//!
//! Held work is never in the way of work that ranks before it. A class that waits has a claim on every node that could
//! take it; work of lower rank is neither held there nor left there. Where ranks follow what somebody has used, shares
//! decide.

mod claims;
mod fill;
mod recall;
mod shares;

pub(crate) use claims::Claims;
pub(crate) use fill::fill;
pub(crate) use recall::recall;
#[cfg(test)]
pub(crate) use {
    claims::{Precedence, precedence},
    shares::{Purpose, ShareLedger},
};
