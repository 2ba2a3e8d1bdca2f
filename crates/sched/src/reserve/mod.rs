//! Who may start before whom: starts that are reserved for later, and nodes that are kept where no time is known.
//!
//! EASY reserves the start of one task of a pool: (time, node, amounts), the earliest time at which the expected
//! completions let the task fit. Another task may start on that node only if it ends before, or if the reserved task
//! still fits beside it. A conservative pool reserves a start for every task that waits, each with regard to those
//! reserved before it.

mod allocator;
mod anti_affinity;
mod completions;
mod kept_nodes;
mod search;
mod table;
mod timeline;

pub(crate) use allocator::Allocator;
pub(crate) use kept_nodes::{first_kept_in_ms, nearest};
pub(crate) use search::{ReservationOutcome, reserve_first, reserve_next};
#[cfg(test)]
pub(crate) use table::Reservation;
