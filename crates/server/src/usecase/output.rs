//! Captured output of an attempt, read from its node piece by piece.

use super::find_job;
use super::select::index_of;
use crate::agents::LogError;
use crate::app::App;
use crate::failure::{Answer, refusal};
use bytes::Bytes;
use std::time::Duration;
use taskyard_api::{ApiError, ErrorCode, LogQuery, Stream};
use taskyard_model::{Invalid, JobId, NodeId, Outcome, TaskIndex, TaskRef, limits};
use taskyard_state::{Job, Phase, TaskRecord};
use taskyard_wire::{LogChunk, LogRead, Stream as WireStream, Unread};
use tokio::time::{Instant, sleep};

/// How long an agent holds a read open when nothing new is there.
const FOLLOW_WAIT_MS: u32 = 10_000;
/// How long a reader that follows waits for an agent that is away.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two looks for it.
const AWAY_REST: Duration = Duration::from_millis(250);
/// Between two looks at an attempt that its agent does not know yet.
const UNKNOWN_REST: Duration = Duration::from_millis(10);
/// When a reader that does not follow may try again.
const RETRY_AWAY_MS: u64 = 1_000;

/// What is to be read.
#[derive(Clone, Debug)]
pub(crate) struct LogWish {
    pub(crate) job: JobId,
    pub(crate) task: u64,
    pub(crate) query: LogQuery,
}

/// Where an attempt's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OutputPlace {
    node: NodeId,
    attempt: u32,
}

/// Output that is being read.
pub(crate) struct TaskOutput {
    app: App,
    read: LogRead,
    /// The task's, as users know it.
    number: u64,
    place: OutputPlace,
    follow: bool,
    first: Option<LogChunk>,
    ended: bool,
}

impl TaskOutput {
    /// Finds the attempt, waiting for its start when asked to follow, and reads the first piece: errors show before
    /// anything is answered.
    pub(crate) async fn open(app: App, wish: LogWish) -> Answer<TaskOutput> {
        let LogWish { job: id, task: number, query } = wish;
        if query.offset.is_some() && query.tail.is_some() {
            let value = query.tail.unwrap_or_default();
            return Err(Invalid::new("tail", value, "give offset or tail, not both").into());
        }
        let (index, place) = locate(&app, id, number, &query).await?;
        let read = LogRead {
            request: 0,
            task: TaskRef { job: id, index },
            attempt: place.attempt,
            stream: match query.stream {
                Stream::Stdout => WireStream::Stdout,
                Stream::Stderr => WireStream::Stderr,
            },
            offset: if query.tail.is_some() { None } else { Some(query.offset.unwrap_or(0)) },
            tail_lines: query.tail.unwrap_or(0),
            max: limits::LOG_READ_BYTES_MAX as u32,
            wait_ms: 0,
            shown: true,
        };
        let mut output =
            TaskOutput { app, read, number, place, follow: query.follow, first: None, ended: false };
        output.first = output.fetch().await?;
        Ok(output)
    }

    /// Which attempt it is of.
    pub(crate) fn attempt(&self) -> u32 {
        self.place.attempt
    }

    /// Where its first byte stands in the stream.
    pub(crate) fn offset(&self) -> u64 {
        let asked = self.read.offset.unwrap_or(0);
        self.first.as_ref().map_or(asked, |chunk| chunk.offset)
    }

