//! Output as it comes: of one task over all its attempts, and of many tasks with the number of each before its lines.

use crate::exit::{Failure, STANDARD_ERROR, STANDARD_OUTPUT};
use crate::show::output::say;
use crate::show::safe::Escaper;
use crate::show::style;
use futures_util::future::try_join_all;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use taskyard_client::api::{ErrorCode, LogQuery, Stream, Task, limits};
use taskyard_client::{Client, Error};

/// Between two looks at a task whose output has ended but whose end is not known yet: at first, and at most.
const SETTLE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Takes what a task wrote.
pub(crate) type Sink<'a> = dyn Fn(Stream, &[u8]) -> Result<(), Failure> + Sync + 'a;

/// How to follow a task.
pub(crate) struct Follow<'a> {
    pub(crate) client: &'a Client,
    pub(crate) streams: &'a [Stream],
    /// Only this attempt instead of the last one and what comes after it.
    pub(crate) attempt: Option<u32>,
    /// Of the first attempt, only this number of lines.
    pub(crate) tail: Option<u64>,
    /// A new attempt is announced.
    pub(crate) announce: bool,
    /// Where there is nothing to read at first, that is an error: it was asked for by name.
    pub(crate) strict: bool,
    pub(crate) sink: &'a Sink<'a>,
}

/// A task that was followed to its end.
pub(crate) struct Followed {
    pub(crate) task: Task,
    /// Why there was no output at all to read.
    pub(crate) nothing: Option<Error>,
}

/// What has been read of a task: an attempt, and how much of its two outputs.
#[derive(Default)]
struct ReadSoFar {
    attempt: Option<u32>,
    offsets: [u64; 2],
    nothing: Option<Error>,
}

