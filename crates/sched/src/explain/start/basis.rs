//! The ends that a planned start counts on.

use super::ForeseenStart;
use std::cmp::Reverse;
use taskyard_model::{Assignment, ClassId, JobId, Span, View, limits};

/// Work that is expected to have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Which.
    pub work: EndingWork,
    /// How many tasks.
    pub tasks: u32,
    /// State time of the end.
    pub end_ms: u64,
    /// Why then.
    pub by: EndReason,
}

/// Which work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndingWork {
    /// It runs since a state time. The view counts by class; the state knows of which jobs it is.
    Running {
        /// The class.
        class: ClassId,
        /// State time at which it began.
        since_ms: u64,
    },
    /// A job that starts now.
    Starting(JobId),
    /// A job that is planned before it.
    Planned(JobId),
    /// No work: the node is being maintained until then.
    Maintenance,
}

/// What an expected end rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its estimate.
    Estimate,
    /// Its time limit: then it is stopped.
    Limit,
    /// It has outlived its estimate: the estimate with a small correction that grows (see [`Span::end_ms`]).
    Overrun,
    /// A time that was set for it.
    Schedule,
}

impl EndReason {
    /// For what has run, or is to run, since `since_ms` and is expected to end at `end_ms`.
    fn of(span: Span, since_ms: u64, end_ms: u64) -> EndReason {
        let length = end_ms.saturating_sub(since_ms);
        match (span.estimate_ms, span.limit_ms) {
            (Some(estimate), _) if length <= estimate => EndReason::Estimate,
            (_, Some(limit)) if length >= limit => EndReason::Limit,
            _ => EndReason::Overrun,
        }
    }
}

/// What a start counts on, in a view where what starts now (`runs`) has started, with what is planned before it. And
/// how many more there are.
pub(super) fn of(
    view: &View,
    runs: &[Assignment],
    before: &[ForeseenStart],
    start: ForeseenStart,
) -> (Vec<Basis>, u32) {
    let Some(node) = view.node(start.node) else { return (Vec::new(), 0) };
    let mut all: Vec<Basis> = Vec::new();
    for (&(was_expected_ms, class_id), ending) in &node.ends {
        let Some(class) = view.class(class_id) else { continue };
        let Some(expected) = class.span.expected_ms() else { continue };
        let since_ms = was_expected_ms.saturating_sub(expected);
        let Some(end_ms) = class.span.end_ms(since_ms, view.now_ms) else { continue };
        let of_class = |run: &&Assignment| {
            run.node == start.node && view.jobs.get(&run.job).is_some_and(|job| job.class == class_id)
        };
        let starting = runs.iter().find(of_class).filter(|_| since_ms == view.now_ms);
        let running = EndingWork::Running { class: class_id, since_ms };
        let work = starting.map_or(running, |run| EndingWork::Starting(run.job));
        all.push(Basis {
            work,
            tasks: ending.count,
            end_ms,
            by: EndReason::of(class.span, since_ms, end_ms),
        });
    }
    let until = |wall_ms: u64| view.now_ms.saturating_add(wall_ms.saturating_sub(view.wall_ms));
    let (work, tasks, by) = (EndingWork::Maintenance, 0, EndReason::Schedule);
    let shut = node.maintenance.iter().filter(|window| window.until_wall_ms > view.wall_ms);
    all.extend(shut.map(|window| Basis { work, tasks, end_ms: until(window.until_wall_ms), by }));
    all.extend(before.iter().filter(|b| b.node == start.node).filter_map(|before| planned(view, *before)));
    all.retain(|basis| basis.end_ms <= start.at_ms);
    all.sort_by_key(|basis| Reverse(basis.end_ms));
    let more = all.len().saturating_sub(limits::START_BASIS_NAMED_MAX);
    all.truncate(limits::START_BASIS_NAMED_MAX);
    (all, u32::try_from(more).unwrap_or(u32::MAX))
}

fn planned(view: &View, before: ForeseenStart) -> Option<Basis> {
    let span = view.class(view.jobs.get(&before.job)?.class)?.span;
    let end_ms = before.at_ms.saturating_add(span.expected_ms()?);
    let by = EndReason::of(span, before.at_ms, end_ms);
    Some(Basis { work: EndingWork::Planned(before.job), tasks: 1, end_ms, by })
}
