//! The write-ahead log: segments of checksummed frames, one thread that writes them in order, one fdatasync for
//! all that came in while the last one ran.
//!
//! The log knows bytes and positions, nothing of Raft or of commands. Votes, the committed position, truncation
//! and purging are frames between the entries, so their order relative to the entries needs no thought: whoever
//! waits for one of them waits for everything before it.

pub(crate) mod disk;
mod frame;
mod index;
mod recover;
mod segment;
mod space;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;
pub(crate) use self::writer::max_content;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use self::disk::Disk;
use self::index::{EntryIndex, EntryReader};
pub(crate) use self::segment::Pos;
use self::space::DiskSpace;
pub(crate) use self::space::Spare;
use crate::error::{FatalError, StartError};
use crate::metrics::Counters;

/// Called when a record is durable, or with an error when it never will be. Calls come in the order of records.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// An entry's content, shared with whoever else needs it.
pub(crate) type Content = Arc<Vec<u8>>;

/// How to open a log.
pub(crate) struct WalOptions {
    pub(crate) dir: PathBuf,
    /// The log's own number: frames of other logs are not accepted.
    pub(crate) salt: u32,
    pub(crate) segment_bytes: u64,
    /// Whether the log may be empty.
    pub(crate) fresh: bool,
}

/// What was in the log when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) committed: Option<Pos>,
    pub(crate) purged: Option<Pos>,
    /// The last entry, or `purged` when that is later.
    pub(crate) last: Option<Pos>,
}

/// Something to write.
enum WalRecord {
    Entries(Vec<(Pos, Content)>),
    Vote(Vec<u8>),
    Truncate(Option<Pos>),
    Purge(Pos),
}

struct Op {
    ticket: u64,
    record: WalRecord,
    done: Option<Done>,
}

#[derive(Default)]
struct WriteQueue {
    ops: VecDeque<Op>,
    ticket: u64,
    /// Written along with the next batch: losing it costs a little work after a restart, nothing else.
    committed: Option<Pos>,
    stop: bool,
}

struct SharedWal {
    queue: Mutex<WriteQueue>,
    filled: Condvar,
    index: Mutex<EntryIndex>,
    /// Records up to this ticket are durable and can be read from the files.
    durable: AtomicU64,
    /// Bytes left in the current segment.
    room: AtomicU64,
    counters: Counters,
    fatal: watch::Sender<Option<Arc<FatalError>>>,
}

