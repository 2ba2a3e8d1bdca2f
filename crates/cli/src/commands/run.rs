//! `run`: submit, stream, and end as the task ended.

use super::follow::{Follow, Sink, Sinks, is_lost, write_exactly};
use super::interrupt::Interrupts;
use super::submit::{self, PreparedJob};
use super::wait;
use crate::context::Context;
use crate::disconnect::{Lost, disconnected};
use crate::exit::{self, Failure};
use crate::progress::WaitProgress;
use crate::select;
use crate::show::cause::{NOT_A_DIRECTORY, NOT_FOUND, cause};
use crate::show::output::say;
use crate::show::{style, text};
use futures_util::TryStreamExt;
use std::io::{self, IsTerminal};
use std::time::Duration;
use taskyard_client::api::{
    ActRequest, ErrorCode, JobSpec, JobState, ReasonCode, Stream, Task, TaskState, TasksQuery, limits,
};
use taskyard_client::{Client, Error};

/// Longest silence before a person is told why nothing happens.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);

pub(crate) async fn run(ctx: &mut Context, prepared: PreparedJob, detach: bool) -> Result<u8, Failure> {
    let spec = prepared.built.request.spec.clone();
    let held = spec.hold;
    // A job without numbers of its own has one task, number 1.
    let only = (spec.array.is_none() && spec.entries.is_empty()).then_some(1);
    let answer = submit::send(ctx, prepared).await?;
    if held {
        say(&format!("job {} is held; `taskyard release{} {0}` lets it run", answer.job, ctx.local_flag));
    }
    let client = ctx.client.clone();
    let watch = async {
        if answer.tasks == 1 {
            follow_one(&client, answer.job, only, &spec).await
        } else {
            follow_all(ctx, answer.job, &spec).await
        }
    };
    tokio::select! {
        // A write that fails and a look at the pipe find the same.
        result = watch => match result {
            Err(failure) if failure.is_broken_pipe() => Err(leave(&client, answer.job, Lost::Reader, detach).await),
            Err(failure) if failure.is_lost_output() => Err(unwritten(&client, answer.job, failure, detach).await),
            result => result,
        },
        lost = disconnected() => Err(leave(&client, answer.job, lost, detach).await),
        code = interrupts(&client, answer.job, ctx.local_flag) => Err(Failure::Code(code)),
        never = tell_why(&client, answer.job), if io::stderr().is_terminal() => match never {},
    }
}

/// What came of a job whose output is lost here.
enum AfterLoss {
    Continues,
    Cancelled,
    HasEnded,
    NotCancelled(Error),
}

/// Cancels a job whose output is lost, unless it was told to continue.
async fn cancel_lost(client: &Client, job: u64, detach: bool) -> AfterLoss {
    if detach {
        return AfterLoss::Continues;
    }
    match client.cancel(job, &ActRequest::default()).await {
        Ok(_) => AfterLoss::Cancelled,
        Err(Error::Api(error)) if error.code == ErrorCode::Conflict => AfterLoss::HasEnded,
        Err(error) => AfterLoss::NotCancelled(error),
    }
}

/// The output has lost its reader.
async fn leave(client: &Client, job: u64, lost: Lost, detach: bool) -> Failure {
    if let AfterLoss::NotCancelled(error) = cancel_lost(client, job, detach).await {
        say(&format!("job {job} could not be cancelled: {error}"));
    }
    Failure::Code(exit::SIGNAL + lost.signal())
}

/// The output cannot be written, as on a full disk: without it the job is of no use here, so that it is cancelled
/// like one whose reader has gone. Unlike that one this is an error, and told as such.
async fn unwritten(client: &Client, job: u64, failure: Failure, detach: bool) -> Failure {
    say(&match cancel_lost(client, job, detach).await {
        AfterLoss::Continues => {
            format!("job {job} continues without this command; see its output with: taskyard logs {job}")
        }
        AfterLoss::Cancelled => {
            format!("job {job} is cancelled, because its output cannot be written here")
        }
        AfterLoss::HasEnded => {
            format!(
                "job {job} has ended, but its output cannot be written here; see it with: taskyard logs {job}"
            )
        }
        AfterLoss::NotCancelled(error) => format!("job {job} could not be cancelled: {error}"),
    });
    failure
}

/// Says to a person why nothing happens, if the job still waits after a moment.
async fn tell_why(client: &Client, job: u64) -> std::convert::Infallible {
    tokio::time::sleep(SILENCE_MAX).await;
    // It is a courtesy: the streams tell what is wrong with the server, if anything is.
    if let Ok(answer) = client.explain(job, None).await
        && !matches!(answer.reason, ReasonCode::Running | ReasonCode::Finished | ReasonCode::Next)
        && answer.state == "pending"
    {
        say(&style::paint(style::DIM, &format!("job {job} waits: {}; Ctrl-C cancels it", answer.sentence)));
    }
    std::future::pending().await
}

/// The first interrupt cancels the job, whose end is then awaited as any other; the second leaves it. Ends only with
/// the second.
async fn interrupts(client: &Client, job: u64, local_flag: &str) -> u8 {
    // Without handlers the signals end this process, as they would any other.
    let Some(mut asked) = Interrupts::new() else { return std::future::pending().await };
    for nth in 1.. {
        let number = asked.next().await;
        if nth > 1 {
            say(&format!("stopped waiting; see how job {job} ends with: taskyard show{local_flag} {job}"));
            return exit::SIGNAL + number;
        }
        say(&format!("cancelling job {job} (again to stop waiting)"));
        if let Err(error) = client.cancel(job, &ActRequest::default()).await {
            say(&format!("job {job} could not be cancelled: {error}"));
        }
    }
    exit::RUN_FAILED
}

