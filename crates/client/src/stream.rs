//! Output and events as streams that go on where they were when a connection breaks.

use crate::calls::with_query;
use crate::connection::Call;
use crate::sse::Parser;
use crate::{Client, Error, Result};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use std::time::Duration;
use taskyard_api::routes::{self, fill};
use taskyard_api::{Backup, BackupLine, BackupProgress, Event, EventKind, EventQuery, LogQuery};
use tokio::time::Instant;

/// Breaks in a row without a byte in between after which a stream gives up.
const BREAKS_MAX: u32 = 5;
/// Events are preceded by comments at least this often; silence for longer is a dead connection.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A line of an answer in lines is shorter.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest wait for an attempt to start: in effect none, since its turn may take days.
const FOLLOW_MAX: Duration = Duration::from_secs(90 * 86_400);

/// Output of one attempt.
#[derive(Debug)]
pub struct LogStream {
    client: Client,
    path: String,
    query: LogQuery,
    body: Option<Incoming>,
    /// Where the body comes from.
    url: String,
    breaks: u32,
}

/// What came last out of a body.
enum Chunk {
    Data(Bytes),
    End,
    Broken(String),
}

async fn chunk(body: &mut Incoming) -> Chunk {
    loop {
        match body.frame().await {
            None => return Chunk::End,
            Some(Err(error)) => return Chunk::Broken(error.to_string()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Chunk::Data(data),
                _ => {}
            },
        }
    }
}

impl Client {
    /// Opens the output of a task's attempt.
    pub async fn logs(&self, job: u64, task: u64, query: LogQuery) -> Result<LogStream> {
        let path = fill(routes::TASK_LOGS, &[&job.to_string(), &task.to_string()]);
        let mut stream =
            LogStream { client: self.clone(), path, query, body: None, url: String::new(), breaks: 0 };
        stream.open().await?;
        Ok(stream)
    }

    /// Opens the stream of events.
    pub async fn events(&self, query: EventQuery) -> Result<EventStream> {
        let mut stream = EventStream {
            client: self.clone(),
            query,
            last_id: None,
            body: None,
            parser: Parser::default(),
            quiet_since: Instant::now(),
        };
        stream.open().await?;
        Ok(stream)
    }
}

impl Client {
    /// Follows lines of JSON to the last one.
    pub(crate) async fn backup_lines(
        &self,
        call: Call,
        mut progress: impl FnMut(&BackupProgress),
    ) -> Result<Backup> {
        let strange = |cause: String| Error::Protocol { url: call.path.clone(), cause };
        let broken = |cause: String| Err(Error::Indefinite { cause });
        let mut body = self.open(&call).await?.into_body();
        let mut text = Vec::new();
        loop {
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| strange(error.to_string()))? {
                    BackupLine { error: Some(error), .. } => return Err(Error::Api(error)),
                    BackupLine { backup: Some(backup), .. } => return Ok(backup),
                    BackupLine { progress: Some(now), .. } => progress(&now),
                    BackupLine { .. } => {}
                }
            }
            if text.len() > LINE_BYTES_MAX {
                return Err(strange("a line without an end".into()));
            }
            match tokio::time::timeout(SILENCE_MAX, chunk(&mut body)).await {
                Ok(Chunk::Data(data)) => text.extend_from_slice(&data),
                Ok(Chunk::End) => return broken("the answer ended before it was complete".into()),
                Ok(Chunk::Broken(cause)) => return broken(cause),
                Err(_) => return broken(format!("no data came for {SILENCE_MAX:?}")),
            }
        }
    }
}

fn header<T: std::str::FromStr>(answer: &Response<Incoming>, name: &str) -> Option<T> {
    answer.headers().get(name)?.to_str().ok()?.parse().ok()
}

impl LogStream {
    /// The attempt it is of, if the server said so.
    pub fn attempt(&self) -> Option<u32> {
        self.query.attempt
    }

    /// Position in the output after what was read.
    pub fn offset(&self) -> u64 {
        self.query.offset.unwrap_or(0)
    }

    async fn open(&mut self) -> Result<()> {
        let mut call = Call::get(with_query(&self.path, &self.query));
        // Following waits for the start of the attempt, however long its turn takes.
        call.extra = if self.query.follow { FOLLOW_MAX } else { Duration::ZERO };
        let answer = self.client.open(&call).await?;
        // From here on the stream is of this attempt and position, whatever the query asked for.
        self.query.attempt = header(&answer, routes::ATTEMPT_HEADER).or(self.query.attempt);
        self.query.offset = header(&answer, routes::OFFSET_HEADER).or(self.query.offset).or(Some(0));
        self.query.tail = None;
        self.url = self.client.current();
        self.body = Some(answer.into_body());
        Ok(())
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(body) = &mut self.body else {
                self.open().await?;
                continue;
            };
            // A quiet task is no reason to give up; a server that has stopped is.
            let came = tokio::select! {
                came = chunk(body) => came,
                cause = self.client.until_gone(&self.url) => Chunk::Broken(cause),
            };
            match came {
                Chunk::Data(data) => {
                    self.breaks = 0;
                    self.query.offset = Some(self.offset() + data.len() as u64);
                    return Ok(Some(data));
                }
                Chunk::End => return Ok(None),
                Chunk::Broken(cause) if self.breaks >= BREAKS_MAX => return Err(Error::Indefinite { cause }),
                Chunk::Broken(_) => {
                    self.breaks += 1;
                    self.body = None;
                }
            }
        }
    }
}

/// Events, without gaps and repetitions as long as the server keeps them; it says so with [`EventKind::CompactedAt`]
/// when it does not.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    query: EventQuery,
    last_id: Option<String>,
    body: Option<Incoming>,
    parser: Parser,
    quiet_since: Instant,
}

impl EventStream {
    async fn open(&mut self) -> Result<()> {
        let mut call = Call::get(with_query(routes::EVENTS, &self.query));
        call.headers.push(("accept", "text/event-stream".into()));
        call.headers.extend(self.last_id.clone().map(|id| ("last-event-id", id)));
        let answer = self.client.open(&call).await?;
        self.body = Some(answer.into_body());
        self.parser = Parser::default();
        self.quiet_since = Instant::now();
        Ok(())
    }

    /// The next event. Ends only with an error.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(frame) = self.parser.next() {
                let event: Event = serde_json::from_str(&frame.data)
                    .map_err(|e| Error::Protocol { url: routes::EVENTS.into(), cause: e.to_string() })?;
                if event.kind != EventKind::CompactedAt {
                    self.last_id = frame.id.or(self.last_id.take());
                }
                return Ok(event);
            }
            let Some(body) = &mut self.body else {
                self.open().await?;
                continue;
            };
            match tokio::time::timeout(SILENCE_MAX, chunk(body)).await {
                Ok(Chunk::Data(data)) => self
                    .parser
                    .push(&data)
                    .map_err(|cause| Error::Protocol { url: routes::EVENTS.into(), cause: cause.into() })?,
                // A server that ends the stream at once shall not be asked in a tight loop.
                Ok(Chunk::End | Chunk::Broken(_)) | Err(_) => {
                    if self.quiet_since.elapsed() < Duration::from_millis(200) {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    self.body = None;
                }
            }
        }
    }
}
