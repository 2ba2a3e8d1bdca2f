//! What users do to jobs: cancel, hold, release, change.

use super::explain::unused_priority;
use super::{Attribution, change, entitled, find_job, possible, quick_summary, runs_of};
use crate::auth::Caller;
use crate::failure::Answer;
use std::collections::BTreeSet;
use taskyard_api::{ActRequest, ActResponse, Changes, UpdateJob};
use taskyard_consensus::Consensus;
use taskyard_model::{Begin, Invalid, JobId, TaskIndex};
use taskyard_state::{Change, Command, Job, Phase, Reply, State};

/// Cancels a job, or some of its tasks.
pub(crate) async fn cancel_job(
    consensus: &Consensus,
    by: &Caller,
    job: JobId,
    request: &ActRequest,
) -> Answer<ActResponse> {
    let (tasks, object) = match &request.tasks {
        None => (Vec::new(), format!("job {job}")),
        Some(numbers) => {
            let array = find_job(consensus, job)?.spec.array.clone();
            (runs_of(job, &array, numbers)?, format!("tasks {job}.{numbers}"))
        }
    };
    let on = Attribution::on_job(consensus, by, job, object);
    act(consensus, on, job, Command::Cancel { job, tasks, now: request.now }).await
}

pub(crate) async fn hold_job(
    consensus: &Consensus,
    by: &Caller,
    job: JobId,
    request: &ActRequest,
) -> Answer<ActResponse> {
    whole_job(request, "held")?;
    let on = Attribution::on_job(consensus, by, job, format!("job {job}"));
    let answer = act(consensus, on, job, Command::Hold { job }).await?;
    let told = |state: &State| state.job(job).and_then(|job| already_ending(job));
    Ok(ActResponse { warnings: consensus.read(told).into_iter().collect(), ..answer })
}

pub(crate) async fn release_job(
    consensus: &Consensus,
    by: &Caller,
    job: JobId,
    request: &ActRequest,
) -> Answer<ActResponse> {
    whole_job(request, "released")?;
    act(
        consensus,
        Attribution::on_job(consensus, by, job, format!("job {job}")),
        job,
        Command::Release { job },
    )
    .await
}

/// Changes what a job asks for.
pub(crate) async fn update_job(
    consensus: &Consensus,
    by: &Caller,
    job: JobId,
    update: UpdateJob,
) -> Answer<ActResponse> {
    let change = change_of(update.check()?);
    let on = Attribution::on_job(consensus, by, job, format!("job {job}"));
    consensus.read(|state| entitled::check_change(state, by, job, &change))?;
    if !update.wait_for_nodes {
        consensus.read(|state| possible::check_change(state, job, &change))?;
    }
    let asked = change.clone();
    let before = consensus.read(|state| Before::of(state, job));
    let answer = act(consensus, on, job, Command::Update { job, change }).await?;
    let told = |state: &State| state.job(job).map(|job| effects(state, job, &asked, &before));
    Ok(ActResponse { warnings: consensus.read(told).unwrap_or_default(), ..answer })
}

/// What a job was like before a change.
#[derive(Default)]
struct Before {
    stopping: BTreeSet<TaskIndex>,
    failed: u32,
}

impl Before {
    fn of(state: &State, job: JobId) -> Before {
        let of = |job: &Job| Before {
            stopping: state.stopping(job).into_keys().collect(),
            failed: job.count(Phase::Failed),
        };
        state.job(job).map(|job| of(job)).unwrap_or_default()
    }
}

/// What a change did at once, and what it does not reach of a job as it is.
fn effects(state: &State, job: &Job, change: &Change, before: &Before) -> Vec<String> {
    let mut said: Vec<String> = already_ending(job).into_iter().collect();
    said.extend(of_time_limit(state, job, change, before));
    let failed = job.count(Phase::Failed).saturating_sub(before.failed);
    if change.retries.is_some() && failed > 0 {
        let what = if failed == 1 { "1 task that waited" } else { &format!("{failed} tasks that waited") };
        said.push(format!("{what} to be tried again failed at once"));
    }
    said.extend(unreached(state, job, change));
    said
}

/// A job whose tasks are being stopped can still be held and changed, but nothing of it starts again.
fn already_ending(job: &Job) -> Option<String> {
    let why = match (job.head.is_stopped(), job.head.cancelled) {
        (false, _) => return None,
        (true, true) => "it was cancelled",
        (true, false) => "too many of its tasks failed",
    };
    Some(format!("the job is ending, because {why}: none of its tasks starts again"))
}

