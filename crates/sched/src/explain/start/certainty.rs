//! Whether a planned start is kept against work that is yet to be submitted. A discipline protects it from all that
//! comes later in the order; an order that lets a newcomer go first lets it delay what was planned.

use super::StartKind;
use taskyard_model::{ClassView, JobView, Policy, QueueView, View};

/// How sure a start is that the pool's discipline has planned.
pub(super) fn kind(view: &View, class: &ClassView, job: &JobView, at_ms: u64) -> StartKind {
    let Some(queue) = view.queue(class.queue) else { return StartKind::PlannedByRank };
    if is_aged(view, queue, job) {
        return StartKind::Planned;
    }
    let of_pool = view.queues.iter().filter(|other| !other.deleted && other.pool == queue.pool);
    let mut others = of_pool.filter(|other| other.id != queue.id);
    let kept =
        queue.config.policy == Policy::Fcfs && !others.any(|other| goes_first(view, queue, other, at_ms));
    if kept { StartKind::Planned } else { StartKind::PlannedByRank }
}

/// Whether a job goes before all younger ones already.
fn is_aged(view: &View, queue: &QueueView, job: &JobView) -> bool {
    job.submitted_ms.saturating_add(queue.config.max_wait_ms) < view.now_ms
}

/// Whether a job of another queue may go before one of this queue until a time: by its tier or turn, or since it has
/// waited too long by then.
fn goes_first(view: &View, queue: &QueueView, other: &QueueView, at_ms: u64) -> bool {
    let oldest_ms = other.ages.keys().next().map_or(view.now_ms, |(since_ms, _)| *since_ms);
    other.config.tier >= queue.config.tier
        || (other.config.ages() && oldest_ms.saturating_add(other.config.max_wait_ms) < at_ms)
}
