//! The lanes of a pass: one of the jobs that have waited too long, and one for each queue. Queues of one tier take
//! turns by their shares.

use super::key::{Age, aged_until};
use super::lanes::Lane;
use super::line::ClassLine;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use taskyard_model::{ClassId, OrderKey, QueueId, QueueView, View};

/// What a queue has of its share: the least goes next. Compared as fractions, by cross-multiplication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TierShare {
    pub(crate) used: u64,
    pub(crate) weight: u32,
    pub(crate) queue: QueueId,
    /// Position among the queues of the tier.
    pub(crate) index: usize,
}

impl Ord for TierShare {
    fn cmp(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.used) * u128::from(other.weight);
        let theirs = u128::from(other.used) * u128::from(self.weight);
        mine.cmp(&theirs).then(self.queue.cmp(&other.queue))
    }
}

impl PartialOrd for TierShare {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TierShare {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for TierShare {}

/// A queue in a pass.
pub(crate) struct QueueLane<'v> {
    pub(crate) queue: &'v QueueView,
    /// Thousandths of cores, running or placed in this pass.
    pub(crate) used: u64,
    pub(crate) lane: Lane<'v, OrderKey>,
}

/// The jobs that have waited past their queue's `max_wait`, oldest first.
pub(crate) fn aged_lane(view: &View) -> Lane<'_, Age> {
    let mut lines = Vec::new();
    for queue in view.queues.iter().filter(|queue| !queue.ages.is_empty()) {
        let Some(until) = aged_until(view.now_ms, &queue.config) else { continue };
        let aged = queue.ages.range(..=until).filter_map(|(_, class)| view.class(*class));
        lines.extend(aged.filter_map(|class| ClassLine::new(class, Some(until))));
    }
    Lane::new(lines)
}

/// The queues that have something waiting, by pool, by tier from the top, then by id; without some classes.
pub(crate) fn queue_lanes<'v>(view: &'v View, without: &BTreeSet<ClassId>) -> Vec<QueueLane<'v>> {
    let lane = |queue: &'v QueueView| QueueLane {
        queue,
        used: queue.running_cpu_milli,
        lane: Lane::of_queue(view, queue, without),
    };
    let mut lanes: Vec<_> = view.queues.iter().filter(|queue| !queue.heads.is_empty()).map(lane).collect();
    lanes.sort_by_key(|l| (l.queue.pool, Reverse(l.queue.config.tier), l.queue.id));
    lanes
}
