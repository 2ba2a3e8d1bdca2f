//! `run`: submit, stream, and end as the task ended.

use super::submit::{self, Prepared};
use super::{logs, wait};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::progress::Progress;
use crate::show::cause::cause;
use crate::show::output::say;
use crate::show::style;
use futures_util::{TryStreamExt, stream};
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use taskyard_client::api::{
    ActRequest, ErrorCode, JobSpec, JobState, LogQuery, ReasonCode, Stream, Task, TaskState, TasksQuery,
};
use taskyard_client::{Client, Error};
use tokio::signal::unix::{SignalKind, signal};

/// Tasks of an array whose output is followed at a time. They start in order, so this many running ones are seen live.
const FOLLOWED: usize = 16;
/// Longest silence before a person is told why nothing happens.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
/// Between two looks at a task whose output has ended but whose end is not known yet: at first, and at most.
const SETTLE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn run(ctx: &mut Context, prepared: Prepared) -> Result<u8, Failure> {
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
        code = watch => code,
        code = interrupts(&client, answer.job, ctx.local_flag) => Err(Failure::Code(code)),
        never = tell_why(&client, answer.job), if io::stderr().is_terminal() => match never {},
    }
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

/// The first interrupt cancels the job, whose end is then awaited as any other; the second leaves it. Ends only with the second.
async fn interrupts(client: &Client, job: u64, local_flag: &str) -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end this process, as they would any other.
        return std::future::pending().await;
    };
    for nth in 1.. {
        let number: u8 = tokio::select! { _ = interrupt.recv() => 2, _ = terminate.recv() => 15 };
        if nth > 1 {
            say(&format!("left; `taskyard show{local_flag} {job}` says what becomes of job {job}"));
            return exit::RUN_SIGNAL + number;
        }
        say(&format!("cancelling job {job} (again to leave it)"));
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
    let task = follow_task(client, job, number, &|stream, bytes| match stream {
        Stream::Stdout => logs::write(&mut io::stdout().lock(), bytes),
        Stream::Stderr => logs::write(&mut io::stderr().lock(), bytes),
    })
    .await?;
    if task.state == TaskState::Skipped {
        say(&format!(
            "job {job} was skipped: {}",
            task.reason.as_deref().unwrap_or("a job before it did not end as needed")
        ));
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
    match (last.outcome.as_deref(), last.exit_code, last.signal) {
        (Some("succeeded"), ..) => exit::OK,
        (Some("exited"), Some(code), _) => u8::try_from(code).unwrap_or(exit::TASK_FAILED),
        // As a shell has it.
        (Some("no_program"), ..) => {
            if last.errno == Some(13) {
                126
            } else {
                127
            }
        }
        (_, _, Some(number)) => exit::RUN_SIGNAL.wrapping_add(u8::try_from(number).unwrap_or(0)),
        // Not run at all, so that no code of its own can be meant.
        (None, ..) if task.state == TaskState::Skipped => exit::RUN_FAILED,
        // Stopped before it had started, or without a word on the signal that did it.
        (Some("cancelled"), ..) | (None, ..) => exit::RUN_SIGNAL + 2,
        (Some("time_limit"), ..) => exit::RUN_SIGNAL + 15,
        _ => exit::RUN_FAILED,
    }
}

type Sink<'a> = dyn Fn(Stream, &[u8]) -> Result<(), Failure> + Sync + 'a;

/// What has been streamed of a task: an attempt, and how much of its two outputs.
#[derive(Clone, Copy, Default)]
struct Streamed {
    attempt: Option<u32>,
    offsets: [u64; 2],
}

/// Streams one attempt after the other, as retries come, until the task has ended. The end of a stream alone does not say that the attempt is
/// over (its node may not know of it yet): it is read on until the task says so, and once more after that.
async fn follow_task(client: &Client, job: u64, task: u64, sink: &Sink<'_>) -> Result<Task, Failure> {
    let mut streamed = Streamed::default();
    let mut over: Option<Task> = None;
    let mut pause = SETTLE;
    loop {
        let (out, err) = tokio::try_join!(
            follow_stream(client, (job, task), Stream::Stdout, streamed, sink),
            follow_stream(client, (job, task), Stream::Stderr, streamed, sink),
        )?;
        let attempt = streamed.attempt.or(out.attempt).or(err.attempt);
        streamed = Streamed { attempt, offsets: [out.offsets[0], err.offsets[1]] };
        if let Some(task) = over {
            return Ok(task);
        }
        let now = client.task(job, task).await?;
        if attempt.is_some_and(|seen| now.attempt > seen) {
            streamed = Streamed { attempt: Some(now.attempt), offsets: [0, 0] };
            pause = SETTLE;
        } else if now.state.is_finished() {
            over = Some(now);
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Streams one output from where it was to its end. Output that is not kept, or written to a file, is no failure of the run.
async fn follow_stream(
    client: &Client,
    (job, task): (u64, u64),
    stream: Stream,
    mut streamed: Streamed,
    sink: &Sink<'_>,
) -> Result<Streamed, Failure> {
    let offset = &mut streamed.offsets[stream as usize];
    let query =
        LogQuery { stream, attempt: streamed.attempt, offset: Some(*offset), tail: None, follow: true };
    let mut bytes = match client.logs(job, task, query).await {
        Ok(bytes) => bytes,
        Err(error) if is_elsewhere(&error) => return Ok(streamed),
        Err(error) => return Err(error.into()),
    };
    streamed.attempt = bytes.attempt();
    loop {
        match bytes.next().await {
            Ok(Some(chunk)) => sink(stream, &chunk)?,
            Ok(None) => break,
            // A stream that began before the node knew the job may learn it only now.
            Err(error) if is_elsewhere(&error) => break,
            Err(error) => return Err(error.into()),
        }
    }
    *offset = bytes.offset();
    Ok(streamed)
}

/// The output is not kept, or goes to a file.
fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Api(e) if matches!(e.code, ErrorCode::NotFound | ErrorCode::Gone))
}

/// Streams every task of an array with its number before each line, in the order of their numbers as far as they are ready.
async fn follow_all(ctx: &Context, job: u64, spec: &JobSpec) -> Result<u8, Failure> {
    let client = &ctx.client;
    let numbers = stream::try_unfold(Some(None), move |after: Option<Option<String>>| async move {
        let Some(after) = after else { return Ok(None) };
        let page =
            client.tasks(job, &TasksQuery { after, limit: Some(1_000), ..TasksQuery::default() }).await?;
        let next = page.next.map(Some);
        Ok::<_, Failure>(Some((stream::iter(page.items.into_iter().map(|t| Ok::<_, Failure>(t.task))), next)))
    });
    numbers
        .try_flatten()
        .map_ok(|task| async move {
            let lines = Arc::new(Mutex::new([Vec::new(), Vec::new()]));
            follow_task(client, job, task, &|stream, bytes| prefixed(task, stream, bytes, &lines)).await?;
            for stream in [Stream::Stdout, Stream::Stderr] {
                rest(task, stream, &lines)?;
            }
            Ok(())
        })
        .try_buffer_unordered(FOLLOWED)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let detail = wait::finish(ctx, job, &mut Progress::new(false), None).await?;
    if detail.summary.state != JobState::Succeeded {
        say(&wait::sentence(&detail));
        wait::tell_cause(&detail, spec);
    }
    Ok(wait::code(&detail.summary))
}

type Lines = Arc<Mutex<[Vec<u8>; 2]>>;

/// Writes whole lines with the task's number; what is not a line yet is kept.
fn prefixed(task: u64, stream: Stream, bytes: &[u8], lines: &Lines) -> Result<(), Failure> {
    let mut lines = lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let kept = &mut lines[stream as usize];
    kept.extend_from_slice(bytes);
    let Some(end) = kept.iter().rposition(|b| *b == b'\n') else { return Ok(()) };
    let whole: Vec<u8> = kept.drain(..=end).collect();
    let mut out = Vec::with_capacity(whole.len() + 64);
    for line in whole.split_inclusive(|b| *b == b'\n') {
        out.extend_from_slice(format!("{task}| ").as_bytes());
        out.extend_from_slice(line);
    }
    match stream {
        Stream::Stdout => logs::write(&mut io::stdout().lock(), &out),
        Stream::Stderr => logs::write(&mut io::stderr().lock(), &out),
    }
}

/// Writes a last line that had no end.
fn rest(task: u64, stream: Stream, lines: &Lines) -> Result<(), Failure> {
    let is_whole = {
        let lines = lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines[stream as usize].is_empty()
    };
    if is_whole { Ok(()) } else { prefixed(task, stream, b"\n", lines) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_client::api::Attempt;

    #[test]
    fn exit_codes_follow_the_task() {
        let code = |outcome: &str, exit_code, signal, errno| {
            let last =
                Attempt { outcome: Some(outcome.into()), exit_code, signal, errno, ..Attempt::default() };
            let state = TaskState::Failed;
            code_of(&Task {
                job: 1,
                task: 1,
                index: 0,
                state,
                reason: None,
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
        assert_eq!(code("no_program", None, None, Some(13)), 126);
        assert_eq!(code("agent_lost", None, None, None), 125);
    }
}
