//! The thread that writes the log.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::disk::{Disk, DiskFile};
use super::frame::{self, FrameKind};
use super::recover::LogEnd;
use super::segment::{self, Meta, Pos};
use super::space::DiskSpace;
use super::{Done, Op, SharedWal, WalRecord};
use crate::error::StartError;
use taskyard_model::is_mutant;

/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// A batch buffer larger than this is not kept for the next batch.
const KEEP_BYTES: usize = 1 << 20;

/// Where to go on writing.
pub(super) struct WritePosition {
    pub(super) dir: PathBuf,
    pub(super) salt: u32,
    pub(super) meta: Meta,
    pub(super) next_seq: u64,
    pub(super) end: LogEnd,
}

/// What a durable batch changes in the index.
enum IndexChange {
    Entry { index: u64, offset: u64 },
    TruncateFrom(u64),
    Purge(u64),
}

/// An operation that failed, and where.
struct Failed {
    operation: &'static str,
    offset: u64,
    cause: io::Error,
}

pub(super) struct WalWriter {
    disk: Arc<dyn Disk>,
    shared: Arc<SharedWal>,
    space: Arc<DiskSpace>,
    dir: PathBuf,
    salt: u32,
    meta: Meta,
    /// Sequence number of the next frame, and of the first one of this batch.
    seq: u64,
    batch: u64,
    number: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    len: u64,
    /// Where the batch goes.
    at: u64,
    buffer: Vec<u8>,
    changes: Vec<IndexChange>,
    done: Vec<(u64, Option<Done>)>,
    /// Taken from the queue and not staged yet.
    taken: VecDeque<Op>,
}

