//! Why a job waits: a pass is run as for a plan, then asked what it did with the job. Nothing here decides anything of
//! its own.

use super::position::{QueuePosition, position};
use super::start::{self, ExpectedStart, Unforeseen};
use crate::pass::{Budget, Pass};
use crate::place::FreeCapacity;
use crate::reserve::first_kept_in_ms;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use taskyard_model::{
    Causes, ClassId, ClassView, Gate, JobId, JobView, NodeId, NodeView, Reason, Rule, View, limits,
};

/// The answer of [`explain`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What binds its next task. `None` if no task waits for the planner: all are assigned, or wait for a retry.
    pub reason: Option<Reason>,
    /// Where it stands. `None` as above, and while it is held or at its own limit.
    pub position: Option<QueuePosition>,
    /// When its next task is planned to start, or why that is unknown. `None` as for `position`.
    pub start: Option<Result<ExpectedStart, Unforeseen>>,
    /// What is kept for it, if it is the first without room and its start is unknown.
    pub kept: Option<KeptNodes>,
    /// Nodes that do not take one more of its tasks, and the first rule that says so, in order of id.
    pub nodes: Vec<(NodeId, Rule)>,
}

/// What is kept for a job whose start is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptNodes {
    /// Nodes on which nothing else starts.
    pub nodes: Vec<NodeId>,
    /// Time until the first is kept, if that is to come.
    pub in_ms: Option<u64>,
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

/// Says why a job's next task does not run now, where the job stands, and when it is planned to start.
pub fn explain(view: &View, job: JobId) -> Explanation {
    let (job_view, class) = match eligibility(view, job) {
        Eligibility::Waits(job_view, class) => (job_view, class),
        Eligibility::Known(reason) => return Explanation { reason, ..Explanation::default() },
    };
    let mut pass = Pass::thorough(view, Budget::default());
    let position = position(view, class, job_view, limits::JOBS_AHEAD_COUNTED_MAX);
    let nodes = rules(view, &pass, class, job);
    let reason = reason_of(&pass, class, job, &nodes, || position.first.first().copied());
    let start = start::of(view, &mut pass, job);
    let kept = kept(view, &pass, job, job_view);
    Explanation { reason: Some(reason), position: Some(position), start, kept, nodes }
}

/// The reason alone, which costs one pass.
pub fn reason(view: &View, job: JobId) -> Option<Reason> {
    reasons(view, std::iter::once(job), u64::MAX).pop().map(|(_, reason)| reason)
}

/// The reasons of several jobs, of one pass; jobs that do not wait, or wait for a retry, are left out. Ends early once
/// more than `nodes_max` nodes have been looked at.
pub fn reasons(view: &View, jobs: impl Iterator<Item = JobId>, nodes_max: u64) -> Vec<(JobId, Reason)> {
    let mut pass = None;
    let mut known: BTreeMap<(ClassId, Option<JobId>), NodeRules> = BTreeMap::new();
    let mut looked_at = 0;
    let mut reasons = Vec::new();
    for job in jobs {
        let (job_view, class) = match eligibility(view, job) {
            Eligibility::Waits(job_view, class) => (job_view, class),
            Eligibility::Known(reason) => {
                reasons.extend(reason.map(|reason| (job, reason)));
                continue;
            }
        };
        if looked_at > nodes_max {
            break;
        }
        let pass = pass.get_or_insert_with(|| Pass::thorough(view, Budget::default()));
        // To the one for whom it is kept, a node says something else than to others of its class.
        let keeper = Some(job).filter(|job| pass.keeps_for(*job));
        let nodes = known.entry((class.id, keeper)).or_insert_with(|| {
            looked_at += view.nodes.len() as u64;
            rules(view, pass, class, job)
        });
        let ahead = || position(view, class, job_view, 1).first.first().copied();
        reasons.push((job, reason_of(pass, class, job, nodes, ahead)));
    }
    reasons
}

