//! What the planner says is ahead of a job, in the words of the API.

use crate::auth::Visible;
use crate::history::LookTime;
use taskyard_api::{self as api, EndBasis, ExpectedEnd, PlannedStart, StartKind, WorkState};
use taskyard_model::quantity::{show_duration, show_thousandths};
use taskyard_model::{JobId, NodeId, View};
use taskyard_sched::{
    Basis, Counterfactual, Dimension, EndReason, EndingWork, ExpectedStart, Finding, KeptNodes, Unforeseen,
};
use taskyard_state::State;

/// From state time to what people read.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    now_ms: u64,
    wall_ms: u64,
}

impl Clock {
    pub(crate) fn of(state: &State) -> Clock {
        Clock { now_ms: state.now_ms(), wall_ms: state.wall_ms() }
    }

    /// The same for a caller that keeps it.
    pub(crate) fn look(self, term: Option<u64>) -> LookTime {
        LookTime { term, now_ms: self.now_ms, wall_ms: self.wall_ms }
    }

    /// Time since then.
    pub(crate) fn since(self, at_ms: u64) -> u64 {
        self.now_ms.saturating_sub(at_ms)
    }

    /// Time until then, and the wall clock of it.
    pub(crate) fn until(self, at_ms: u64) -> (u64, u64) {
        let in_ms = at_ms.saturating_sub(self.now_ms);
        (in_ms, self.wall_ms.saturating_add(in_ms))
    }
}

fn name_of(view: &View, id: NodeId) -> Option<String> {
    view.node(id).map(|node| node.name.clone())
}

/// A planned start. The ends it counts on come without the jobs: only the state knows of which they are, see
/// [`name_jobs`].
pub(crate) fn start(view: &View, clock: Clock, start: &Result<ExpectedStart, Unforeseen>) -> PlannedStart {
    let start = match start {
        Ok(start) => start,
        Err(why) => {
            let kind = match why {
                Unforeseen::EndsUnknown => StartKind::EndsUnknown,
                Unforeseen::OwnEndsUnknown => StartKind::OwnEndsUnknown,
                Unforeseen::LengthsUnknown => StartKind::LengthsUnknown,
                Unforeseen::NodesAway => StartKind::NodesAway,
                Unforeseen::TooFarAhead => StartKind::TooFarAhead,
                Unforeseen::NoNodeCould => StartKind::Never,
            };
            return PlannedStart {
                kind,
                in_ms: None,
                at_ms: None,
                node: None,
                counts_on: Vec::new(),
                more: 0,
                reserved: Vec::new(),
                reserved_in_ms: None,
            };
        }
    };
    let kind = match start.kind {
        taskyard_sched::StartKind::Now => StartKind::Now,
        taskyard_sched::StartKind::Planned => StartKind::Planned,
        taskyard_sched::StartKind::PlannedByRank => StartKind::PlannedByRank,
        taskyard_sched::StartKind::Forecast => StartKind::Forecast,
    };
    let (in_ms, at_ms) = clock.until(start.at_ms);
    PlannedStart {
        kind,
        in_ms: Some(in_ms),
        at_ms: Some(at_ms),
        node: name_of(view, start.node),
        counts_on: start.basis.iter().map(|basis| end(clock, basis)).collect(),
        more: start.more.into(),
        reserved: Vec::new(),
        reserved_in_ms: None,
    }
}

/// Adds what is kept for it until its start is known.
pub(crate) fn keep(view: &View, kept: Option<KeptNodes>, shown: &mut PlannedStart) {
    if let Some(KeptNodes { nodes, in_ms }) = kept {
        shown.reserved = nodes.into_iter().filter_map(|node| name_of(view, node)).collect();
        shown.reserved_in_ms = in_ms;
    }
}

