//! The search for the earliest start of a task that fits nowhere now.

use super::allocator::Allocator;
use super::anti_affinity::AntiAffinity;
use super::completions::{earliest_fit, guaranteed_at};
use super::table::Reservation;
use super::timeline::Timeline;
use crate::place::Remaining;
use taskyard_model::{ClassView, JobId};

/// Whether a start was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReservationOutcome {
    /// It is reserved.
    Reserved,
    /// Some node could run the task, but when it will have room is unknown.
    Unknown,
    /// No node could ever run it.
    Never,
}

/// Reserves the one start that EASY protects. `by_limit`: what may run up to its limit is expected to.
pub(crate) fn reserve_first<'v>(
    allocator: &mut Allocator<'v>,
    job: JobId,
    class: &'v ClassView,
    by_limit: bool,
) -> ReservationOutcome {
    let mut best: Option<(u64, u32, Remaining)> = None;
    let apart = AntiAffinity::of(allocator, class);
    let outcome = each_node(allocator, class, |allocator, node| {
        // The first of equals stays, so that the order of nodes decides and not the order of the search.
        let before_ms = best.as_ref().map_or(u64::MAX, |(at, ..)| *at);
        let Some(from_ms) = apart.since_ms(allocator, node) else { return };
        if let Some((at_ms, remaining)) = earliest_fit(&allocator.capacity, node, class, from_ms, before_ms) {
            best = Some((at_ms, node, remaining));
        }
    });
    let Some((at_ms, node, remaining)) = best else { return outcome };
    // The start is searched for by estimates, but an aged job is protected against work that outlives its estimate:
    // what passes it must fit beside all that may still run then.
    let remaining = if by_limit { guaranteed_at(&allocator.capacity, node, at_ms) } else { remaining };
    allocator.reservations.add_first(Reservation { job, at_ms, node }, class, remaining, by_limit);
    ReservationOutcome::Reserved
}

/// Reserves one more start beside those that are reserved.
pub(crate) fn reserve_next<'v>(
    allocator: &mut Allocator<'v>,
    job: JobId,
    class: &'v ClassView,
) -> ReservationOutcome {
    let not_before = allocator.reservations.not_before_ms();
    let from_ms = not_before.unwrap_or(allocator.capacity.view.now_ms);
    let (length_ms, request) = (class.span.expected_ms(), &class.request);
    let mut best: Option<(u64, u32)> = None;
    let apart = AntiAffinity::of(allocator, class);
    let outcome = each_node(allocator, class, |allocator, node| {
        let before_ms = best.map_or(u64::MAX, |(at, _)| at);
        let Some(from_ms) = apart.since_ms(allocator, node).map(|apart| apart.max(from_ms)) else { return };
        // A timeline is made for a node with its first reservation. Until then its completions alone tell, and most
        // nodes are left at the first of them that is too late.
        let at_ms = match allocator.reservations.timeline(node) {
            Some(timeline) => timeline.earliest(from_ms, length_ms, request),
            None if not_before.is_some() => {
                Timeline::of(&allocator.capacity, node).earliest(from_ms, length_ms, request)
            }
            None => {
                earliest_fit(&allocator.capacity, node, class, from_ms, before_ms).map(|(at_ms, _)| at_ms)
            }
        };
        if let Some(at_ms) = at_ms.filter(|at_ms| *at_ms < before_ms) {
            best = Some((at_ms, node));
        }
    });
    let Some((at_ms, node)) = best else { return outcome };
    let Allocator { capacity, reservations } = allocator;
    reservations.add_next(Reservation { job, at_ms, node }, class, || Timeline::of(capacity, node));
    ReservationOutcome::Reserved
}

/// Visits the nodes that could run a class and take work; says whether there are any.
fn each_node<'v>(
    allocator: &mut Allocator<'v>,
    class: &ClassView,
    mut visit: impl FnMut(&Allocator<'v>, u32),
) -> ReservationOutcome {
    let view = allocator.capacity.view;
    allocator.capacity.nodes_examined += view.nodes.len() as u64;
    let mut outcome = ReservationOutcome::Never;
    for (index, node) in (0u32..).zip(&view.nodes) {
        if node.takes_work().is_ok() && view.could_hold(node, class).is_ok() {
            outcome = ReservationOutcome::Unknown;
            visit(allocator, index);
        }
    }
    outcome
}
