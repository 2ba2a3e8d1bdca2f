//! What is ahead of a job, in words: its start, what that counts on, what would help, and how it was before.

use super::text;
use taskyard_client::api::{
    Counterfactual, CounterfactualOutcome, DelayedJob, Dimension, EndBasis, ExpectedEnd, PastReason,
    PlannedStart, Replan, StartKind, WorkState,
};

/// Ends that are shown; JSON has more.
const ENDS_SHOWN: usize = 3;

/// When and where, and how sure that is.
pub(crate) fn start(start: &PlannedStart) -> String {
    let node = start.node.as_deref().map(|node| format!(" on {node}")).unwrap_or_default();
    let at = start.at_ms.map(|at| format!(" ({})", text::time(at))).unwrap_or_default();
    let wait = start.in_ms.map(text::span).unwrap_or_default();
    let sure = match start.kind {
        StartKind::Now => format!("now{node}"),
        StartKind::Planned => format!("in {wait}{node}, as planned{at}"),
        StartKind::PlannedByRank => {
            format!("in {wait}{node}, as planned, unless a job that goes first is submitted{at}")
        }
        StartKind::Forecast => format!("in {wait}{node}, estimate, not reserved{at}"),
        StartKind::EndsUnknown => "unknown: running tasks in its way have no time limit".into(),
        StartKind::OwnEndsUnknown => {
            "unknown: its own running tasks, which it must run apart from, have no time limit".into()
        }
        StartKind::LengthsUnknown => "unknown: waiting jobs ahead of it have no time limit".into(),
        StartKind::NodesAway => "unknown: no node that could run it takes work".into(),
        StartKind::TooFarAhead => "unknown: too much work is ahead of it".into(),
        StartKind::Never => "never: no node can run it".into(),
    };
    match (&start.reserved[..], start.reserved_in_ms) {
        ([], None) => sure,
        ([], Some(in_ms)) => format!("{sure}; in {} a node is reserved for it", text::span(in_ms)),
        ([one], _) => format!("{sure}; {one} is reserved for it"),
        (all, _) => format!("{sure}; {} are reserved for it", all.join(", ")),
    }
}

/// The ends that a start counts on, one a line, the latest first.
pub(crate) fn counts_on(start: &PlannedStart) -> String {
    let mut lines: Vec<String> = start.counts_on.iter().take(ENDS_SHOWN).map(end).collect();
    let more = start.counts_on.len().saturating_sub(ENDS_SHOWN) as u64 + start.more;
    if more > 0 {
        lines.push(format!("and {more} earlier"));
    }
    lines.join("\n")
}

fn end(end: &ExpectedEnd) -> String {
    let jobs: Vec<String> = end.jobs.iter().map(u64::to_string).collect();
    let whose = match jobs.len() {
        0 => "another job".to_owned(),
        1 => format!("job {}", jobs[0]),
        _ => format!("jobs {}", jobs.join(", ")),
    };
    let who = if end.tasks > 1 { format!("{} tasks of {whose}", end.tasks) } else { whose };
    let state = match end.work {
        WorkState::Running => "",
        WorkState::Starting => ", about to start",
        WorkState::Planned => ", planned before it",
        WorkState::Maintenance => return format!("the end of maintenance, in {}", text::span(end.in_ms)),
    };
    let its = if end.tasks > 1 { "their" } else { "its" };
    let by = match end.by {
        EndBasis::Estimate => format!("by {its} estimate"),
        EndBasis::Limit => format!("by {its} time limit"),
        EndBasis::Schedule => "as scheduled".into(),
        EndBasis::Overrun => format!("by {its} corrected estimate"),
    };
    format!("the end of {who}{state}, in {}, {by}", text::span(end.in_ms))
}

