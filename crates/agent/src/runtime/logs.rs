//! Reads of captured output. A read that has to wait for output is tried again every so often; the loop goes on meanwhile.

use super::{Agent, shown};
use crate::keeper::Cut;
use crate::layout;
use crate::orders::Event;
use crate::packed::{self, PackedIndex};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashSet;
use std::time::Duration;
use taskyard_model::Driver;
use taskyard_wire::{LogChunk, LogRead, Stream, ToServer};
use tokio::time::Instant;

/// How often a waiting read looks for more.
const POLL: Duration = Duration::from_millis(20);
/// Reads that wait at the same time.
const WAITING_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Reads {
    waiting: Vec<WaitingRead>,
    /// Running attempts whose files have their final names.
    published: HashSet<u64>,
    tried: Option<Instant>,
    /// Of the job whose packed output was read last.
    index: Option<(u64, PackedIndex)>,
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
    pub(super) fn note(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Published(key) => drop(self.published.insert(*key)),
                Event::Ended(ended) if !self.published.is_empty() => drop(self.published.remove(&ended.key)),
                _ => {}
            }
        }
    }

    fn index(&mut self, job: u64) -> &mut PackedIndex {
        let kept = self.index.take().filter(|(of, _)| *of == job);
        &mut self.index.insert(kept.unwrap_or_else(|| (job, PackedIndex::default()))).1
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
        if let Err(error) = self.read_output(read, &mut chunk) {
            chunk.error = Some(error);
            return Some(chunk);
        }
        chunk.end &= running.is_none();
        (last || chunk.end || !chunk.data.is_empty()).then_some(chunk)
    }

    fn read_output(&mut self, read: &LogRead, chunk: &mut LogChunk) -> Result<(), String> {
        let (job, stream) = (read.task.job.0, read.stream as usize);
        let name = layout::output_name(read.task.index, read.attempt, stream);
        let failed = |errno: Errno| match errno {
            Errno::LOOP => {
                format!("{name}: a task replaced its output file; it is not read")
            }
            errno => format!("{name}: cannot be read: {errno}"),
        };
        let Some(home) = &self.home else {
            chunk.end = true;
            return Ok(());
        };
        let dir = match layout::open_job_dir(home.data_dir(), job) {
            // It wrote nothing.
            Err(Errno::NOENT) => {
                chunk.end = true;
                return Ok(());
            }
            other => other.map_err(failed)?,
        };
        match layout::open_plain(&dir, &name, OFlags::RDONLY) {
            Ok(file) => {
                let cut = Cut::read(&dir, &name).map_err(failed)?;
                let size = packed::size(&file).map_err(failed)?;
                return shown::fill(&shown::OutputSource::File(file, size), cut, read, chunk).map_err(failed);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let key = (read.task.index, read.attempt, stream as u8);
        let was_dropped = || layout::open_plain(&dir, layout::DROPPED, OFlags::RDONLY).is_ok();
        let found = self.reads.index(job).find(&dir, key).map_err(failed)?;
        match found.map(|entry| packed::read(&dir, &entry)) {
            Some(Ok(bytes)) => {
                shown::fill(&shown::OutputSource::Packed(bytes), Cut::default(), read, chunk).map_err(failed)
            }
            None if !was_dropped() => {
                chunk.end = true;
                Ok(())
            }
            Some(Err(errno)) if !was_dropped() => Err(failed(errno)),
            _ => Err(format!(
                "any output of this task was dropped: node {} has reached its --output-budget and drops the oldest first",
                self.introduction.node
            )),
        }
    }

    /// The user named a file for this stream.
    fn elsewhere(&self, read: &LogRead) -> Option<String> {
        let Driver::Process(command) = &self.core.spec(read.task.job)?.driver else { return None };
        let (path, what) = match read.stream {
            Stream::Stdout => (command.stdout.as_ref()?, "standard output"),
            Stream::Stderr => (command.stderr.as_ref()?, "standard error"),
        };
        Some(format!(
            "the job writes its {what} to {path} on node {}; it is not captured",
            self.introduction.node
        ))
    }
}