/// Attempts that a new time limit stops at once, and those that were being stopped already.
fn of_time_limit(state: &State, job: &Job, change: &Change, before: &Before) -> Vec<String> {
    if change.time_limit_ms.is_none() {
        return Vec::new();
    }
    let (old, new): (Vec<_>, Vec<_>) =
        state.stopping(job).into_iter().partition(|(index, _)| before.stopping.contains(index));
    let number = |index: TaskIndex| job.spec.array.number(index);
    let old = old.first().map(|(index, first)| {
        let number = number(*index);
        format!("the new time limit does not reach attempts that are being stopped, such as that of task {number}: {}", first.cause)
    });
    let new = new.first().map(|(index, _)| match new.len() {
        1 => format!("task {} has run longer than the new time limit and is being stopped", number(*index)),
        n => format!("{n} tasks have run longer than the new time limit and are being stopped"),
    });
    old.into_iter().chain(new).collect()
}

/// What a change does not reach of a job as it is.
fn unreached(state: &State, job: &Job, change: &Change) -> Vec<String> {
    let mut said = Vec::new();
    let on_nodes = job.count(Phase::Running) + job.count(Phase::Queued);
    let waiting = job.count(Phase::Pending);
    let waits_only = [
        (change.begin.is_some_and(|begin| begin != Begin::After(0)), "begin"),
        (change.priority.is_some(), "priority"),
        (change.max_running.is_some_and(|most| most > 0), "max_running"),
    ];
    for (_, what) in waits_only.iter().filter(|(is_changed, _)| *is_changed && on_nodes > 0) {
        match (waiting, *what) {
            (0, what) => said.push(format!(
                "all its tasks are on nodes and go on: {what} counts only for one that is tried again"
            )),
            (waiting, "begin") => {
                said.push(format!("{}; begin counts for the {waiting} that wait", go_on(on_nodes)));
            }
            (_, "max_running") if change.max_running.is_some_and(|most| most < on_nodes) => {
                said.push(format!("{}: none starts until fewer run", go_on(on_nodes)));
            }
            _ => {}
        }
    }
    let reorders = change.priority.is_some() || change.queue.is_some();
    said.extend(unused_priority(state, job).filter(|_| reorders));
    said
}

fn go_on(on_nodes: u32) -> String {
    match on_nodes {
        1 => "1 task is on a node and goes on".to_owned(),
        _ => format!("{on_nodes} tasks are on nodes and go on"),
    }
}

/// Proposes it; answers the job as it is after that.
async fn act(
    consensus: &Consensus,
    on: Attribution<'_>,
    job: JobId,
    command: Command,
) -> Answer<ActResponse> {
    let visible = on.by.visible();
    let reply = change(consensus, on, command).await?;
    let tasks = if let Reply::Changed { tasks } = reply { tasks } else { 0 };
    let stopping = consensus.read(|state| state.job(job).map_or(0, |job| state.stopping(job).len() as u64));
    Ok(ActResponse { job: quick_summary(consensus, &visible, job)?, tasks, stopping, warnings: Vec::new() })
}

fn whole_job(request: &ActRequest, done: &str) -> Answer<()> {
    match &request.tasks {
        Some(tasks) => {
            Err(Invalid::new("tasks", tasks, format!("only a whole job can be {done}; leave tasks out"))
                .into())
        }
        None if request.now => Err(Invalid::new("now", true, "only cancel supports it; leave it out").into()),
        None => Ok(()),
    }
}

/// The state's way to say the same: a limit of 0 is none.
fn change_of(changes: Changes) -> Change {
    Change {
        priority: changes.priority,
        queue: changes.queue,
        time_limit_ms: changes.time_limit_ms.map(|limit| limit.unwrap_or(0)),
        estimate_ms: changes.estimate_ms.map(|estimate| estimate.unwrap_or(0)),
        max_running: changes.max_running.map(|most| most.unwrap_or(0)),
        retries: changes.retries,
        begin: changes.begin.map(|begin| begin.unwrap_or(Begin::After(0))),
        grace_ms: changes.grace_ms,
        name: changes.name,
        cpu_milli: changes.cpu_milli,
        memory: changes.memory,
        gpu_milli: changes.gpu_milli,
        constraint: changes.constraint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_takes_a_limit_away() {
        let none = || Some("none".to_owned());
        let update = UpdateJob {
            time_limit: none().map(Into::into),
            retries: Some(3),
            begin: none(),
            ..UpdateJob::default()
        };
        let change = change_of(update.check().unwrap());
        let begin = Some(Begin::After(0));
        assert_eq!(change, Change { time_limit_ms: Some(0), retries: Some(3), begin, ..Change::default() });
    }
}