fn end(clock: Clock, basis: &Basis) -> ExpectedEnd {
    let (in_ms, at_ms) = clock.until(basis.end_ms);
    let (work, jobs) = match basis.work {
        EndingWork::Running { .. } => (WorkState::Running, Vec::new()),
        EndingWork::Starting(job) => (WorkState::Starting, vec![job.0]),
        EndingWork::Planned(job) => (WorkState::Planned, vec![job.0]),
        EndingWork::Maintenance => (WorkState::Maintenance, Vec::new()),
    };
    let by = match basis.by {
        EndReason::Estimate => EndBasis::Estimate,
        EndReason::Limit => EndBasis::Limit,
        EndReason::Overrun => EndBasis::Overrun,
        EndReason::Schedule => EndBasis::Schedule,
    };
    ExpectedEnd { work, jobs, tasks: basis.tasks.into(), in_ms, at_ms, by }
}

/// Names the jobs of running work, and takes out those that may not be seen.
pub(crate) fn name_jobs(state: &State, visible: &Visible, start: &ExpectedStart, shown: &mut PlannedStart) {
    for (basis, end) in start.basis.iter().zip(&mut shown.counts_on) {
        if let EndingWork::Running { class, since_ms } = basis.work {
            end.jobs = state.jobs_running(start.node, class, since_ms).into_iter().map(|job| job.0).collect();
        }
        end.jobs.retain(|job| visible.sees_job(state, JobId(*job)));
    }
}

/// What one change would do. `terms` are those of the job's constraint.
pub(crate) fn counterfactual(view: &View, terms: &[String], found: Counterfactual) -> api::Counterfactual {
    let Counterfactual { dimension, asked, finding } = found;
    let name = match &dimension {
        Dimension::Named(name) => Some(name.clone()),
        Dimension::Term(at) => terms.get(*at).cloned(),
        Dimension::Queue(id) => view.queue(*id).map(|queue| queue.name.clone()),
        Dimension::Resume(id) | Dimension::Return(id) => name_of(view, *id),
        Dimension::Window(name) => Some(name.clone()),
        _ => None,
    };
    let (outcome, with, node, smallest) = match finding {
        Finding::Starts { with, node, smallest } => {
            let with = dimension.has_amount().then_some(with);
            (api::CounterfactualOutcome::Starts, with, name_of(view, node), smallest)
        }
        Finding::NothingHelps => (api::CounterfactualOutcome::NothingHelps, None, None, false),
        Finding::Unknown => (api::CounterfactualOutcome::Unknown, None, None, false),
    };
    let change = change(&dimension, name.as_deref().unwrap_or_default(), asked, with);
    let sentence = match (outcome, &node) {
        (api::CounterfactualOutcome::Starts, Some(node)) if smallest => {
            format!("{change} it would start now on {node}")
        }
        (api::CounterfactualOutcome::Starts, _) => {
            let node = node.as_deref().unwrap_or("a node");
            format!("{change} it would start now on {node}; a smaller change may be enough")
        }
        (api::CounterfactualOutcome::NothingHelps, _) => format!("{change} it would not start now either"),
        (api::CounterfactualOutcome::Unknown, _) => {
            format!("{change} it might start now; the search took too long")
        }
    };
    let dimension = match dimension {
        Dimension::Cpu => api::Dimension::Cpu,
        Dimension::Memory => api::Dimension::Memory,
        Dimension::Gpu => api::Dimension::Gpu,
        Dimension::Named(_) => api::Dimension::Resource,
        Dimension::Time => api::Dimension::Time,
        Dimension::Limit => api::Dimension::TimeLimit,
        Dimension::Term(_) => api::Dimension::Constraint,
        Dimension::Priority { .. } => api::Dimension::Priority,
        Dimension::MaxRunning { .. } => api::Dimension::MaxRunning,
        Dimension::Apart => api::Dimension::Apart,
        Dimension::Queue(_) => api::Dimension::Queue,
        Dimension::Resume(_) => api::Dimension::Resume,
        Dimension::Return(_) => api::Dimension::Return,
        Dimension::Window(_) => api::Dimension::Maintenance,
    };
    api::Counterfactual { dimension, name, outcome, requested: asked, with, node, smallest, sentence }
}