    /// Bytes that the agent dropped because the output passed its limit, as far as that is known at the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.first.as_ref().map_or(0, |chunk| chunk.dropped)
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Answer<Option<Bytes>> {
        loop {
            let chunk = match self.first.take() {
                Some(chunk) => chunk,
                None if self.ended => return Ok(None),
                None => match self.fetch().await? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            (self.read.offset, self.read.shown) = (Some(chunk.next), false);
            self.read.wait_ms = if self.follow { FOLLOW_WAIT_MS } else { 0 };
            self.ended =
                if self.follow { chunk.end && self.is_over() } else { chunk.end || chunk.data.is_empty() };
            if !chunk.data.is_empty() {
                return Ok(Some(chunk.data.into()));
            }
            if chunk.end && !self.ended {
                sleep(UNKNOWN_REST).await;
            }
        }
    }

    /// Whether the attempt has ended as far as the state knows. An agent that has not heard of the attempt yet, or has
    /// not reported its end yet, says `end` too.
    fn is_over(&self) -> bool {
        self.app.consensus.read(|state| {
            let record = state.job(self.read.task.job).and_then(|job| job.record(self.read.task.index));
            record.is_none_or(|r| u32::from(r.attempt) != self.place.attempt || !r.phase.is_assigned())
        })
    }

    /// One read, tried again for a while when following: an agent may be restarted. `None` when the server stops.
    async fn fetch(&self) -> Answer<Option<LogChunk>> {
        let mut stopping = self.app.stopping();
        let mut leadership = self.app.consensus.leadership();
        tokio::select! {
            chunk = self.fetch_patiently() => chunk.map(Some),
            _ = stopping.wait_for(|s| *s) => Err(refusal::not_ready()),
            // Agents go to the next leader, and so must who reads.
            _ = leadership.wait_for(Option::is_none) => Err(refusal::not_ready()),
        }
    }

    async fn fetch_patiently(&self) -> Answer<LogChunk> {
        let until = Instant::now() + AWAY_MAX;
        loop {
            match self.app.agents.read_log(self.place.node, self.read.clone()).await {
                Ok(LogChunk { error: Some(Unread::NotNow(_)), .. })
                    if self.follow && Instant::now() < until =>
                {
                    sleep(AWAY_REST).await;
                }
                Ok(LogChunk { error: Some(error), .. }) => return Err(self.unread(error)),
                Ok(chunk) => return Ok(chunk),
                Err(LogError::NotConnected | LogError::Timeout) if self.follow && Instant::now() < until => {
                    sleep(AWAY_REST).await;
                }
                Err(error) => return Err(self.away(error)),
            }
        }
    }

    /// Output that never was here is not found; output that is lost is gone, so that no reader takes it for none.
    /// Output that cannot be read now is neither.
    fn unread(&self, error: Unread) -> ApiError {
        let (job, task, attempt) = (self.read.task.job, self.number, self.place.attempt);
        let of_task = |text| format!("task {job}.{task}, attempt {attempt}: {text}");
        match error {
            Unread::Elsewhere(text) => ApiError::new(ErrorCode::NotFound, text),
            Unread::Lost(text) => ApiError::new(ErrorCode::Gone, of_task(text)),
            Unread::NotNow(text) => ApiError {
                retry_after_ms: Some(RETRY_AWAY_MS),
                ..ApiError::new(ErrorCode::Unavailable, of_task(text))
            },
        }
    }

    fn away(&self, error: LogError) -> ApiError {
        let name = self
            .app
            .consensus
            .read(|state| state.node(self.place.node).map(|n| n.head.registered.name.clone()));
        let message = format!("cannot read the output on node {}: {error}", name.unwrap_or_default());
        let code = if error == LogError::Busy { ErrorCode::Overloaded } else { ErrorCode::Unavailable };
        ApiError { retry_after_ms: Some(RETRY_AWAY_MS), ..ApiError::new(code, message) }
    }
}

/// Finds the attempt whose output is wanted.
async fn locate(app: &App, id: JobId, number: u64, query: &LogQuery) -> Answer<(TaskIndex, OutputPlace)> {
    let mut applied = app.consensus.applied();
    let mut stopping = app.stopping();
    loop {
        applied.mark_unchanged();
        let (index, found) = {
            let job = find_job(&app.consensus, id)?;
            let index = index_of(id, &job.spec.array, number)?;
            (index, place_of(&job, index, number, query)?)
        };
        match found {
            Some(place) => return Ok((index, place)),
            None if !query.follow => {
                let message = format!("task {id}.{number} has not started, so it has no output yet");
                return Err(
                    ApiError::new(ErrorCode::NotFound, message).remedy("follow it to wait for its start")
                );
            }
            None => {}
        }
        tokio::select! {
            changed = applied.changed() => changed.map_err(|_| refusal::not_ready())?,
            _ = stopping.wait_for(|s| *s) => return Err(refusal::not_ready()),
        }
    }
}

/// The attempt, if it has started; `None` if it may start later.
fn place_of(job: &Job, index: TaskIndex, number: u64, query: &LogQuery) -> Answer<Option<OutputPlace>> {
    let id = job.head.id;
    let record = job.record(index).unwrap_or_default();
    let last = u32::from(record.attempt);
    let past = |attempt: u32| {
        let (_, past) = job.past_attempts(index).find(|(n, _)| *n == attempt)?;
        Some(OutputPlace { node: past.node, attempt })
    };
    let started = has_started(&record).then_some(OutputPlace { node: record.node, attempt: last });
    let ever = match query.attempt {
        None => {
            let before = || {
                job.past_attempts(index).last().map(|(n, past)| OutputPlace { node: past.node, attempt: n })
            };
            // Who follows a task that is at its node already wants what comes, not what was.
            let waits = query.follow && record.phase == Phase::Queued;
            started.or_else(|| if waits { None } else { before() })
        }
        Some(attempt) if attempt == last && started.is_some() => started,
        Some(attempt) => past(attempt),
    };
    // Only the attempt after the last one can still come.
    let never = query.attempt.is_some_and(|attempt| attempt < last || attempt == 0 || attempt > last + 1);
    if ever.is_none() && (never || record.phase.is_terminal()) {
        let message = match query.attempt {
            Some(attempt) => {
                let had = if last == 1 { "1 attempt".to_owned() } else { format!("{last} attempts") };
                format!("task {id}.{number} has {had}: there is no attempt {attempt} of it")
            }
            None => format!("task {id}.{number} ended before it started, so it has no output"),
        };
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    Ok(ever)
}

fn has_started(record: &TaskRecord) -> bool {
    match record.phase {
        Phase::Running => true,
        Phase::Pending | Phase::Queued => false,
        // An attempt that ended without a start has no files. Whether one that was lost had started is unknown.
        _ => {
            let lost = record.outcome().is_some_and(Outcome::is_infrastructure);
            record.attempt > 0 && (record.started_wall_ms > 0 || lost)
        }
    }
}
