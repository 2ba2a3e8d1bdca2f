//! Where a job stands: which jobs come before it, in the order in which they get their first task.

use crate::order::{Key, Lane, PlacedTasks, Rank, aged_lane, queue_lanes};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use taskyard_model::{ClassView, JobId, JobView, QueueId, View, limits};

/// A place in the whole order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePosition {
    /// Waiting jobs that come before: aged ones, those of higher tiers, those before it in its queue.
    pub ahead: u32,
    /// There are more than were counted.
    pub more: bool,
    /// The first of them, in order.
    pub first: Vec<JobId>,
    /// Queues of the same tier that wait too: they take turns with its queue by share.
    pub rivals: Vec<QueueId>,
}

/// Where a job stands; up to `most` jobs ahead are counted.
pub(super) fn position(view: &View, class: &ClassView, job: &JobView, most: u32) -> QueuePosition {
    let mut count =
        PositionCount { view, most, position: QueuePosition::default(), counted: BTreeSet::new() };
    let (queue, tier) = match Rank::of(view, class, job) {
        None => return count.position,
        Some(Rank::Aged(age)) => {
            count.lane(aged_lane(view), Some(age.1));
            return count.position;
        }
        Some(Rank::Queued { queue, tier, .. }) => (queue, tier),
    };
    count.lane(aged_lane(view), None);
    for lane in queue_lanes(view, &BTreeSet::new()) {
        let its_tier = Reverse(lane.queue.config.tier);
        if lane.queue.id == queue {
            count.lane(lane.lane, Some(job.key.job));
        } else if its_tier < tier {
            count.lane(lane.lane, None);
        } else if its_tier == tier {
            count.position.rivals.push(lane.queue.id);
        }
    }
    count.position
}

/// Counts jobs ahead.
struct PositionCount<'v> {
    view: &'v View,
    most: u32,
    position: QueuePosition,
    counted: BTreeSet<JobId>,
}

impl<'v> PositionCount<'v> {
    /// Counts the jobs of a lane that come before `end`, in the order in which they get their first task: where turns
    /// follow use, each task counts against the next turn.
    fn lane<K: Key>(&mut self, mut lane: Lane<'v, K>, end: Option<JobId>) {
        let by_use = lane.follows_use();
        let mut turns = 0;
        while let Some(index) = lane.next(self.view, &PlacedTasks::new()) {
            let line = &mut lane.lines[index];
            let Some(head) = line.head.filter(|head| end != Some(head.job())) else { return };
            if self.position.ahead == self.most || turns == limits::TURNS_FOLLOWED_MAX {
                self.position.more = true;
                return;
            }
            // An aged job stands in its queue too.
            if self.counted.insert(head.job()) {
                self.position.ahead += 1;
                if self.position.first.len() < limits::JOBS_AHEAD_NAMED_MAX {
                    self.position.first.push(head.job());
                }
            }
            if by_use {
                let class = line.class;
                line.take_one(self.view, &PlacedTasks::new());
                lane.placed(self.view, class, 1);
                turns += 1;
            } else {
                lane.step();
            }
        }
    }
}
