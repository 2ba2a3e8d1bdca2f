//! The last events, for readers that follow or come back. Each has an id (log index, position), the same on every
//! server, so that a stream can go on elsewhere without gap or repeat.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use taskyard_consensus::Observer;
use taskyard_model::limits::EVENTS_KEPT_MAX;
use taskyard_state::Event;
use tokio::sync::watch;

/// Where an event stands in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventId {
    /// Log index of the entry that made it.
    pub(crate) index: u64,
    /// Its position among the events of that entry.
    pub(crate) seq: u32,
}

/// An event with its id and time.
#[derive(Clone, Debug)]
pub(crate) struct StampedEvent {
    pub(crate) id: EventId,
    /// Wall clock of its entry: the same on every server and at every reading.
    pub(crate) at_ms: u64,
    pub(crate) event: Event,
}

/// Answer to a reader that comes back.
#[derive(Clone, Debug)]
pub(crate) enum EventsSince {
    /// What came after.
    Events(Vec<StampedEvent>),
    /// Events up to and including this one are gone.
    CompactedAt(EventId),
}

/// Keeps the last [`EVENTS_KEPT_MAX`] events.
#[derive(Clone, Default)]
pub(crate) struct EventHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    ring: Mutex<Ring>,
    newest: watch::Sender<EventId>,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<StampedEvent>,
    /// The newest event that is gone. Before the first entry this process applied, everything is.
    compacted: EventId,
    began: bool,
}

impl EventHub {
    /// Events after `from`, at most `most`.
    pub(crate) fn since(&self, from: EventId, most: usize) -> EventsSince {
        let ring = self.0.ring.lock();
        if from < ring.compacted {
            return EventsSince::CompactedAt(ring.compacted);
        }
        let start = ring.events.partition_point(|e| e.id <= from);
        EventsSince::Events(ring.events.range(start..).take(most).cloned().collect())
    }

    /// Wakes when there is something new; its value is the newest id.
    pub(crate) fn subscribe(&self) -> watch::Receiver<EventId> {
        self.0.newest.subscribe()
    }

    /// The newest event.
    pub(crate) fn newest(&self) -> EventId {
        *self.0.newest.borrow()
    }

    fn add(&self, index: u64, at_ms: u64, events: Vec<Event>) {
        let mut ring = self.0.ring.lock();
        if !ring.began {
            ring.began = true;
            ring.compacted = EventId { index: index.saturating_sub(1), seq: u32::MAX };
        }
        let Some(last) = events.len().checked_sub(1) else { return };
        for (seq, event) in events.into_iter().enumerate() {
            if ring.events.len() >= EVENTS_KEPT_MAX
                && let Some(gone) = ring.events.pop_front()
            {
                ring.compacted = gone.id;
            }
            ring.events.push_back(StampedEvent { id: EventId { index, seq: seq as u32 }, at_ms, event });
        }
        drop(ring);
        self.0.newest.send_replace(EventId { index, seq: last as u32 });
    }
}

/// Receives what `apply` says.
pub(crate) struct HubWriter(pub(crate) EventHub);

impl Observer for HubWriter {
    fn applied(&mut self, index: u64, _now_ms: u64, wall_ms: u64, events: Vec<Event>) {
        self.0.add(index, wall_ms, events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::JobId;

    fn event(job: u64) -> Event {
        Event::JobChanged { job: JobId(job), what: "held" }
    }

    #[test]
    fn readers_miss_nothing_or_are_told() {
        let hub = EventHub::default();
        hub.add(10, 0, vec![event(1), event(2)]);
        hub.add(11, 0, vec![]);
        hub.add(12, 0, vec![event(3)]);
        let EventsSince::Events(events) = hub.since(EventId { index: 10, seq: 0 }, 100) else { panic!() };
        assert_eq!(events.iter().map(|e| (e.id.index, e.id.seq)).collect::<Vec<_>>(), [(10, 1), (12, 0)]);
        assert!(matches!(hub.since(EventId { index: 3, seq: 0 }, 100), EventsSince::CompactedAt(_)));
        for index in 13..13 + EVENTS_KEPT_MAX as u64 {
            hub.add(index, 0, vec![event(4)]);
        }
        let EventsSince::CompactedAt(at) = hub.since(EventId { index: 10, seq: 1 }, 1) else { panic!() };
        assert_eq!(at, EventId { index: 12, seq: 0 });
        assert!(matches!(hub.since(at, 1), EventsSince::Events(e) if e.len() == 1));
    }
}
