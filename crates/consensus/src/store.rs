//! The Raft library's view of the log: what it has handed over is readable at once, from memory until the log has
//! it on the disk, and for recent entries a while longer.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures_util::Stream;
use openraft::entry::RaftEntry as _;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::codec;
use crate::types::{LogId, RaftEntry, Types, Vote, log_id, pos};
use crate::wal::{Contents, Wal};

/// Entries read from the files at a time.
const READ_ENTRIES: usize = 4096;

/// Handle of the log; all clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore(Arc<StoreInner>);

struct StoreInner {
    wal: Arc<Wal>,
    cache_bytes: usize,
    view: Mutex<LogView>,
}

/// The log as the Raft library has made it, which the files may not have reached yet.
struct LogView {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries, without a gap; at least all that are not durable.
    cache: VecDeque<Cached>,
    cached_bytes: usize,
}

struct Cached {
    ticket: u64,
    bytes: usize,
    entry: RaftEntry,
}

/// About what an entry takes in memory: its bytes, and decoded some more than that.
fn cached_bytes(content: usize) -> usize {
    content * 3 + 256
}

impl LogStore {
    pub(crate) fn new(wal: Arc<Wal>, contents: &Contents, cache_bytes: usize) -> io::Result<LogStore> {
        let view = LogView {
            vote: contents.vote.as_deref().map(codec::decode_vote).transpose()?,
            committed: contents.committed.map(log_id),
            purged: contents.purged.map(log_id),
            last: contents.last.map(log_id),
            cache: VecDeque::new(),
            cached_bytes: 0,
        };
        Ok(LogStore(Arc::new(StoreInner { wal, cache_bytes, view: Mutex::new(view) })))
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.0.view.lock().last.map_or(0, |last| last.index)
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.0.view.lock().committed
    }

    /// The entries of a range that the log has.
    pub(crate) fn read(&self, range: impl RangeBounds<u64>) -> io::Result<Vec<RaftEntry>> {
        let (start, end, cached) = {
            let view = self.0.view.lock();
            let (start, end) = view.clamp(&range);
            (start, end, view.cached(start, end))
        };
        let durable_end = cached.first().map_or(end, |entry| entry.index());
        let mut entries = Vec::with_capacity(end.saturating_sub(start) as usize);
        self.read_files(start, durable_end, &mut entries)?;
        entries.extend(cached);
        Ok(entries)
    }

    fn read_files(&self, start: u64, end: u64, entries: &mut Vec<RaftEntry>) -> io::Result<()> {
        let mut next = start;
        while next < end {
            let before = next;
            for (pos, content) in self.0.wal.read(next, ((end - next) as usize).min(READ_ENTRIES))? {
                if pos.index != next {
                    break;
                }
                entries.push(RaftEntry::new(log_id(pos), codec::decode_payload(content)?));
                next += 1;
            }
            if next == before {
                // Only the first ones may be missing: never there, or purged while this was read.
                let first = self.0.wal.first().unwrap_or(end);
                if first <= next {
                    return Err(io::Error::other(format!("entry {next} is not where it was written")));
                }
                entries.clear();
                next = first.min(end);
            }
        }
        Ok(())
    }
}

impl LogView {
    /// The part of a range that is there, as start and end (exclusive).
    fn clamp(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let first = self.purged.map_or(0, |purged| purged.index + 1);
        let after = self.last.map_or(0, |last| last.index + 1);
        (start.max(first), end.min(after))
    }

    fn cached(&self, start: u64, end: u64) -> Vec<RaftEntry> {
        let Some(first) = self.cache.front().map(|cached| cached.entry.index()) else { return Vec::new() };
        let from = start.saturating_sub(first) as usize;
        let to = end.saturating_sub(first) as usize;
        let count = to.saturating_sub(from);
        self.cache.iter().skip(from).take(count).map(|cached| cached.entry.clone()).collect()
    }

    fn evict(&mut self, durable: u64, limit: usize) {
        while self.cached_bytes > limit
            && let Some(oldest) = self.cache.front()
            && oldest.ticket <= durable
        {
            self.cached_bytes -= oldest.bytes;
            self.cache.pop_front();
        }
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        self.read(range)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<RaftEntry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        // Collected: nothing is held while the state machine works.
        let entries = match self.read(range) {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        futures_util::stream::iter(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.0.view.lock().vote)
    }

    /// Bounds what one message carries: by number here, as large entries are few.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        const BYTES: usize = 1 << 20;
        let mut bytes = 0;
        let mut taken = Vec::new();
        let mut next = start;
        while next < end && bytes < BYTES {
            // A few at a time, so that a range of large entries is not read in vain.
            let chunk = self.read(next..end.min(next + 64))?;
            let Some(last) = chunk.last() else { break };
            next = last.index() + 1;
            for entry in chunk {
                let size = codec::encode_payload(&entry.payload).len();
                if !taken.is_empty() && bytes + size > BYTES {
                    return Ok(taken);
                }
                bytes += size;
                taken.push(entry);
            }
        }
        Ok(taken)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let view = self.0.view.lock();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (told, heard) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = told.send(result);
        });
        self.0.wal.save_vote(codec::encode_vote(vote), done);
        heard.await.map_err(|_| io::Error::other("the log is closed"))??;
        self.0.view.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.0.view.lock().committed = committed;
        self.0.wal.set_committed(committed.as_ref().map(pos));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter();
        let mut records = Vec::with_capacity(entries.size_hint().0);
        let mut view = self.0.view.lock();
        for entry in entries {
            let content = codec::encode_payload(&entry.payload);
            let bytes = cached_bytes(content.len());
            records.push((pos(&entry.log_id), content));
            view.last = Some(entry.log_id);
            view.cached_bytes += bytes;
            // Not durable until the ticket is known.
            view.cache.push_back(Cached { ticket: u64::MAX, bytes, entry });
        }
        let appended = records.len();
        let ticket = self.0.wal.append(records, Box::new(move |result| callback.io_completed(result)));
        view.cache.iter_mut().rev().take(appended).for_each(|cached| cached.ticket = ticket);
        view.evict(self.0.wal.durable(), self.0.cache_bytes);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let mut view = self.0.view.lock();
        let keep = last.map_or(0, |last| last.index + 1);
        while let Some(newest) = view.cache.back()
            && newest.entry.index() >= keep
        {
            view.cached_bytes -= newest.bytes;
            view.cache.pop_back();
        }
        view.last = view.last.min(last).max(view.purged);
        // No need to wait: whatever depends on it is queued behind it.
        self.0.wal.truncate_after(last.as_ref().map(pos));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut view = self.0.view.lock();
        while let Some(oldest) = view.cache.front()
            && oldest.entry.index() <= upto.index
        {
            view.cached_bytes -= oldest.bytes;
            view.cache.pop_front();
        }
        view.purged = view.purged.max(Some(upto));
        if view.last.map(|last| last.index) <= Some(upto.index) {
            view.last = Some(upto);
        }
        self.0.wal.purge(pos(&upto));
        Ok(())
    }
}
