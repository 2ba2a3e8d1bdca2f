//! Who is next. The waiting jobs of a class stand in a [`ClassLine`]; a [`Lane`] merges the lines of a queue by the
//! policy's key, or by turns of users ([`fair_share`]).
//!
//! A job stands in exactly one line, so a pass compares one head per class, never all jobs.

pub(crate) mod charges;
mod factors;
pub(crate) mod fair_share;
mod key;
mod lanes;
mod line;
pub(crate) mod measure;
mod queues;
mod rank;

pub use factors::FairShares;
pub(crate) use key::{Age, Key, PlacedTasks};
pub(crate) use lanes::Lane;
pub(crate) use line::ClassLine;
pub(crate) use queues::{QueueLane, TierShare, aged_lane, queue_lanes};
pub(crate) use rank::{Rank, turn_of};