/// The change in words: how much less, if it is known how much; else that there is less.
fn change(dimension: &Dimension, name: &str, asked: Option<i64>, with: Option<i64>) -> String {
    let by = asked.zip(with).and_then(|(asked, with)| u64::try_from(asked - with).ok());
    let fewer = |what: &str, by: u64| {
        format!("with {} fewer {what}{}", show_thousandths(by), if by == 1_000 { "" } else { "s" })
    };
    let span = |ms: i64| show_duration(ms.unsigned_abs());
    match (dimension, by) {
        (Dimension::Memory, Some(by)) => format!("with {} less memory", size_at_least(by)),
        (Dimension::Memory, None) => "with less memory".into(),
        (Dimension::Cpu, Some(by)) => fewer("CPU", by),
        (Dimension::Cpu, None) => "with fewer CPUs".into(),
        (Dimension::Gpu, Some(by)) => fewer("GPU", by),
        (Dimension::Gpu, None) => "with fewer GPUs".into(),
        (Dimension::Named(_), Some(by)) => format!("with {by} less {name}"),
        (Dimension::Named(_), None) => format!("with less {name}"),
        (Dimension::Time | Dimension::Limit, _) => match (asked, with) {
            (_, Some(with)) => format!("with a time limit of at most {}", span(with)),
            (Some(_), None) => "with a shorter time limit".into(),
            (None, None) => "with any time limit".into(),
        },
        (Dimension::Term(_), _) => format!("without \"{name}\""),
        (Dimension::Priority { .. }, _) => {
            with.map_or_else(|| "with a higher priority".into(), |with| format!("with priority {with}"))
        }
        (Dimension::MaxRunning { .. }, _) => {
            with.map_or_else(|| "with a higher max-running".into(), |with| format!("with max-running {with}"))
        }
        (Dimension::Apart, _) => "if its tasks did not have to run apart".into(),
        (Dimension::Queue(_), _) => format!("in queue {name}"),
        (Dimension::Resume(_), _) => format!("if node {name} were resumed"),
        (Dimension::Return(_), _) => format!("if node {name} came back"),
        (Dimension::Window(_), _) => format!("without maintenance \"{name}\""),
    }
}

/// A size that is never less than the bytes: a request for that much less must fit.
fn size_at_least(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    // A thousand MiB and more are hard to read.
    if bytes >= GIB && !bytes.is_multiple_of(GIB) {
        let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(GIB));
        return format!("{}.{}GiB", tenths / 10, tenths % 10).replace(".0GiB", "GiB");
    }
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_said_to_the_last_step() {
        assert_eq!(size_at_least(12 << 30), "12GiB");
        assert_eq!(size_at_least((12 << 30) + (1 << 20)), "12.1GiB");
        assert_eq!(size_at_least((12 << 30) - 1), "12GiB");
        assert_eq!(size_at_least(300 << 20), "300MiB");
        let say = |dimension, asked, finding| {
            let found = Counterfactual { dimension, asked, finding };
            counterfactual(&View::default(), &["zone == b".into()], found).sentence
        };
        let starts = |with| Finding::Starts { with, node: NodeId(1), smallest: true };
        assert_eq!(
            say(Dimension::Cpu, Some(4_000), Finding::NothingHelps),
            "with fewer CPUs it would not start now either"
        );
        assert!(
            say(Dimension::Cpu, Some(4_000), starts(2_900))
                .starts_with("with 1.1 fewer CPUs it would start now")
        );
        for asked in [Some(120_000), None] {
            let said = say(Dimension::Time, asked, starts(60_000));
            assert!(said.starts_with("with a time limit of at most 1m it would start now"), "{said}");
        }
        assert!(say(Dimension::Term(0), None, starts(0)).starts_with("without \"zone == b\" it would"));
        assert!(
            say(Dimension::Named("licence".into()), Some(3), starts(1)).starts_with("with 2 less licence it")
        );
        assert!(say(Dimension::Gpu, Some(2_000), Finding::Unknown).contains("took too long"));
    }
}
