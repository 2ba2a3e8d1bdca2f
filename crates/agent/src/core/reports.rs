//! What is to be reported, what was reported, and what is not acknowledged yet.
//!
//! Items wait in a buffer in the order in which things happened, and go out in numbered reports. If an attempt starts
//! and ends within one report, its `Started` item is left out. That is decided when the report is cut, so that an
//! attempt that runs at that moment always follows the end of the one whose place it took.

use super::Action;
use std::collections::VecDeque;
use std::sync::Arc;
use taskyard_model::report::Item;

/// The least time between two reports, so that under load many ends share one log entry of the server. An idle agent
/// reports at once.
const COALESCE_MS: u64 = 5;
/// Items of one report; with some fifty bytes each, far below the limit of a message.
const ITEMS_MAX: usize = 8_192;
/// Reports that may be on their way; past that the buffer grows instead, which is bounded by what the server assigned.
const UNACKED_MAX: usize = 64;

struct Pending {
    item: Item,
    /// For a start: position of the attempt's end, if it ended.
    ended_at: u64,
}

#[derive(Default)]
pub(crate) struct Reports {
    pending: VecDeque<Pending>,
    /// Position of the first pending item, counted from the start of the process.
    base: u64,
    last_seq: u64,
    unacked: VecDeque<Unacked>,
    flushed_ms: u64,
}

struct Unacked {
    seq: u64,
    items: Arc<Vec<Item>>,
    results: u64,
}

impl Reports {
    /// Adds an item. Returns its position.
    pub(crate) fn push(&mut self, item: Item) -> u64 {
        self.pending.push_back(Pending { item, ended_at: u64::MAX });
        self.base + self.pending.len() as u64 - 1
    }

    /// The attempt whose start was put at `position` ended with the item added last. True if the start was not reported
    /// yet.
    pub(crate) fn ended(&mut self, position: u64) -> bool {
        let last = self.base + self.pending.len() as u64 - 1;
        let index = position.checked_sub(self.base);
        let start = index.and_then(|index| self.pending.get_mut(index as usize));
        start.map(|start| start.ended_at = last).is_some()
    }

    /// Whether the item at this position waits still.
    pub(crate) fn is_pending(&self, position: u64) -> bool {
        position >= self.base
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.unacked.is_empty()
    }

    /// When [`Reports::flush`] has something to do.
    pub(crate) fn due_ms(&self, connected: bool) -> Option<u64> {
        let possible = connected && !self.pending.is_empty() && self.unacked.len() < UNACKED_MAX;
        possible.then_some(self.flushed_ms + COALESCE_MS)
    }

    /// Cuts and sends reports whose time has come.
    pub(crate) fn flush(&mut self, boot_ms: u64, connected: bool, out: &mut Vec<Action>) {
        if self.due_ms(connected).is_none_or(|due| due > boot_ms) {
            return;
        }
        self.flushed_ms = boot_ms;
        while !self.pending.is_empty() && self.unacked.len() < UNACKED_MAX {
            self.cut(out);
        }
    }

    fn cut(&mut self, out: &mut Vec<Action>) {
        let mut count = self.pending.len().min(ITEMS_MAX);
        // The start of a successor stays with the end before it.
        while matches!(self.pending.get(count), Some(Pending { item: Item::Started(_), .. })) {
            count += 1;
        }
        let end = self.base + count as u64;
        let cut = self.pending.drain(..count);
        // A start whose end is in the same report is left out.
        let items: Vec<Item> = cut.filter(|p| p.ended_at >= end).map(|p| p.item).collect();
        self.base = end;
        if self.pending.is_empty() && self.pending.capacity() > 2 * ITEMS_MAX {
            self.pending = VecDeque::new();
        }
        if items.is_empty() {
            return;
        }
        let results = items.iter().filter(|item| !matches!(item, Item::Started(_))).count() as u64;
        self.last_seq += 1;
        let items = Arc::new(items);
        self.unacked.push_back(Unacked { seq: self.last_seq, items: items.clone(), results });
        out.push(Action::Report { seq: self.last_seq, items });
    }

    /// A new session: everything unacknowledged goes again.
    pub(crate) fn send_again(&mut self, boot_ms: u64, out: &mut Vec<Action>) {
        out.extend(self.unacked.iter().map(|u| Action::Report { seq: u.seq, items: u.items.clone() }));
        if !self.unacked.is_empty() {
            self.flushed_ms = boot_ms;
        }
    }

    /// Every end and return that is not acknowledged.
    pub(crate) fn results(&self) -> impl Iterator<Item = &Item> {
        let sent = self.unacked.iter().flat_map(|u| u.items.iter());
        sent.chain(self.pending.iter().map(|p| &p.item)).filter(|item| !matches!(item, Item::Started(_)))
    }

    /// The server has everything up to this number. Returns how many ends that covers.
    pub(crate) fn acked(&mut self, seq: u64) -> u64 {
        let mut results = 0;
        while self.unacked.front().is_some_and(|u| u.seq <= seq) {
            results += self.unacked.pop_front().map_or(0, |u| u.results);
        }
        results
    }
}