/// Streams both outputs of the only task and answers with its exit code.
async fn follow_one(client: &Client, job: u64, only: Option<u64>, spec: &JobSpec) -> Result<u8, Failure> {
    let number = match only {
        Some(number) => number,
        None => {
            let page = client.tasks(job, &TasksQuery { limit: Some(1), ..TasksQuery::default() }).await?;
            let first = page.items.first().map(|task| task.task);
            first.ok_or_else(|| Failure::NotFound(format!("job {job} has no tasks")))?
        }
    };
    let task = follow(client, job, number, &write_exactly).await?;
    if task.state == TaskState::Skipped {
        // The task alone does not tell what was needed.
        let why = client.explain(job, None).await?.sentence;
        say(&format!("job {job} was skipped: {why}"));
    }
    if let Some(cause) = cause(&task, spec) {
        let node = task.last.node.as_deref().unwrap_or("its node");
        say(&format!("job {job} on {node}: {cause}"));
    }
    Ok(code_of(&task))
}

/// The exit code that a task's end means for `run`.
fn code_of(task: &Task) -> u8 {
    let last = &task.last;
    match (last.result.as_deref(), last.exit_code, last.signal) {
        (Some("succeeded"), ..) => exit::OK,
        (Some("exited"), Some(code), _) => u8::try_from(code).unwrap_or(exit::TASK_FAILED),
        (Some("no_program"), ..) => match last.errno {
            None | Some(NOT_FOUND | NOT_A_DIRECTORY) => exit::PROGRAM_NOT_FOUND,
            // It is there: it may not be run, is of no known format, or is for another kind of machine.
            Some(_) => exit::PROGRAM_NOT_EXECUTABLE,
        },
        (_, _, Some(number)) => exit::SIGNAL.wrapping_add(u8::try_from(number).unwrap_or(0)),
        // Not run at all, so that no code of its own can be meant.
        (None, ..) if task.state == TaskState::Skipped => exit::RUN_FAILED,
        // Stopped before it had started, or without a word on the signal that did it.
        (Some("cancelled"), ..) | (None, ..) => exit::SIGNAL + 2,
        (Some("time_limit"), ..) => exit::SIGNAL + 15,
        _ => exit::RUN_FAILED,
    }
}

/// Streams both outputs of a task to its end.
async fn follow(client: &Client, job: u64, task: u64, sink: &Sink<'_>) -> Result<Task, Failure> {
    let streams = &[Stream::Stdout, Stream::Stderr];
    let follow = Follow { client, streams, attempt: None, tail: None, announce: false, strict: false, sink };
    let followed = follow.task(job, task).await?;
    if let Some(error) = followed.nothing.filter(is_lost) {
        say(&error.to_string());
    }
    if let Some(told) = text::disk_full(&followed.task.last) {
        say(&format!("task {job}.{task}: {told}"));
    }
    Ok(followed.task)
}

/// Streams every task of an array with its number before each line, in the order of their numbers as far as they are
/// ready.
async fn follow_all(ctx: &Context, job: u64, spec: &JobSpec) -> Result<u8, Failure> {
    let client = &ctx.client;
    // They start in order, so that running ones are seen live.
    select::all_tasks(client, job, TasksQuery::default())
        .map_ok(|task| async move {
            let task = task.task;
            let sinks = Sinks::new(Some(format!("{task}| ")));
            follow(client, job, task, &|stream, bytes| sinks.write(stream, bytes)).await?;
            sinks.end().map(drop)
        })
        .try_buffer_unordered(limits::LOGS_FOLLOWED_MAX)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let detail = wait::finish(ctx, job, &mut WaitProgress::new(false), None).await?;
    if detail.summary.state != JobState::Succeeded {
        say(&wait::sentence(&detail));
        wait::tell_cause(&detail, spec);
    }
    Ok(wait::code(&detail.summary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_client::api::Attempt;

    #[test]
    fn exit_codes_follow_the_task() {
        let code = |result: &str, exit_code, signal, errno| {
            let last =
                Attempt { result: Some(result.into()), exit_code, signal, errno, ..Attempt::default() };
            let state = TaskState::Failed;
            code_of(&Task {
                job: 1,
                task: 1,
                index: 0,
                state,
                reason: None,
                stopping: None,
                entry: None,
                attempt: 1,
                last,
                attempts: vec![],
            })
        };
        assert_eq!(code("succeeded", Some(0), None, None), 0);
        assert_eq!(code("exited", Some(3), None, None), 3);
        assert_eq!(code("signalled", None, Some(9), None), 137);
        assert_eq!(code("time_limit", None, Some(9), None), 137);
        assert_eq!(code("cancelled", None, None, None), 130);
        assert_eq!(code("no_program", None, None, Some(2)), 127);
        for errno in [8, 13, 26] {
            assert_eq!(code("no_program", None, None, Some(errno)), 126);
        }
        assert_eq!(code("agent_lost", None, None, None), 125);
    }
}
