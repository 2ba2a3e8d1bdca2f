//! Reads of captured output. A read that has to wait for output is tried again every so often; the loop goes on meanwhile.

use super::Agent;
use crate::keeper::proto::{Event, ToKeeper};
use crate::layout;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;
use taskyard_model::{Driver, limits};
use taskyard_wire::{LogChunk, LogRead, Stream, ToServer};
use tokio::time::Instant;

/// How often a waiting read looks for more.
const POLL: Duration = Duration::from_millis(20);
/// Reads that wait at the same time.
const WAITING_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Reads {
    waiting: Vec<Waiting>,
    /// Running attempts whose files have their final names.
    published: HashSet<u64>,
    tried: Option<Instant>,
}

struct Waiting {
    read: LogRead,
    until: Instant,
}

impl Reads {
    pub(super) fn add(&mut self, read: LogRead) {
        let until = Instant::now() + Duration::from_millis(read.wait_ms.into());
        self.waiting.push(Waiting { read, until });
        self.tried = None;
    }

    /// Hears what the keeper says.
    pub(super) fn published(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Published(key) => drop(self.published.insert(*key)),
                Event::Ended(ended) if !self.published.is_empty() => drop(self.published.remove(&ended.key)),
                _ => {}
            }
        }
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
        self.link.writer.send_now();
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
        };
        if chunk.error.is_some() {
            return Some(chunk);
        }
        if let Some(key) = running
            && !self.reads.published.contains(&key)
        {
            // Its files have no names of its own yet.
            self.link.writer.push(&ToKeeper::Publish(key));
            return last.then_some(chunk);
        }
        if let Err(error) = self.read_file(read, &mut chunk) {
            chunk.error = Some(error.to_string());
            return Some(chunk);
        }
        chunk.end = running.is_none() && chunk.data.len() < wanted(read);
        (last || chunk.end || !chunk.data.is_empty()).then_some(chunk)
    }

    fn read_file(&self, read: &LogRead, chunk: &mut LogChunk) -> io::Result<()> {
        let stream = match read.stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let name = layout::output_name(read.task.index, read.attempt, stream);
        let path = layout::job_dir(&self.config.data_dir, read.task.job.0).join(name);
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let file = match File::options().read(true).custom_flags(nofollow).open(&path) {
            Ok(file) => file,
            // It wrote nothing.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
        };
        let dropped = std::fs::read_to_string(path.with_extension(format!("{stream}.dropped")));
        chunk.dropped = dropped.ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let max = wanted(read);
        let size = file.metadata()?.len();
        let start = read.offset.unwrap_or_else(|| size.saturating_sub(max as u64));
        let mut data = vec![0; max.min(usize::try_from(size.saturating_sub(start)).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < data.len() {
            match file.read_at(&mut data[filled..], start + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        data.truncate(filled);
        let skip = if read.offset.is_none() { before_tail(&data, read.tail_lines) } else { 0 };
        data.drain(..skip);
        chunk.offset = start + skip as u64;
        chunk.data = data;
        Ok(())
    }

    /// The user named a file for this stream.
    fn elsewhere(&self, read: &LogRead) -> Option<String> {
        let Driver::Process(command) = &self.core.spec(read.task.job)?.driver else { return None };
        let (path, what) = match read.stream {
            Stream::Stdout => (command.stdout.as_ref()?, "standard output"),
            Stream::Stderr => (command.stderr.as_ref()?, "standard error"),
        };
        Some(format!("the job writes its {what} to {path} on node {}; it is not captured", self.config.name))
    }
}

fn wanted(read: &LogRead) -> usize {
    (read.max as usize).min(limits::LOG_READ_BYTES_MAX)
}

/// How many bytes come before the last `lines` lines.
fn before_tail(data: &[u8], lines: u64) -> usize {
    let mut newlines = data.iter().enumerate().rev().filter(|(at, b)| **b == b'\n' && at + 1 < data.len());
    let Some(nth) = usize::try_from(lines).ok().and_then(|lines| lines.checked_sub(1)) else {
        return data.len();
    };
    newlines.nth(nth).map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::before_tail;

    #[test]
    fn tails() {
        for (text, lines, rest) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\n", 5, "a\n"),
            ("", 3, ""),
            ("a\nb\n", 0, ""),
        ] {
            assert_eq!(&text[before_tail(text.as_bytes(), lines)..], rest, "{text:?} {lines}");
        }
    }
}