/// Changes that would help, one a line, and those that would not, in one.
pub(crate) fn what_if(all: &[Counterfactual]) -> String {
    let of = |outcome| all.iter().filter(move |one| one.outcome == outcome);
    let helps = of(CounterfactualOutcome::Starts).chain(of(CounterfactualOutcome::Unknown));
    let mut lines: Vec<String> = Vec::new();
    let (alike, others): (Vec<_>, Vec<_>) = helps.partition(|one| choice(one.dimension).is_some());
    lines.extend(others.into_iter().map(|one| one.sentence.clone()));
    for of_kind in alike.chunk_by(|a, b| a.dimension == b.dimension) {
        lines.push(any_of(of_kind));
    }
    let mut useless: Vec<String> = of(CounterfactualOutcome::NothingHelps).map(thing).collect();
    if let Some(last) = useless.pop() {
        let list = if useless.is_empty() { last } else { format!("{} or {last}", useless.join(", ")) };
        lines.push(format!("no change of {list} alone would start it now"));
    }
    lines.join("\n")
}

/// Of what there may be many that help alike: how a choice of them is said.
fn choice(dimension: Dimension) -> Option<[&'static str; 2]> {
    match dimension {
        Dimension::Queue => Some(["in one of the queues", ""]),
        Dimension::Resume => Some(["if one of the nodes", " were resumed"]),
        Dimension::Return => Some(["if one of the nodes", " came back"]),
        _ => None,
    }
}

/// Several changes of one kind in one line.
fn any_of(alike: &[&Counterfactual]) -> String {
    let [first, ..] = alike else { return String::new() };
    let Some([one_of, changed]) = choice(first.dimension).filter(|_| alike.len() > 1) else {
        return first.sentence.clone();
    };
    let names: Vec<&str> = alike.iter().filter_map(|one| one.name.as_deref()).collect();
    format!("{one_of} {}{changed} it would start now", names.join(", "))
}

fn thing(one: &Counterfactual) -> String {
    let name = one.name.clone().unwrap_or_default();
    match one.dimension {
        Dimension::Memory => "memory".into(),
        Dimension::Cpu => "CPUs".into(),
        Dimension::Gpu => "GPUs".into(),
        Dimension::Resource => name,
        Dimension::Time => "time".into(),
        Dimension::TimeLimit => "time limit".into(),
        Dimension::Constraint => format!("\"{name}\""),
        Dimension::Priority => "priority".into(),
        Dimension::MaxRunning => "max-running".into(),
        Dimension::Apart => "apart".into(),
        Dimension::Queue => format!("queue {name}"),
        Dimension::Resume | Dimension::Return => format!("node {name}"),
        Dimension::Maintenance => format!("maintenance \"{name}\""),
    }
}

/// Why it has waited so far, the latest first.
pub(crate) fn history(all: &[PastReason]) -> String {
    timeline("since ", all.iter().map(|past| (past.ago_ms, past.sentence.as_str())))
}

/// How its planned start has moved, the latest first.
pub(crate) fn replans(all: &[Replan]) -> String {
    timeline("", all.iter().map(|replan| (replan.ago_ms, replan.sentence.as_str())))
}

fn timeline<'a>(word: &str, all: impl Iterator<Item = (u64, &'a str)>) -> String {
    let all: Vec<_> = all.map(|(ago_ms, what)| (format!("{} ago", text::span(ago_ms)), what)).collect();
    let width = all.iter().map(|(ago, _)| ago.len()).max().unwrap_or(0);
    let lines = all.iter().map(|(ago, what)| format!("{word}{ago:<width$}  {what}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Jobs that would start later, one a line.
pub(crate) fn delays(shown: &[DelayedJob], delayed: u64, complete: bool) -> String {
    let one = |delay: &DelayedJob| {
        let by =
            delay.by_ms.map_or_else(|| "for an unknown time".into(), |by| format!("by {}", text::span(by)));
        format!("job {} {by}; it would start in {}", delay.job, text::span(delay.in_ms))
    };
    let mut lines: Vec<String> = shown.iter().map(one).collect();
    let more = delayed.saturating_sub(shown.len() as u64);
    if more > 0 {
        lines.push(if shown.is_empty() { format!("{more} jobs") } else { format!("and {more} more") });
    }
    if lines.is_empty() {
        lines.push("no job".into());
    }
    if !complete {
        lines.push("only jobs that are planned ahead are counted; more are waiting".into());
    }
    lines.join("\n")
}