/// Handle of an open log.
pub(crate) struct Wal {
    shared: Arc<SharedWal>,
    space: Arc<DiskSpace>,
    salt: u32,
    found_bytes: u64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Wal {
    /// Opens the log, verifying all of it. Blocks.
    pub(crate) fn open(disk: Arc<dyn Disk>, options: WalOptions) -> Result<(Wal, Contents), StartError> {
        let found = recover::recover(&*disk, &options)?;
        let WalOptions { dir, salt, segment_bytes, .. } = options;
        let meta = found.meta.clone();
        let found_bytes = found.bytes;
        // Versions of before could leave more committed than there is. What was meant is not known then; nothing needs to be.
        let is_there = |committed: &Pos| meta.last.is_some_and(|last| last.index >= committed.index);
        let committed = meta.committed.filter(is_there);
        let contents = Contents { vote: meta.vote, committed, purged: meta.purged, last: meta.last };
        let thread = |source| StartError::io("start a thread for", &dir, source);
        let (space, space_thread) =
            DiskSpace::start(Arc::clone(&disk), dir.clone(), segment_bytes, found.removable)
                .map_err(thread)?;
        let shared = Arc::new(SharedWal {
            queue: Mutex::new(WriteQueue { committed, ..WriteQueue::default() }),
            filled: Condvar::new(),
            index: Mutex::new(found.index),
            durable: AtomicU64::new(0),
            room: AtomicU64::new(0),
            counters: Counters::default(),
            fatal: watch::Sender::new(None),
        });
        let (meta, next_seq, end) = (found.meta, found.next_seq, found.end);
        let place = writer::WritePosition { dir: dir.clone(), salt, meta, next_seq, end };
        let writer = writer::WalWriter::open(disk, Arc::clone(&shared), Arc::clone(&space), place)
            .inspect_err(|_| space.stop())?;
        let writer =
            std::thread::Builder::new().name("wal".into()).spawn(move || writer.run()).map_err(thread)?;
        let threads = Mutex::new(vec![writer, space_thread]);
        Ok((Wal { shared, space, salt, found_bytes, threads }, contents))
    }

    /// Queues entries, which must continue the log. The result tells when they can be read back: see
    /// [`Wal::durable`]. The queue is bounded by those who fill it: consensus bounds what is in flight.
    pub(crate) fn append(&self, entries: Vec<(Pos, Content)>, done: Done) -> u64 {
        self.submit(WalRecord::Entries(entries), Some(done))
    }

    /// Queues a vote.
    pub(crate) fn save_vote(&self, vote: Vec<u8>, done: Done) {
        self.submit(WalRecord::Vote(vote), Some(done));
    }

    /// Voids the entries after `last`. There is no need to wait: what is queued later becomes durable later.
    pub(crate) fn truncate_after(&self, last: Option<Pos>) {
        self.submit(WalRecord::Truncate(last), None);
    }

    /// Declares the entries up to `upto` unneeded. There is no need to wait.
    pub(crate) fn purge(&self, upto: Pos) {
        self.submit(WalRecord::Purge(upto), None);
    }

    /// Notes how far the log is committed; written with a later batch, behind what is queued now.
    pub(crate) fn set_committed(&self, committed: Option<Pos>) {
        self.shared.queue.lock().committed = committed;
    }

    /// Records up to this ticket are durable and can be read.
    pub(crate) fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Reads durable entries from `start` on, at most `limit`: their terms and contents.
    pub(crate) fn read(&self, start: u64, limit: usize) -> io::Result<Vec<(Pos, Vec<u8>)>> {
        let places = self.shared.index.lock().places(start, limit);
        let mut reader = EntryReader::new(self.salt);
        places.iter().map(|place| reader.read(place)).collect()
    }

    /// Index of the first durable entry.
    pub(crate) fn first(&self) -> Option<u64> {
        self.shared.index.lock().first()
    }

    /// Bytes left in the current segment.
    pub(crate) fn room(&self) -> u64 {
        self.shared.room.load(Ordering::Relaxed)
    }

    /// Whether the next segment is ready.
    pub(crate) fn spare(&self) -> Spare {
        self.space.spare()
    }

    /// Bytes that were in the log when it was opened.
    pub(crate) fn found_bytes(&self) -> u64 {
        self.found_bytes
    }

    /// Number of segment files with content.
    pub(crate) fn segments(&self) -> usize {
        self.shared.index.lock().segments()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Becomes `Some` when storage has failed.
    pub(crate) fn fatal(&self) -> watch::Receiver<Option<Arc<FatalError>>> {
        self.shared.fatal.subscribe()
    }

    /// Writes what is queued and stops the threads. Blocks.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().stop = true;
        self.shared.filled.notify_all();
        let mut threads = self.threads.lock();
        let mut threads = threads.drain(..);
        if let Some(writer) = threads.next() {
            let _ = writer.join();
        }
        self.space.stop();
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn submit(&self, record: WalRecord, done: Option<Done>) -> u64 {
        let mut queue = self.shared.queue.lock();
        if queue.stop {
            drop(queue);
            if let Some(done) = done {
                done(Err(self.shared.stopped()));
            }
            return u64::MAX;
        }
        queue.ticket += 1;
        let ticket = queue.ticket;
        queue.ops.push_back(Op { ticket, record, done });
        drop(queue);
        self.shared.filled.notify_one();
        ticket
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.close();
    }
}

impl SharedWal {
    /// The error for whatever comes after the end.
    fn stopped(&self) -> io::Error {
        match &*self.fatal.borrow() {
            Some(fatal) => io::Error::other(FatalError::clone(fatal)),
            None => io::Error::other("the log is closed"),
        }
    }

    /// From here on nothing is written or acknowledged.
    fn fail(&self, operation: &'static str, file: &Path, offset: u64, cause: &io::Error) {
        let fatal = FatalError::new(operation, file, offset, cause);
        tracing::error!(error = %fatal, "the write-ahead log has failed");
        self.fatal.send_replace(Some(Arc::new(fatal)));
        let ops = {
            let mut queue = self.queue.lock();
            queue.stop = true;
            std::mem::take(&mut queue.ops)
        };
        for done in ops.into_iter().filter_map(|op| op.done) {
            done(Err(self.stopped()));
        }
    }
}
