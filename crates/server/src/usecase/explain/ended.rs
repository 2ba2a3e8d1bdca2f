//! How jobs and tasks ended, in words.

use std::cmp::Reverse;
use taskyard_model::Outcome;
use taskyard_model::quantity::show_duration;
use taskyard_state::{Job, Phase, TaskRecord};

/// How a job failed, in a few words: the end of its only task, or the commonest of all failures.
pub(super) fn failed(job: &Job) -> Option<String> {
    let ends = job.head.outcomes.iter().filter_map(|(number, tasks)| {
        let outcome = Outcome::from_u8(*number)?;
        let failed = !matches!(outcome, Outcome::Succeeded | Outcome::Cancelled);
        failed.then_some((*tasks, Reverse(*number), outcome))
    });
    let (tasks, Reverse(number), outcome) = ends.max()?;
    let mut codes = job.head.codes.range((number, i32::MIN)..=(number, i32::MAX));
    let code = codes.next().filter(|_| codes.next().is_none()).map(|((_, code), _)| *code);
    let word = match (outcome, code) {
        (Outcome::Exited, Some(code)) => format!("exit code {code}"),
        (Outcome::Signalled, Some(signal)) => format!("signal {signal}"),
        (Outcome::Exited, None) => "several exit codes".into(),
        (outcome, _) => outcome.name().replace('_', " "),
    };
    Some(if job.tasks() == 1 { word } else { format!("{tasks} tasks: {word}") })
}

/// How the last attempt of a task ended.
pub(super) fn ended_so(record: &TaskRecord) -> String {
    let Some(end) = record.end() else { return "it has ended".into() };
    match end.outcome {
        Outcome::Succeeded | Outcome::Exited => format!("it ended with exit code {}", end.code),
        Outcome::Signalled => format!("it was ended by signal {}", end.code),
        Outcome::TimeLimit => {
            format!("it was stopped at its time limit of {}", show_duration(end.limit_ms))
        }
        Outcome::Cancelled => "it was cancelled".into(),
        other => format!("its last attempt ended: {}", other.name().replace('_', " ")),
    }
}

/// How the tasks of a job ended.
pub(super) fn ended(job: &Job) -> String {
    let phases = [Phase::Succeeded, Phase::Failed, Phase::Cancelled, Phase::Skipped];
    let counts = phases.iter().filter(|phase| job.has(**phase));
    let counts: Vec<String> = counts.map(|phase| format!("{} {}", job.count(*phase), phase.name())).collect();
    format!("all its tasks have ended: {}", counts.join(", "))
}
