//! `logs`: the output of one task as it is, or of many with the number of each before its lines.

use super::follow::{Follow, Sink, Sinks, is_elsewhere, is_lost, tell_escaped};
use super::interrupt;
use crate::args::LogsArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::select::{self, PickedJob};
use crate::show::output::say;
use crate::show::text;
use futures_util::{TryStreamExt, stream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use taskyard_client::api::{Invalid, JobState, LogQuery, Stream, Task, TaskState, TasksQuery, limits};
use taskyard_client::{Client, Error, LogStream};

/// What is to be read of each task.
struct LogOptions {
    stream: Stream,
    attempt: Option<u32>,
    tail: Option<u64>,
    follow: bool,
    state: Option<String>,
}

impl LogOptions {
    fn of(args: &LogsArgs) -> Result<LogOptions, Invalid> {
        if args.failed && args.follow {
            return Err(Invalid::new(
                "--failed",
                "",
                "a failed task writes nothing more; leave out --follow",
            ));
        }
        Ok(LogOptions {
            stream: if args.stderr { Stream::Stderr } else { Stream::Stdout },
            attempt: args.attempt,
            tail: args.tail,
            follow: args.follow,
            state: args.failed.then(|| TaskState::Failed.name().to_owned()),
        })
    }

    fn query(&self) -> LogQuery {
        LogQuery { stream: self.stream, attempt: self.attempt, offset: None, tail: self.tail, follow: false }
    }
}

pub(crate) async fn logs(ctx: &mut Context, args: LogsArgs) -> Result<u8, Failure> {
    let wish = LogOptions::of(&args)?;
    let picked = ctx.pick(&args.targets, &JobState::ALL).await?.picked;
    let jobs: Vec<u64> = picked.iter().map(|one| one.job).collect();
    let read = async {
        match ctx.only_task(&picked).await? {
            Some((job, task)) if !args.failed => one(&ctx.client, &wish, job, task).await,
            _ => many(&ctx.client, &wish, &picked).await,
        }
    };
    interrupt::or_leave(read, &jobs, ctx.local_flag).await?;
    Ok(exit::OK)
}

/// Output of one task, byte for byte unless a terminal shows it.
async fn one(client: &Client, wish: &LogOptions, job: u64, task: u64) -> Result<(), Failure> {
    let sinks = Sinks::new(None);
    if wish.follow {
        let sink = |_, bytes: &[u8]| sinks.write(Stream::Stdout, bytes);
        let followed = Follow { strict: true, ..follow(client, wish, &sink) }.task(job, task).await?;
        tell_incomplete(&followed.task, wish.attempt);
    } else {
        let mut stream = client.logs(job, task, wish.query()).await?;
        while let Some(bytes) = stream.next().await? {
            sinks.write(Stream::Stdout, &bytes)?;
        }
        tell_incomplete(&client.task(job, task).await?, wish.attempt);
    }
    if sinks.end()? {
        tell_escaped();
    }
    Ok(())
}

/// Says what the bytes do not: that the attempt may have written more.
fn tell_incomplete(task: &Task, attempt: Option<u32>) {
    if let Some(told) = incomplete(task, attempt) {
        say(&told);
    }
}

fn incomplete(task: &Task, attempt: Option<u32>) -> Option<String> {
    let read = attempt.and_then(|number| task.attempts.iter().find(|one| one.number == Some(number)));
    let told = text::disk_full(read.unwrap_or(&task.last))?;
    Some(format!("task {}.{}: {told}", task.job, task.task))
}

fn follow<'a>(client: &'a Client, wish: &'a LogOptions, sink: &'a Sink<'a>) -> Follow<'a> {
    let streams = std::slice::from_ref(&wish.stream);
    Follow { client, streams, attempt: wish.attempt, tail: wish.tail, announce: true, strict: false, sink }
}

/// What was met on the way through many tasks.
#[derive(Default)]
struct LogCounts {
    tasks: AtomicU64,
    without: AtomicU64,
    /// Tasks whose output was captured and cannot be shown.
    lost: AtomicU64,
    /// Tasks that may have written more.
    incomplete: AtomicU64,
    escaped: AtomicBool,
}

/// Output of many tasks: followed a few at a time, or else one after the other.
async fn many(client: &Client, wish: &LogOptions, picked: &[PickedJob]) -> Result<(), Failure> {
    let with_job = picked.iter().any(|one| one.job != picked[0].job);
    let label = move |task: &Task| match with_job {
        true => format!("{}.{}| ", task.job, task.task),
        false => format!("{}| ", task.task),
    };
    let met = &LogCounts::default();
    let tasks = stream::iter(picked.iter().map(Ok::<_, Failure>))
        .map_ok(|one| {
            let tasks = one.tasks.as_ref().map(ToString::to_string);
            let query = TasksQuery { state: wish.state.clone(), tasks, ..TasksQuery::default() };
            select::all_tasks(client, one.job, query)
        })
        .try_flatten()
        .inspect_ok(|_| {
            met.tasks.fetch_add(1, Ordering::Relaxed);
        });
    if wish.follow {
        tasks
            .map_ok(|task| async move {
                let sinks = Sinks::new(Some(label(&task)));
                let sink = |_, bytes: &[u8]| sinks.write(Stream::Stdout, bytes);
                let followed = follow(client, wish, &sink).task(task.job, task.task).await?;
                met.note(followed.nothing.is_none(), sinks.end()?);
                met.note_incomplete(&followed.task, wish.attempt);
                followed.nothing.map_or(Ok(()), |error| met.pass_over(error))
            })
            .try_buffer_unordered(limits::LOGS_FOLLOWED_MAX)
            .try_for_each(|()| async { Ok(()) })
            .await?;
    } else {
        tasks
            .map_ok(|task| async move {
                let opened = open(client, wish, &task).await?;
                Ok((task, opened))
            })
            .try_buffered(limits::LOGS_OPENED_AHEAD)
            .try_for_each(|(task, opened)| async move {
                copy(label(&task), opened, met).await?;
                met.note_incomplete(&task, wish.attempt);
                Ok(())
            })
            .await?;
    }
    met.tell(wish)
}

/// Opens the output of a task, if there is any. What is wrong with it is told in its turn.
async fn open(
    client: &Client,
    wish: &LogOptions,
    task: &Task,
) -> Result<Result<Option<LogStream>, Error>, Failure> {
    if task.attempt == 0 {
        return Ok(Ok(None));
    }
    match client.logs(task.job, task.task, wish.query()).await {
        Ok(stream) => Ok(Ok(Some(stream))),
        Err(error) if is_elsewhere(&error) => Ok(Err(error)),
        Err(error) => Err(error.into()),
    }
}

async fn copy(
    label: String,
    opened: Result<Option<LogStream>, Error>,
    met: &LogCounts,
) -> Result<(), Failure> {
    let sinks = Sinks::new(Some(label));
    let is_there = matches!(opened, Ok(Some(_)));
    let copied = match opened {
        Ok(Some(mut stream)) => loop {
            match stream.next().await {
                Ok(Some(bytes)) => sinks.write(Stream::Stdout, &bytes)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        },
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    met.note(is_there, sinks.end()?);
    copied.or_else(|error| met.pass_over(error))
}

impl LogCounts {
    fn note(&self, has_output: bool, escaped: bool) {
        self.without.fetch_add(u64::from(!has_output), Ordering::Relaxed);
        self.escaped.fetch_or(escaped, Ordering::Relaxed);
    }

    /// The first ones are named; a full disk may have hit many.
    fn note_incomplete(&self, task: &Task, attempt: Option<u32>) {
        if let Some(told) = incomplete(task, attempt)
            && self.incomplete.fetch_add(1, Ordering::Relaxed) < limits::MISTAKES_TOLD_MAX as u64
        {
            say(&told);
        }
    }

    /// Output that is not here, or not any more, is no reason to keep back that of other tasks.
    fn pass_over(&self, error: Error) -> Result<(), Failure> {
        if is_lost(&error) {
            if self.lost.fetch_add(1, Ordering::Relaxed) < limits::MISTAKES_TOLD_MAX as u64 {
                say(&error.to_string());
            }
            return Ok(());
        }
        if is_elsewhere(&error) { Ok(()) } else { Err(error.into()) }
    }

    /// What the output itself does not say.
    fn tell(&self, wish: &LogOptions) -> Result<(), Failure> {
        let (tasks, without) = (self.tasks.load(Ordering::Relaxed), self.without.load(Ordering::Relaxed));
        if tasks == 0 {
            let what = if wish.state.is_some() { "no task failed" } else { "there is no such task" };
            return Err(Failure::NotFound(what.to_owned()));
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if let Some(attempt) = wish.attempt.filter(|_| without == tasks && lost == 0) {
            return Err(Failure::NotFound(format!("no task has output of an attempt {attempt}")));
        }
        let without = without.saturating_sub(lost);
        if without > 0 {
            say(&format!(
                "{without} of {} without output here: not started, or written to a file",
                text::tasks(tasks)
            ));
        }
        if self.escaped.load(Ordering::Relaxed) {
            tell_escaped();
        }
        for (count, what) in [(&self.incomplete, "may be incomplete"), (&self.lost, "is lost")] {
            let untold = count.load(Ordering::Relaxed).saturating_sub(limits::MISTAKES_TOLD_MAX as u64);
            if untold > 0 {
                say(&format!("and the output of {untold} more {what}"));
            }
        }
        if lost > 0 {
            let tasks = text::tasks(tasks);
            return Err(Failure::NotFound(format!("the output of {lost} of {tasks} is lost")));
        }
        Ok(())
    }
}

impl Context {
    /// The number of the one task that is meant: the one named, or the only one of the job.
    pub(crate) async fn one_task(&self, picked: &PickedJob, command: &str) -> Result<u64, Failure> {
        if let Some((_, task)) = self.only_task(std::slice::from_ref(picked)).await? {
            return Ok(task);
        }
        let (value, remedy) = match &picked.tasks {
            Some(tasks) => (format!("{}.{tasks}", picked.job), format!("{command} takes one task at a time")),
            None => {
                (picked.job.to_string(), format!("job {0} has many tasks; name one, as in {0}.1", picked.job))
            }
        };
        Err(Invalid::new("JOB.TASK", value, remedy).into())
    }

    /// Job and task, if exactly one task is meant.
    async fn only_task(&self, picked: &[PickedJob]) -> Result<Option<(u64, u64)>, Failure> {
        let [one] = picked else { return Ok(None) };
        if let Some(tasks) = &one.tasks {
            return Ok(tasks.single().map(|task| (one.job, task)));
        }
        let query = TasksQuery { limit: Some(2), ..TasksQuery::default() };
        match &self.client.tasks(one.job, &query).await?.items[..] {
            [only] => Ok(Some((one.job, only.task))),
            [] => Err(Failure::NotFound(format!("job {} has no tasks", one.job))),
            _ => Ok(None),
        }
    }
}