/// What can be said of a job without the planner.
enum Eligibility<'v> {
    /// Nothing: a task of it waits for the planner.
    Waits(&'v JobView, &'v ClassView),
    /// Why it waits; `None` if it does not, or for a retry.
    Known(Option<Reason>),
}

fn eligibility(view: &View, job: JobId) -> Eligibility<'_> {
    let Some(job_view) = view.jobs.get(&job) else { return Eligibility::Known(None) };
    let Some(class) = view.class(job_view.class) else { return Eligibility::Known(None) };
    if job_view.stopped {
        return Eligibility::Known(Some(Reason::Held));
    }
    match job_view.gate {
        Gate::Open => {}
        Gate::After { job, more } => return Eligibility::Known(Some(Reason::After { job, more })),
        Gate::Begin { at_ms } => return Eligibility::Known(Some(Reason::NotBefore { at_ms })),
    }
    match (job_view.eligible, job_view.placeable(), job_view.max_running) {
        (0, ..) => Eligibility::Known(None),
        (_, 0, Some(max_running)) => Eligibility::Known(Some(Reason::JobLimit { max_running })),
        _ => Eligibility::Waits(job_view, class),
    }
}

/// What each node that does not take a task answers.
type NodeRules = Vec<(NodeId, Rule)>;

fn kept(view: &View, pass: &Pass<'_>, job: JobId, job_view: &JobView) -> Option<KeptNodes> {
    let class = view.class(job_view.class).filter(|_| pass.keeps_for(job))?;
    let of_job = pass.allocator.capacity.kept.iter().filter(|(_, of)| *of == job);
    let nodes: Vec<NodeId> = of_job.map(|(node, _)| view.nodes[*node as usize].id).collect();
    let waited_ms = view.now_ms.saturating_sub(job_view.submitted_ms);
    // What the pass has just placed is not known to end, but will run by then as others of its class do now.
    let untouched = || FreeCapacity::new(view, &[], false);
    let in_ms = if nodes.is_empty() { first_kept_in_ms(&untouched(), class, waited_ms) } else { None };
    Some(KeptNodes { nodes, in_ms })
}

/// The nodes that do not take one more task of a job, and why.
fn rules(view: &View, pass: &Pass<'_>, class: &ClassView, job: JobId) -> NodeRules {
    let rule = |n: &NodeView| pass.allocator.rule(n, class, job).err().map(|rule| (n.id, rule));
    view.nodes.iter().filter(|n| !n.status.is_gone()).filter_map(rule).collect()
}

fn reason_of(
    pass: &Pass<'_>,
    class: &ClassView,
    job: JobId,
    nodes: &[(NodeId, Rule)],
    ahead: impl FnOnce() -> Option<JobId>,
) -> Reason {
    let view = pass.view;
    if view.nodes.iter().all(|n| !n.status.is_alive()) {
        return Reason::NoNodes;
    }
    if pass.placements.has(job) {
        return Reason::Next;
    }
    if nodes.len() < view.nodes.iter().filter(|n| !n.status.is_gone()).count() {
        // A node would take it: the pass ended before its turn.
        return ahead().map_or(Reason::Next, |job| Reason::Behind { job });
    }
    if !nodes.iter().any(|(_, rule)| rule.is_passing()) {
        return Reason::NoNodeCould;
    }
    let would_take = |id: NodeId| view.node(id).is_some_and(|node| view.fits(node, class).is_ok());
    let taker = |(id, rule): &(NodeId, Rule)| match rule {
        Rule::ReservedFor(job) | Rule::Delays { job, .. } => Some(*job),
        _ if would_take(*id) => pass.placements.on_node(id.0 - 1).next(),
        _ => None,
    };
    let causes = || Causes::of(nodes.iter().map(|(_, rule)| rule));
    nodes.iter().find_map(taker).map_or_else(|| Reason::NoNodeFree(causes()), |job| Reason::Behind { job })
}
