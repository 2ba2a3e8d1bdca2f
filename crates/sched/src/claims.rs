//! Who may not be passed. A class that waits has a claim on every node that could ever take it: work of lower rank is neither held there
//! ahead of need nor left there, since a takeover would keep the resources from the one whose turn it is.

use crate::order::aged_until;
use crate::pass::Pass;
use taskyard_model::{ClassView, JobView, NodeView, OrderKey, PartyId, PoolId, QueueId, View};

/// Where a job stands in the whole order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// It has waited past `max_wait`.
    Aged(crate::order::Age),
    /// It stands in its queue.
    Queued {
        /// The queue's tier, higher first.
        tier: std::cmp::Reverse<i32>,
        /// The queue.
        queue: QueueId,
        /// Its place there.
        key: OrderKey,
        /// Whose it is, where the order between users follows what they use.
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
            tier: std::cmp::Reverse(queue.config.tier),
            queue: class.queue,
            key: job.key,
            turn_of: turn_of(view, class),
        })
    }

    /// Whether work of this rank, waiting, forbids that work of the other rank is held. Another queue of the same tier, or another user where
    /// users take turns, does in both directions: whose turn it is follows what runs, so neither may bind a node.
    pub(crate) fn claims_over(self, other: Rank) -> bool {
        match (self, other) {
            (Rank::Aged(mine), Rank::Aged(theirs)) => mine < theirs,
            (Rank::Aged(_), Rank::Queued { .. }) => true,
            (Rank::Queued { .. }, Rank::Aged(_)) => false,
            (
                Rank::Queued { tier, queue, key, turn_of },
                Rank::Queued { tier: their_tier, queue: their_queue, key: their_key, turn_of: their_turn },
            ) => {
                let takes_turns = queue != their_queue || turn_of != their_turn;
                tier < their_tier || (tier == their_tier && (takes_turns || key < their_key))
            }
        }
    }
}

fn turn_of(view: &View, class: &ClassView) -> Option<PartyId> {
    view.queue(class.queue).filter(|queue| queue.config.policy.follows_use()).map(|_| class.party)
}

/// A class that waits and could not be placed, with the rank of its first job left.
pub(crate) struct Claim<'v> {
    pub(crate) class: &'v ClassView,
    pub(crate) rank: Rank,
    pub(crate) line: LineRef,
    pool: PoolId,
}

/// Where the pass left the class's line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineRef {
    /// Among the aged.
    Aged(usize),
    /// In the lane of a queue.
    Queued(usize, usize),
}

/// All claims at the end of a pass, in order of rank.
pub(crate) struct Claims<'v>(pub(crate) Vec<Claim<'v>>);

impl<'v> Claims<'v> {
    pub(crate) fn of(pass: &mut Pass<'v>) -> Self {
        let mut claims = Vec::new();
        for queue in &mut pass.queues {
            queue.lane.complete(pass.view, queue.queue);
        }
        for (index, line) in pass.aged.lines.iter().enumerate() {
            let Some(age) = line.at else { continue };
            let pool = pass.view.pool_of(line.class);
            claims.push(Claim { class: line.class, rank: Rank::Aged(age), line: LineRef::Aged(index), pool });
        }
        let aged: std::collections::BTreeSet<_> = claims.iter().map(|c| c.class.id).collect();
        for (lane, queue) in pass.queues.iter().enumerate() {
            let (tier, pool) = (std::cmp::Reverse(queue.queue.config.tier), queue.queue.pool);
            for (index, line) in queue.lane.lines.iter().enumerate() {
                let Some(key) = line.at else { continue };
                if aged.is_empty() || !aged.contains(&line.class.id) {
                    let turn_of = turn_of(pass.view, line.class);
                    let rank = Rank::Queued { tier, queue: queue.queue.id, key, turn_of };
                    claims.push(Claim { class: line.class, rank, line: LineRef::Queued(lane, index), pool });
                }
            }
        }
        claims.sort_unstable_by_key(|c| c.rank);
        Claims(claims)
    }

    /// The claims over work of a rank.
    pub(crate) fn over(&self, rank: Rank) -> Vec<&Claim<'v>> {
        self.0.iter().filter(|c| c.rank.claims_over(rank)).collect()
    }
}

impl Claim<'_> {
    /// Whether the claim extends to a node: it could take the class, now or when others have left.
    pub(crate) fn is_on(&self, node: &NodeView) -> bool {
        node.pool == self.pool && node.could_hold(&self.class.request, &self.class.constraint).is_ok()
    }
}
