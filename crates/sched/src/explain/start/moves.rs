//! Planned starts as time goes on: what each counts on, and why it is another one than it was.
//!
//! Each pass makes its own plan, and the plan binds within that pass. Between two of them work ends early or late, and
//! others come that go first.

use super::{ForeseenStart, planned};
use crate::pass::{Budget, Pass};
use std::cmp::Reverse;
use taskyard_model::{ClassId, JobId, NodeId, NodeView, PoolId, View, limits};

/// A start that a pool's discipline has planned, and protects within the pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedStart {
    /// The job.
    pub job: JobId,
    /// State time.
    pub at_ms: u64,
    /// Where.
    pub node: NodeId,
    /// State time at which it was planned.
    planned_ms: u64,
    /// What runs there and is expected to have ended by then: the latest of it.
    counts_on: Vec<RunningWork>,
    /// Jobs of its pool that were planned before it: the last of them.
    behind: Vec<JobId>,
}

/// Work of a class on a node that began together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RunningWork {
    class: ClassId,
    since_ms: u64,
    /// When it was expected to end.
    end_ms: u64,
}

/// Why a planned start is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveCause {
    /// Work that it counted on has ended before it was expected to.
    EarlyEnd,
    /// Work that it counted on runs longer than was expected.
    LateEnd,
    /// This job goes first now.
    Outranked(JobId),
    /// Work has started on the node since.
    Taken,
    /// The node is gone, or takes no work.
    NodeLost,
    /// A place was found that has nothing to do with what it counted on: a node came, or there is room on another node.
    OtherRoom,
    /// When there is room is not known any more.
    Unknown,
}

/// A planned start became another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartMove {
    /// When and where it was planned.
    pub from: (u64, NodeId),
    /// When and where it is now; `None` if it is no longer planned.
    pub to: Option<(u64, NodeId)>,
    /// Why.
    pub why: MoveCause,
}

/// All starts that are planned for later, in the order in which the pools plan; of the first `most`.
pub fn reserved_starts(view: &View, most: usize) -> Vec<ReservedStart> {
    let pass = Pass::thorough(view, Budget::default());
    let all = planned(view, &pass);
    let pools: Vec<Option<PoolId>> = all.iter().map(|made| pool_of(view, made.job)).collect();
    let reservation = |(at, made): (usize, &ForeseenStart)| ReservedStart {
        job: made.job,
        at_ms: made.at_ms,
        node: made.node,
        planned_ms: view.now_ms,
        counts_on: view.node(made.node).map(|node| counted(view, node, made.at_ms)).unwrap_or_default(),
        behind: {
            let before = (0..at).rev().filter(|before| pools[*before] == pools[at]);
            before.map(|before| all[before].job).take(limits::START_RIVALS_MAX).collect()
        },
    };
    all.iter().take(most).enumerate().map(reservation).collect()
}

fn pool_of(view: &View, job: JobId) -> Option<PoolId> {
    Some(view.pool_of(view.class(view.jobs.get(&job)?.class)?))
}

/// What runs on a node and is expected to have ended by a time.
fn counted(view: &View, node: &NodeView, at_ms: u64) -> Vec<RunningWork> {
    let running = |(&(was_expected_ms, class), _): (&(u64, ClassId), _)| {
        let span = view.class(class)?.span;
        let since_ms = was_expected_ms.saturating_sub(span.expected_ms()?);
        let end_ms = span.end_ms(since_ms, view.now_ms)?;
        (end_ms <= at_ms).then_some(RunningWork { class, since_ms, end_ms })
    };
    let mut all: Vec<RunningWork> = node.ends.iter().filter_map(running).collect();
    all.sort_by_key(|running| (Reverse(running.end_ms), running.class, running.since_ms));
    all.truncate(limits::START_BASIS_NAMED_MAX);
    all
}

impl ReservedStart {
    /// How it has moved, given all that is planned now. `None`: it holds, give or take `slack_ms`, or its job does not
    /// wait any more.
    pub fn moved(&self, view: &View, now: &[ReservedStart], slack_ms: u64) -> Option<StartMove> {
        view.jobs.get(&self.job).filter(|job| job.placeable() > 0)?;
        let to = now.iter().find(|other| other.job == self.job);
        if to.is_some_and(|to| to.node == self.node && to.at_ms.abs_diff(self.at_ms) <= slack_ms) {
            return None;
        }
        let why = match to {
            Some(to) if to.at_ms <= self.at_ms => self.why_earlier(view),
            _ => self.why_later(view, now),
        };
        Some(StartMove { from: (self.at_ms, self.node), to: to.map(|to| (to.at_ms, to.node)), why })
    }

    fn why_earlier(&self, view: &View) -> MoveCause {
        let Some(node) = view.node(self.node) else { return MoveCause::NodeLost };
        let gone =
            |running: &RunningWork| end_now(view, node, *running).is_none() && running.end_ms > view.now_ms;
        if self.counts_on.iter().any(gone) { MoveCause::EarlyEnd } else { MoveCause::OtherRoom }
    }

    fn why_later(&self, view: &View, now: &[ReservedStart]) -> MoveCause {
        let Some(node) = view.node(self.node) else { return MoveCause::NodeLost };
        if node.takes_work().is_err() {
            return MoveCause::NodeLost;
        }
        let late =
            |running: &RunningWork| end_now(view, node, *running).is_some_and(|end| end > running.end_ms);
        if self.counts_on.iter().any(late) {
            return MoveCause::LateEnd;
        }
        if let Some(rival) = self.rival(view, now) {
            return MoveCause::Outranked(rival);
        }
        let started_since = |(&(end_ms, class), _): (&(u64, ClassId), _)| {
            let expected = view.class(class).and_then(|class| class.span.expected_ms()).unwrap_or(0);
            end_ms.saturating_sub(expected) >= self.planned_ms
        };
        if node.ends.iter().any(started_since) { MoveCause::Taken } else { MoveCause::Unknown }
    }

    /// Who is planned before it now and was not.
    fn rival(&self, view: &View, now: &[ReservedStart]) -> Option<JobId> {
        let pool = pool_of(view, self.job);
        let behind = match now.iter().position(|other| other.job == self.job) {
            Some(at) => &now[..at],
            None => now,
        };
        let of_pool = behind.iter().rev().filter(|other| pool_of(view, other.job) == pool);
        of_pool.take(limits::START_RIVALS_MAX).map(|other| other.job).find(|job| !self.behind.contains(job))
    }
}

/// When some running work is expected to end by now, if it still runs.
fn end_now(view: &View, node: &NodeView, running: RunningWork) -> Option<u64> {
    let span = view.class(running.class)?.span;
    let was_expected_ms = running.since_ms.saturating_add(span.expected_ms()?);
    node.ends.get(&(was_expected_ms, running.class))?;
    span.end_ms(running.since_ms, view.now_ms)
}
