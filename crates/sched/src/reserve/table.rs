//! The starts that are reserved, by node, and whether another task may start beside them. Data only: [`super::search`]
//! fills it.

use super::timeline::Timeline;
use crate::place::Remaining;
use std::collections::BTreeMap;
use taskyard_model::resources::place_gpus;
use taskyard_model::{ClassId, ClassView, JobId, Rule, View};

/// A start that is reserved for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) job: JobId,
    /// State time.
    pub(crate) at_ms: u64,
    /// The node, as an index into `View::nodes`.
    pub(crate) node: u32,
}

/// What is reserved on one node.
enum NodeReservation<'v> {
    /// One task, and what the node has at its time without it; with what may still be there, if only limits count.
    One { reservation: Reservation, class: &'v ClassView, remaining: Remaining, by_limit: bool },
    /// Any number; the job is the first of them.
    Many { job: JobId, at_ms: u64, timeline: Timeline },
}

/// All that is reserved in a pass.
#[derive(Default)]
pub(crate) struct Reservations<'v> {
    /// Boxed, since most maps have one entry and would make room for many.
    nodes: BTreeMap<u32, Box<NodeReservation<'v>>>,
    /// In the order in which they were made.
    pub(crate) made: Vec<Reservation>,
    /// Nothing goes before what was reserved before it. For forecasts.
    pub(crate) in_order: bool,
}

impl<'v> Reservations<'v> {
    /// The last start, if nothing may go before it.
    pub(crate) fn not_before_ms(&self) -> Option<u64> {
        self.made.last().filter(|_| self.in_order).map(|last| last.at_ms)
    }

    /// For each node (an index) with reserved starts: the class that is first there, and how many of it come before any
    /// of another class. Nothing, if all that is reserved is of one class.
    pub(crate) fn first_on(&self, view: &View) -> BTreeMap<u32, (ClassId, u32)> {
        let class = |reservation: &Reservation| view.jobs.get(&reservation.job).map(|job| job.class);
        let mut counts: BTreeMap<u32, (ClassId, u32, bool)> = BTreeMap::new();
        for (reservation, class) in self.made.iter().filter_map(|made| Some((made, class(made)?))) {
            let (first, count, over) = counts.entry(reservation.node).or_insert((class, 0, false));
            *over |= class != *first;
            *count += u32::from(!*over);
        }
        let first = self.made.first().and_then(class);
        if counts.values().all(|(class, _, over)| !over && first == Some(*class)) {
            return BTreeMap::new();
        }
        counts.into_iter().map(|(node, (class, count, _))| (node, (class, count))).collect()
    }

    /// Whether one more task of a class may start on a node now, as far as reservations go.
    pub(crate) fn allow(&self, now_ms: u64, node: u32, class: &ClassView) -> Result<(), Rule> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let (ok, job, at_ms) = match self.nodes.get(&node).map(|reserved| &**reserved) {
            None => return Ok(()),
            // It is gone by then, or there is room for both: nothing is said about the time before.
            Some(NodeReservation::One { reservation, class: head, remaining, by_limit }) => {
                let ok =
                    ends_by(now_ms, class, *by_limit, reservation.at_ms) || both_fit(remaining, class, head);
                (ok, reservation.job, reservation.at_ms)
            }
            Some(NodeReservation::Many { job, at_ms, timeline }) => {
                (timeline.has_room(now_ms, class.span.expected_ms(), &class.request), *job, *at_ms)
            }
        };
        if ok { Ok(()) } else { Err(Rule::Delays { job, at_ms }) }
    }

    /// Adds the one reservation of a pool, with what its node will have then.
    pub(super) fn add_first(
        &mut self,
        reservation: Reservation,
        class: &'v ClassView,
        remaining: Remaining,
        by_limit: bool,
    ) {
        self.made.push(reservation);
        self.nodes.insert(
            reservation.node,
            Box::new(NodeReservation::One { reservation, class, remaining, by_limit }),
        );
    }

    /// Adds one more reservation to a node; `timeline` is of a node without any.
    pub(super) fn add_next(
        &mut self,
        reservation: Reservation,
        class: &ClassView,
        timeline: impl FnOnce() -> Timeline,
    ) {
        let Reservation { job, at_ms, node } = reservation;
        let reserved = self
            .nodes
            .entry(node)
            .or_insert_with(|| Box::new(NodeReservation::Many { job, at_ms, timeline: timeline() }));
        if let NodeReservation::Many { timeline, .. } = &mut **reserved {
            timeline.take(at_ms, class.span.expected_ms(), &class.request);
        }
        self.made.push(reservation);
    }

    /// What a node (an index) has free over time, where any number of starts may be reserved.
    pub(super) fn timeline(&self, node: u32) -> Option<&Timeline> {
        match self.nodes.get(&node).map(|reserved| &**reserved) {
            Some(NodeReservation::Many { timeline, .. }) => Some(timeline),
            _ => None,
        }
    }

    /// Takes note that a task was placed on a node.
    pub(crate) fn placed(&mut self, now_ms: u64, node: u32, class: &ClassView, gpus: &[(u16, u32)]) {
        if self.nodes.is_empty() {
            return;
        }
        match self.nodes.get_mut(&node).map(|reserved| &mut **reserved) {
            Some(NodeReservation::One { reservation, remaining, by_limit, .. })
                // What is gone by then takes nothing from the reserved task.
                if !ends_by(now_ms, class, *by_limit, reservation.at_ms) =>
            {
                remaining.take(&class.request, gpus);
            }
            Some(NodeReservation::One { .. }) | None => {}
            Some(NodeReservation::Many { timeline, .. }) => {
                timeline.take(now_ms, class.span.expected_ms(), &class.request);
            }
        }
    }
}

/// Whether a task that starts now ends by a time: as expected, or surely.
fn ends_by(now_ms: u64, class: &ClassView, by_limit: bool, at_ms: u64) -> bool {
    let length = if by_limit { class.span.limit_ms } else { class.span.expected_ms() };
    length.is_some_and(|length| now_ms.saturating_add(length) <= at_ms)
}

/// Whether a task fits beside another one that fits.
fn both_fit(remaining: &Remaining, one: &ClassView, other: &ClassView) -> bool {
    let alone = one.request.exclusive || other.request.exclusive;
    if alone || !remaining.free.covers_both(&one.request.amounts, &other.request.amounts) {
        return false;
    }
    if one.request.gpu_milli == 0 {
        return true;
    }
    // Which devices the one gets decides what is left for the other, so both are placed.
    let mut remaining = remaining.clone();
    let Some(gpus) = place_gpus(&remaining.gpu_free, one.request.gpu_milli) else { return false };
    remaining.take(&one.request, &gpus);
    remaining.fits(&other.request)
}
