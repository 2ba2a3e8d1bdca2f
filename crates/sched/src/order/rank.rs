//! Where a job stands in the whole order, across lanes.

use super::key::{Age, aged_until};
use std::cmp::Reverse;
use taskyard_model::{ClassView, JobView, OrderKey, PartyId, QueueId, View};

/// Where a job stands in the whole order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// It has waited past `max_wait`.
    Aged(Age),
    /// It stands in its queue.
    Queued {
        /// The queue's tier, higher first.
        tier: Reverse<i32>,
        /// The queue.
        queue: QueueId,
        /// Its place there.
        key: OrderKey,
        /// See [`turn_of`].
        turn_of: Option<PartyId>,
    },
}

impl Rank {
    /// The rank of a job.
    pub(crate) fn of(view: &View, class: &ClassView, job: &JobView) -> Option<Rank> {
        let queue = view.queue(class.queue)?;
        let age = (job.submitted_ms, job.key.job);
        if aged_until(view.now_ms, &queue.config).is_some_and(|until| age <= until) {
            return Some(Rank::Aged(age));
        }
        Some(Rank::Queued {
            tier: Reverse(queue.config.tier),
            queue: class.queue,
            key: job.key,
            turn_of: turn_of(view, class),
        })
    }
}

/// Whose a class is, where the order between users follows what they use.
pub(crate) fn turn_of(view: &View, class: &ClassView) -> Option<PartyId> {
    view.queue(class.queue).filter(|queue| queue.config.policy.follows_use()).map(|_| class.party)
}
