//! Why a job waits: a pass is run as for a plan, then asked what it did with the job. Nothing here decides anything of its own.

use crate::Budget;
use crate::claims::Rank;
use crate::order::{Key, Lane, Taken, aged_lane, queue_lanes};
use crate::pass::Pass;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{ClassView, Gate, JobId, JobView, NodeId, QueueId, Reason, Rule, View};

/// Jobs ahead are counted up to here.
const AHEAD_COUNTED_MAX: u32 = 10_000;
/// So many of the jobs ahead are named.
const AHEAD_NAMED_MAX: usize = 10;

/// The answer of [`explain`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What binds its next task. `None` if no task waits for the planner: all are assigned, or wait for a retry.
    pub reason: Option<Reason>,
    /// Where it stands. `None` as above, and while it is held or at its own limit.
    pub place: Option<Place>,
    /// Nodes that do not take one more of its tasks, and the first rule that says so, in order of id.
    pub nodes: Vec<(NodeId, Rule)>,
}

/// A place in the whole order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Waiting jobs that come before: aged ones, those of higher tiers, those before it in its queue.
    pub ahead: u32,
    /// There are more than were counted.
    pub more: bool,
    /// The first of them, in order.
    pub first: Vec<JobId>,
    /// Queues of the same tier that wait too: they take turns with its queue by share.
    pub rivals: Vec<QueueId>,
}

impl Explanation {
    /// Nodes by rule, the commonest first.
    pub fn grouped(&self) -> Vec<(Rule, Vec<NodeId>)> {
        let mut by_rule: BTreeMap<&Rule, Vec<NodeId>> = BTreeMap::new();
        for (node, rule) in &self.nodes {
            by_rule.entry(rule).or_default().push(*node);
        }
        let mut groups: Vec<_> = by_rule.into_iter().map(|(rule, nodes)| (rule.clone(), nodes)).collect();
        groups.sort_by_key(|(_, nodes)| Reverse(nodes.len()));
        groups
    }
}

/// Says why a job's next task does not run now, and where the job stands.
pub fn explain(view: &View, job: JobId) -> Explanation {
    let because = |reason| Explanation { reason: Some(reason), ..Explanation::default() };
    let Some(job_view) = view.jobs.get(&job) else { return Explanation::default() };
    let Some(class) = view.class(job_view.class) else { return Explanation::default() };
    if job_view.stopped {
        return because(Reason::Held);
    }
    match job_view.gate {
        Gate::Open => {}
        Gate::After { job, more } => return because(Reason::After { job, more }),
        Gate::Begin { at_ms } => return because(Reason::NotBefore { at_ms }),
    }
    if job_view.eligible == 0 {
        return Explanation::default();
    }
    if let (0, Some(max_running)) = (job_view.placeable(), job_view.max_running) {
        return because(Reason::JobLimit { max_running });
    }
    let pass = Pass::thorough(view, Budget::default());
    let place = place(view, class, job_view);
    let rule = |n| pass.rooms.rule(n, class).err().map(|rule| (n.id, rule));
    let nodes: Vec<(NodeId, Rule)> = view.nodes.iter().filter_map(rule).collect();
    let reason = reason(view, &pass, class, job, &place, &nodes);
    Explanation { reason: Some(reason), place: Some(place), nodes }
}

fn reason(
    view: &View,
    pass: &Pass<'_>,
    class: &ClassView,
    job: JobId,
    place: &Place,
    nodes: &[(NodeId, Rule)],
) -> Reason {
    if view.nodes.iter().all(|n| n.incarnation.is_none()) {
        return Reason::NoNodes;
    }
    if pass.has_placed(job) {
        return Reason::Next;
    }
    if nodes.len() < view.nodes.len() {
        // A node would take it: the pass ended before its turn.
        return place.first.first().map_or(Reason::Next, |&job| Reason::Behind { job });
    }
    if !nodes.iter().any(|(_, rule)| rule.is_passing()) {
        return Reason::NoNodeCould;
    }
    let would_take = |id: NodeId| view.node(id).is_some_and(|node| view.fits(node, class).is_ok());
    let taker = |(id, rule): &(NodeId, Rule)| match rule {
        Rule::ReservedFor(job) | Rule::Delays { job, .. } => Some(*job),
        _ if would_take(*id) => pass.placed_on(id.0 - 1).next(),
        _ => None,
    };
    nodes.iter().find_map(taker).map_or(Reason::NoNodeFree, |job| Reason::Behind { job })
}

fn place(view: &View, class: &ClassView, job: &JobView) -> Place {
    let mut count = Count { view, place: Place::default(), counted: BTreeSet::new() };
    let (queue, tier) = match Rank::of(view, class, job) {
        None => return count.place,
        Some(Rank::Aged(age)) => {
            count.lane(aged_lane(view), Some(age));
            return count.place;
        }
        Some(Rank::Queued { queue, tier, .. }) => (queue, tier),
    };
    count.lane(aged_lane(view), None);
    for lane in queue_lanes(view, &BTreeSet::new()) {
        let its_tier = Reverse(lane.queue.config.tier);
        if lane.queue.id == queue {
            count.lane(lane.lane, Some(job.key));
        } else if its_tier < tier {
            count.lane(lane.lane, None);
        } else if its_tier == tier {
            count.place.rivals.push(lane.queue.id);
        }
    }
    count.place
}

/// Counts jobs ahead.
struct Count<'v> {
    view: &'v View,
    place: Place,
    counted: BTreeSet<JobId>,
}

impl Count<'_> {
    /// Counts the jobs of a lane before `end`.
    fn lane<K: Key>(&mut self, mut lane: Lane<'_, K>, end: Option<K>) {
        while let Some(index) = lane.next(self.view, &Taken::new()) {
            let Some(at) = lane.lines[index].at else { return };
            if end.is_some_and(|end| at >= end) {
                return;
            }
            if self.place.ahead == AHEAD_COUNTED_MAX {
                self.place.more = true;
                return;
            }
            // An aged job stands in its queue too.
            if self.counted.insert(at.job()) {
                self.place.ahead += 1;
                if self.place.first.len() < AHEAD_NAMED_MAX {
                    self.place.first.push(at.job());
                }
            }
            lane.step();
        }
    }
}