impl WalWriter {
    /// Prepares to write at the end of a recovered log, beginning a segment if there is none.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        shared: Arc<SharedWal>,
        space: Arc<DiskSpace>,
        place: WritePosition,
    ) -> Result<WalWriter, StartError> {
        let WritePosition { dir, salt, meta, next_seq: seq, end } = place;
        let (number, existing) = match end {
            LogEnd::Inside { number, file, len, at, spare } => {
                space.want(number + 1, spare);
                (number, Some((file, len, at)))
            }
            LogEnd::Before { number } => (number, None),
            LogEnd::Nowhere => {
                space.want(1, false);
                let no_space = |why: String| io::Error::other(why);
                let made = space.wait().map_err(no_space);
                made.map_err(|source| StartError::io("make the first log segment in", &dir, source))?;
                (1, None)
            }
        };
        let path = segment::path(&dir, number);
        let begin = existing.is_none();
        let (file, len, at) = match existing {
            Some(existing) => existing,
            None => {
                let io = |source| StartError::io("open", &path, source);
                let file = disk.open(&path).map_err(io)?;
                let len = file.len().map_err(io)?;
                (file, len, 0)
            }
        };
        let mut writer = WalWriter {
            disk,
            shared,
            space,
            dir,
            salt,
            meta,
            seq,
            batch: seq,
            number,
            path,
            file,
            len,
            at,
            buffer: Vec::new(),
            changes: Vec::new(),
            done: Vec::new(),
            taken: VecDeque::new(),
        };
        if begin {
            writer.begin_segment();
            let written = writer.flush();
            written.map_err(|failed| StartError::io(failed.operation, &writer.path, failed.cause))?;
        }
        writer.shared.room.store(writer.len - writer.at, Ordering::Relaxed);
        Ok(writer)
    }

    pub(super) fn run(mut self) {
        // A panic here would leave everybody waiting for ever; it must stop the server as a failed disk does.
        let run = std::panic::AssertUnwindSafe(|| self.write_until_stopped());
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(Failed { operation, offset, cause })) => self.fail(operation, offset, &cause),
            Err(_) => self.fail("writing (the log's thread panicked)", self.at, &io::Error::other("a bug")),
        }
    }

    fn fail(&mut self, operation: &'static str, offset: u64, cause: &io::Error) {
        self.shared.fail(operation, &self.path, offset, cause);
        let staged = self.done.drain(..).filter_map(|(_, done)| done);
        for done in staged.chain(self.taken.drain(..).filter_map(|op| op.done)) {
            done(Err(self.shared.stopped()));
        }
    }

    fn write_until_stopped(&mut self) -> Result<(), Failed> {
        loop {
            let committed = {
                let mut queue = self.shared.queue.lock();
                while queue.ops.is_empty() && !queue.stop {
                    self.shared.filled.wait(&mut queue);
                }
                if queue.ops.is_empty() && queue.committed == self.meta.committed {
                    return Ok(());
                }
                let mut bytes = 0;
                while bytes < BATCH_BYTES
                    && let Some(op) = queue.ops.pop_front()
                {
                    bytes += op.record.bytes();
                    self.taken.push_back(op);
                }
                // Only behind all that was queued before it: a crash may leave any beginning of a batch.
                queue.ops.is_empty().then_some(queue.committed)
            };
            while let Some(op) = self.taken.pop_front() {
                self.stage(op)?;
            }
            if let Some(committed) = committed
                && committed != self.meta.committed
            {
                self.metadata(FrameKind::Committed, committed)?;
            }
            self.flush()?;
        }
    }

    fn stage(&mut self, op: Op) -> Result<(), Failed> {
        let Op { ticket, record, done } = op;
        // Put down first: if anything fails, whoever waits is told.
        let staged = match record {
            WalRecord::Entries(entries) => {
                entries.iter().try_for_each(|(pos, content)| self.entry(*pos, content))
            }
            WalRecord::Vote(vote) => {
                let staged = self.push(FrameKind::Vote, &[&vote]);
                self.meta.vote = Some(vote);
                staged
            }
            WalRecord::Truncate(last) => {
                let staged = self.metadata(FrameKind::Truncate, last);
                self.changes.push(IndexChange::TruncateFrom(self.meta.next_index()));
                staged
            }
            WalRecord::Purge(upto) => {
                let staged = self.metadata(FrameKind::Purge, Some(upto));
                if self.meta.last == self.meta.purged {
                    self.changes.push(IndexChange::TruncateFrom(0));
                }
                self.changes.push(IndexChange::Purge(upto.index));
                staged
            }
        };
        self.done.push((ticket, done));
        staged
    }

    fn entry(&mut self, pos: Pos, content: &[u8]) -> Result<(), Failed> {
        assert!(self.meta.continues(pos), "entry {} does not continue {:?}", pos.index, self.meta.last);
        self.push(FrameKind::Entry, &[&pos.to_bytes(), content])?;
        let frame = frame::frame_len(Pos::LEN + content.len());
        let offset = self.at + (self.buffer.len() - frame) as u64;
        self.changes.push(IndexChange::Entry { index: pos.index, offset });
        self.meta.last = Some(pos);
        Ok(())
    }

    fn metadata(&mut self, kind: FrameKind, pos: Option<Pos>) -> Result<(), Failed> {
        let bytes = pos.map(Pos::to_bytes);
        self.push(kind, &[bytes.as_ref().map_or(&[], |bytes| bytes.as_slice())])?;
        self.meta.record(kind, pos);
        Ok(())
    }

    /// Puts a frame into the batch; goes to the next segment first if this one has no room for it.
    fn push(&mut self, kind: FrameKind, parts: &[&[u8]]) -> Result<(), Failed> {
        let need = frame::frame_len(parts.iter().map(|part| part.len()).sum());
        if !self.fits(need) {
            self.rotate()?;
            assert!(self.fits(need), "a frame of {need} bytes is larger than a segment");
        }
        self.push_here(kind, parts);
        Ok(())
    }

    fn push_here(&mut self, kind: FrameKind, parts: &[&[u8]]) {
        frame::push(&mut self.buffer, self.salt, (self.number, self.batch, self.seq), kind, parts);
        self.seq += 1;
    }

    /// Each segment keeps room for its last frame.
    fn fits(&self, need: usize) -> bool {
        self.at + (self.buffer.len() + need + frame::frame_len(8)) as u64 <= self.len
    }

    /// Ends this segment and begins the next. The end is durable before the next segment has any content, and
    /// the next segment's file before the end; hence a segment that has an end has a successor.
    fn rotate(&mut self) -> Result<(), Failed> {
        if let Err(why) = self.space.wait() {
            let cause = io::Error::new(io::ErrorKind::StorageFull, why);
            return Err(Failed { operation: "no space for the segment after", offset: self.at, cause });
        }
        let path = segment::path(&self.dir, self.number + 1);
        let open = |cause| Failed { operation: "opening the segment after", offset: self.at, cause };
        let file = self.disk.open(&path).map_err(open)?;
        let len = file.len().map_err(open)?;
        self.push_here(FrameKind::End, &[&len.to_le_bytes()]);
        self.flush()?;
        self.number += 1;
        (self.path, self.file, self.len) = (path, file, len);
        self.at = 0;
        self.begin_segment();
        Ok(())
    }

    fn begin_segment(&mut self) {
        let head = segment::encode_head(self.len, &self.meta);
        self.push_here(FrameKind::Head, &[&head]);
        self.shared.index.lock().begin_segment(self.path.clone(), Arc::clone(&self.file));
        // Before the spare is known to be missing: or proposals would be measured by the room of the old segment.
        self.shared.room.store(self.len, Ordering::Relaxed);
        self.space.want(self.number + 1, false);
    }

    /// Writes the batch, makes it durable, and only then tells those who wait.
    fn flush(&mut self) -> Result<(), Failed> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let offset = self.at;
        let written = self.file.write_at(&self.buffer, offset);
        written.map_err(|cause| Failed { operation: "write to", offset, cause })?;
        if is_mutant("ack-before-fsync") {
            self.complete();
        }
        let began = Instant::now();
        self.file.sync().map_err(|cause| Failed { operation: "fdatasync of", offset, cause })?;
        let counters = &self.shared.counters;
        counters.synced(began.elapsed());
        let entries =
            self.changes.iter().filter(|change| matches!(change, IndexChange::Entry { .. })).count();
        counters.written(self.buffer.len(), entries);

        self.at += self.buffer.len() as u64;
        self.shared.room.store(self.len - self.at, Ordering::Relaxed);
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
        self.batch = self.seq;
        self.complete();
        Ok(())
    }

    fn complete(&mut self) {
        let mut removable = Vec::new();
        {
            let mut index = self.shared.index.lock();
            for change in self.changes.drain(..) {
                match change {
                    IndexChange::Entry { index: at, offset } => index.push(at, offset),
                    IndexChange::TruncateFrom(from) => index.truncate_from(from),
                    IndexChange::Purge(upto) => removable.extend(index.purge(upto)),
                }
            }
        }
        self.space.remove(removable);
        for (ticket, done) in self.done.drain(..) {
            // A ticket is readable before anybody hears of it.
            self.shared.durable.store(ticket, Ordering::Release);
            if let Some(done) = done {
                done(Ok(()));
            }
        }
    }
}

impl WalRecord {
    fn bytes(&self) -> usize {
        match self {
            WalRecord::Entries(entries) => {
                entries.iter().map(|(_, content)| frame::frame_len(Pos::LEN + content.len())).sum()
            }
            _ => frame::frame_len(Pos::LEN),
        }
    }
}

/// The largest content of an entry that fits into every segment, also the first.
pub(crate) fn max_content(segment_bytes: u64) -> usize {
    let smallest = segment::size(1, segment_bytes) as usize;
    // The head, the end, and a committed marker share a segment with it.
    smallest.saturating_sub(4096)
}