impl Follow<'_> {
    /// Reads one attempt after the other, as retries come, until the task has ended. The end of a stream alone does
    /// not say that the attempt is over (its node may not know of it yet): it is read on until the task says so, and
    /// once more after that.
    pub(crate) async fn task(&self, job: u64, number: u64) -> Result<Followed, Failure> {
        let mut progress = ReadSoFar { attempt: self.attempt, ..ReadSoFar::default() };
        let (mut over, mut tail): (Option<Task>, _) = (None, self.tail);
        let (mut pause, mut strict) = (SETTLE, self.strict);
        loop {
            self.read_on((job, number), &mut progress, tail.take()).await?;
            if let Some(error) = progress.nothing.take_if(|_| strict) {
                return Err(error.into());
            }
            strict = false;
            if let Some(task) = over {
                return Ok(Followed { task, nothing: progress.nothing });
            }
            let now = self.client.task(job, number).await?;
            let seen = progress.attempt.unwrap_or(now.attempt);
            let has_next = now.attempt > seen;
            let is_over = has_next || now.state.is_finished();
            if is_over && (self.attempt.is_some() || !has_next) {
                over = Some(now);
            } else if has_next {
                // One after the other, although several may have come and gone.
                progress =
                    ReadSoFar { attempt: Some(seen + 1), nothing: progress.nothing, ..ReadSoFar::default() };
                pause = SETTLE;
                if self.announce {
                    say(&style::paint(style::DIM, &format!("task {job}.{number}: attempt {}", seen + 1)));
                }
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// Reads all outputs from where they were to their present end.
    async fn read_on(
        &self,
        task: (u64, u64),
        progress: &mut ReadSoFar,
        tail: Option<u64>,
    ) -> Result<(), Failure> {
        let read = self.streams.iter().map(|stream| {
            let offset = progress.offsets[*stream as usize];
            let query = LogQuery {
                stream: *stream,
                attempt: progress.attempt,
                offset: tail.is_none().then_some(offset),
                tail,
                follow: true,
            };
            self.stream(task, query)
        });
        for (stream, read) in self.streams.iter().zip(try_join_all(read).await?) {
            match read {
                Ok((attempt, offset)) => {
                    progress.attempt = progress.attempt.or(attempt);
                    progress.offsets[*stream as usize] = offset;
                    progress.nothing = None;
                }
                Err(elsewhere) if progress.offsets == [0, 0] => progress.nothing = Some(elsewhere),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Reads one output to its end: its attempt, and where it ended. Output that is not kept, or written to a file,
    /// is the inner error.
    async fn stream(
        &self,
        (job, task): (u64, u64),
        query: LogQuery,
    ) -> Result<Result<(Option<u32>, u64), Error>, Failure> {
        let stream = query.stream;
        let mut bytes = match self.client.logs(job, task, query).await {
            Ok(bytes) => bytes,
            Err(error) if is_elsewhere(&error) => return Ok(Err(error)),
            Err(error) => return Err(error.into()),
        };
        loop {
            match bytes.next().await {
                Ok(Some(chunk)) => (self.sink)(stream, &chunk)?,
                Ok(None) => break,
                // A stream that began before the node knew the job may learn it only now.
                Err(error) if is_elsewhere(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ok((bytes.attempt(), bytes.offset())))
    }
}

/// The output is not kept, or goes to a file.
pub(crate) fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Api(e) if matches!(e.code, ErrorCode::NotFound | ErrorCode::Gone))
}

/// The output was captured, and the node has dropped it since or finds it damaged.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Api(e) if e.code == ErrorCode::Gone)
}

/// Where output goes: to this process's standard output and error, safe where that is a terminal.
pub(crate) struct Sinks {
    /// Written before each line.
    label: Option<String>,
    each: [Mutex<One>; 2],
}

#[derive(Default)]
struct One {
    /// The beginning of a line that has no end yet.
    line: Vec<u8>,
    escaper: Option<Escaper>,
}

impl Sinks {
    /// Bytes as they are, or whole lines behind a label.
    pub(crate) fn new(label: Option<String>) -> Sinks {
        let one = |is_terminal: bool| {
            Mutex::new(One { line: Vec::new(), escaper: is_terminal.then(Escaper::default) })
        };
        Sinks { label, each: [one(io::stdout().is_terminal()), one(io::stderr().is_terminal())] }
    }

    /// Takes bytes. What was written of a task's standard error goes where `to` says.
    pub(crate) fn write(&self, to: Stream, bytes: &[u8]) -> Result<(), Failure> {
        let mut one = self.each[to as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let safe = one.escaper.as_mut().map(|escaper| escaper.push(bytes));
        let bytes = safe.as_deref().unwrap_or(bytes);
        match &self.label {
            None => write_exactly(to, bytes),
            Some(label) => {
                write_exactly(to, &labelled(&mut one.line, label, bytes, limits::LOG_LABELLED_LINE_BYTES_MAX))
            }
        }
    }

    /// Writes what had no end; says whether anything had to be escaped.
    pub(crate) fn end(&self) -> Result<bool, Failure> {
        let mut escaped = false;
        for to in [Stream::Stdout, Stream::Stderr] {
            let mut one = self.each[to as usize].lock().unwrap_or_else(PoisonError::into_inner);
            let mut rest = one.escaper.as_mut().map(Escaper::end).unwrap_or_default();
            escaped |= one.escaper.as_ref().is_some_and(Escaper::has_escaped);
            if let Some(label) = &self.label {
                if !(rest.is_empty() && one.line.is_empty()) {
                    rest.push(b'\n');
                }
                rest = labelled(&mut one.line, label, &rest, limits::LOG_LABELLED_LINE_BYTES_MAX);
            }
            write_exactly(to, &rest)?;
        }
        Ok(escaped)
    }
}

/// Says that a terminal did not get the bytes as they are.
pub(crate) fn tell_escaped() {
    say(&style::paint(
        style::DIM,
        "the output has bytes that are not text; they are escaped on a terminal, and exact in a pipe or file",
    ));
}

/// Whole lines behind a label; what is not a line yet is kept, up to a limit.
fn labelled(kept: &mut Vec<u8>, label: &str, bytes: &[u8], max: usize) -> Vec<u8> {
    kept.extend_from_slice(bytes);
    if kept.len() > max && !kept.contains(&b'\n') {
        kept.push(b'\n');
    }
    let Some(end) = kept.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = kept.drain(..=end).collect();
    let mut out = Vec::with_capacity(whole.len() + 64);
    for line in whole.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(line);
    }
    out
}

/// Passes bytes on as they are, at once.
pub(crate) fn write_exactly(to: Stream, bytes: &[u8]) -> Result<(), Failure> {
    fn all(mut to: impl Write, bytes: &[u8], what: &str) -> Result<(), Failure> {
        to.write_all(bytes).and_then(|()| to.flush()).map_err(Failure::io(what))
    }
    match to {
        _ if bytes.is_empty() => Ok(()),
        Stream::Stdout => all(io::stdout().lock(), bytes, STANDARD_OUTPUT),
        Stream::Stderr => all(io::stderr().lock(), bytes, STANDARD_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_whole_and_bounded() {
        let mut kept = Vec::new();
        let mut push =
            |bytes: &str| String::from_utf8(labelled(&mut kept, "3| ", bytes.as_bytes(), 8)).unwrap();
        assert_eq!(push("one\ntw"), "3| one\n");
        assert_eq!(push("o\n\nx"), "3| two\n3| \n");
        assert_eq!(push("yyyy"), "", "not a line yet");
        assert_eq!(push("yyyyyy"), "3| xyyyyyyyyyy\n", "longer than is kept");
        assert_eq!(push("z\n"), "3| z\n");
    }
}
