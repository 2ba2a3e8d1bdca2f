//! Where a task goes: what each node has free as the pass uses it up, and the search for the node that the pool's
//! placement prefers. It knows nothing of time: what nodes will have later is [`crate::reserve`]'s.

mod candidates;
mod capacity;
mod placed;
mod remaining;
mod smallest;
mod tree;

pub(crate) use capacity::FreeCapacity;
pub(crate) use remaining::{Completion, Devices, Remaining};
