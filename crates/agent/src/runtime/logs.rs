//! Reads of captured output. A read that has to wait for output is tried again every so often; the loop goes on
//! meanwhile.

use super::captured::{self, Found, LastIndex, Loss};
use super::{Agent, shown};
use crate::orders::DriverEvent;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use taskyard_model::Driver;
use taskyard_wire::{LogChunk, LogRead, Stream, ToServer, Unread};
use tokio::time::Instant;

/// How often a waiting read looks for more.
const POLL: Duration = Duration::from_millis(20);
/// Reads that wait at the same time.
const WAITING_MAX: usize = 64;
/// Places of damage that the log names in the life of one agent.
const DAMAGE_TOLD_MAX: usize = 1_024;

#[derive(Default)]
pub(super) struct Reads {
    waiting: Vec<WaitingRead>,
    /// Running attempts whose files have their final names.
    published: HashSet<u64>,
    tried: Option<Instant>,
    /// Of the job whose packed output was read last.
    index: LastIndex,
    /// Damage that the log of the agent has: readers may come to it any number of times.
    told: BTreeSet<(u64, String)>,
}

struct WaitingRead {
    read: LogRead,
    until: Instant,
}

impl Reads {
    pub(super) fn add(&mut self, read: LogRead) {
        let until = Instant::now() + Duration::from_millis(read.wait_ms.into());
        self.waiting.push(WaitingRead { read, until });
        self.tried = None;
    }

    /// Notes whose output can be read.
    pub(super) fn note(&mut self, events: &[DriverEvent]) {
        for event in events {
            match event {
                DriverEvent::Published(key) => drop(self.published.insert(*key)),
                DriverEvent::Ended(ended) if !self.published.is_empty() => {
                    self.published.remove(&ended.key);
                }
                _ => {}
            }
        }
    }

    /// Whether the log does not say so yet.
    fn is_news(&mut self, job: u64, loss: &Loss) -> bool {
        self.told.len() < DAMAGE_TOLD_MAX && self.told.insert((job, loss.to_string()))
    }

    pub(super) fn next_try(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        Some(self.tried.map_or_else(Instant::now, |tried| tried + POLL))
    }
}

impl Agent {
    /// Answers the reads that can be answered.
    pub(super) fn serve_reads(&mut self) {
        if self.reads.next_try().is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.reads.tried = Some(Instant::now());
        let mut rest = Vec::new();
        let mut answers = Vec::new();
        for (i, waiting) in std::mem::take(&mut self.reads.waiting).into_iter().enumerate() {
            let last = waiting.until <= Instant::now() || i >= WAITING_MAX;
            match self.try_read(&waiting.read, last) {
                Some(chunk) => answers.push(chunk),
                None => rest.push(waiting),
            }
        }
        self.reads.waiting = rest;
        answers.into_iter().for_each(|chunk| self.uplink.send(&ToServer::Log(chunk)));
        self.uplink.flush();
        self.drivers.flush();
    }

    /// `None`: nothing yet. With `last` there is always an answer.
    fn try_read(&mut self, read: &LogRead, last: bool) -> Option<LogChunk> {
        let running = self.core.running_key(read.task, read.attempt);
        let mut chunk = LogChunk {
            request: read.request,
            offset: read.offset.unwrap_or(0),
            data: Vec::new(),
            end: false,
            error: self.elsewhere(read),
            dropped: 0,
            next: read.offset.unwrap_or(0),
        };
        if chunk.error.is_some() {
            return Some(chunk);
        }
        if let Some(key) = running
            && !self.reads.published.contains(&key)
        {
            // Its files have no names of its own yet.
            let driver = self.core.driver_of(read.task.job);
            self.drivers.of(driver).publish(key);
            return last.then_some(chunk);
        }
        if let Err(error) = self.read_output(read, running.is_some(), &mut chunk) {
            chunk.error = Some(error);
            return Some(chunk);
        }
        chunk.end &= running.is_none();
        (last || chunk.end || !chunk.data.is_empty()).then_some(chunk)
    }

    fn read_output(&mut self, read: &LogRead, is_running: bool, chunk: &mut LogChunk) -> Result<(), Unread> {
        let Some(home) = &self.home else {
            chunk.end = true;
            return Ok(());
        };
        let found = captured::open(home.data_dir(), read, is_running, &mut self.reads.index);
        found.and_then(|found| fill(found, read, chunk)).map_err(|loss| self.unread(read, &loss))
    }

    fn unread(&mut self, read: &LogRead, loss: &Loss) -> Unread {
        let (job, node) = (read.task.job.0, &self.introduction.node);
        if let Some(lacking) = loss.passing() {
            return Unread::NotNow(format!("cannot be read now: {lacking} on node {node}"));
        }
        let place = loss.place(job);
        if loss.is_damage() && self.reads.is_news(job, loss) {
            let (index, attempt) = (read.task.index, read.attempt);
            tracing::error!(job, index, attempt, "captured output is lost: {place}: {loss}");
        }
        Unread::Lost(format!("node {node}, {place}: {loss}"))
    }

    /// The user named a file for this stream.
    fn elsewhere(&self, read: &LogRead) -> Option<Unread> {
        let Driver::Process(command) = &self.core.spec(read.task.job)?.driver else { return None };
        let (path, what) = match read.stream {
            Stream::Stdout => (command.stdout.as_ref()?, "standard output"),
            Stream::Stderr => (command.stderr.as_ref()?, "standard error"),
        };
        let node = &self.introduction.node;
        let text = format!("the job writes its {what} to {path} on node {node}; it is not captured");
        Some(Unread::Elsewhere(text))
    }
}

/// Fills a chunk with what is there. A reader gets all that is left of an output before it hears what is not.
fn fill(found: Option<Found>, read: &LogRead, chunk: &mut LogChunk) -> Result<(), Loss> {
    let Some(found) = found else {
        // It wrote nothing.
        chunk.end = true;
        return Ok(());
    };
    shown::fill(&found.source, found.cut, read, chunk)?;
    match found.loss {
        Some(loss) if chunk.end && chunk.data.is_empty() => Err(loss),
        Some(_) => {
            chunk.end = false;
            Ok(())
        }
        None => Ok(()),
    }
}
