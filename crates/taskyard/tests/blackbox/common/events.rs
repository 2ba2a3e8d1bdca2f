//! A reader of the event stream that survives restarts of servers and breaks of its connection, and what its events
//! must look like.

use super::daemon::is_finished;
use super::http::{Http, line};
use super::load::Acknowledged;
use super::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Follows the event stream, on another server whenever its connection breaks or is silent for longer than its client
/// waits.
pub(crate) struct Follower {
    http: Http,
    stop: Arc<AtomicBool>,
    resumed: Arc<AtomicU64>,
    newest: Arc<AtomicU64>,
    thread: Option<JoinHandle<Followed>>,
}

/// What a reader of the event stream saw.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) events: Vec<Value>,
    pub(crate) connections: u64,
    /// Log indices up to which events were said to be gone.
    pub(crate) gaps: Vec<u64>,
    newest: Arc<AtomicU64>,
}

/// Numbers of what the check of a follower looked at.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "tests print it")]
pub(crate) struct Checked {
    pub(crate) events: u64,
    /// Of tasks.
    pub(crate) ends: u64,
    /// How often it went on after its connection had broken.
    pub(crate) resumed: u64,
}

/// A queue whose making is the last event of a test.
const END: &str = "the-end";

impl Follower {
    /// From the first event on, as this client asks.
    pub(crate) fn start(http: &Http) -> Follower {
        let stop = Arc::new(AtomicBool::new(false));
        let [resumed, newest] = [0, 0].map(|n| Arc::new(AtomicU64::new(n)));
        let live = Arc::clone(&newest);
        let (stopped, counted, mut asks) = (Arc::clone(&stop), Arc::clone(&resumed), http.clone());
        let thread = std::thread::spawn(move || {
            let mut seen = Followed { newest: live, ..Followed::default() };
            while !stopped.load(Ordering::Relaxed) && !seen.is_at_end() {
                // When the server is down, or goes down: go on elsewhere, or come back.
                let _ = seen.follow(&mut asks, &stopped);
                counted.store(seen.connections.saturating_sub(1), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10)); // sleep: between two attempts to connect
            }
            seen
        });
        Follower { http: http.clone(), stop, resumed, newest, thread: Some(thread) }
    }

    /// How often it went on after its connection had broken, the one that is open not counted.
    pub(crate) fn resumed(&self) -> u64 {
        self.check_reads();
        self.resumed.load(Ordering::Relaxed)
    }

    /// Log index of the newest event that has come.
    pub(crate) fn newest(&self) -> u64 {
        self.check_reads();
        self.newest.load(Ordering::Relaxed)
    }

    /// It ends before the last event only when it has seen what must not be.
    fn check_reads(&self) {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        assert!(!ended, "the reader of events has failed");
    }

    /// Makes a last event and waits until it has come; also reads once more all that the server still has.
    pub(crate) fn finish(mut self) -> (Followed, Followed) {
        self.http.must("PUT", &format!("/v1/queues/{END}"), Some(&json!({})));
        let thread = self.thread.take().unwrap();
        eventually("the follower sees the last event", SOON, || thread.is_finished().then_some(()));
        let mut later = Followed::default();
        while !later.is_at_end() {
            later.follow(&mut self.http, &self.stop).unwrap();
        }
        (thread.join().unwrap(), later)
    }

    /// I13 for a follower whose servers forgot nothing: it saw each event once, the end of all that was acknowledged
    /// among them.
    pub(crate) fn check(self, acknowledged: &[Acknowledged]) -> Checked {
        let (seen, later) = self.finish();
        assert!(seen.gaps.is_empty() && later.gaps.is_empty(), "gaps: {:?}, {:?}", seen.gaps, later.gaps);
        let ends = seen.check_ends(acknowledged);
        let compared = seen.check_same(&later);
        assert!(ends > 0 && compared == seen.events.len() as u64, "{ends} ends, {compared} compared");
        Checked { events: compared, ends, resumed: seen.connections - 1 }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Followed {
    fn is_at_end(&self) -> bool {
        self.events.last().is_some_and(|event| event["queue"] == END)
    }

    fn follow(&mut self, http: &mut Http, stop: &AtomicBool) -> io::Result<()> {
        let (path, header) = match self.position() {
            Some((index, seq)) => ("/v1/events", format!("last-event-id: {index}.{seq}\r\n")),
            None => ("/v1/events?from=0", String::new()),
        };
        let (status, body) = http.stream(path, &header)?;
        if status != 200 {
            assert_eq!(status, 503, "events are refused");
            return Err(io::Error::other(format!("status {status}")));
        }
        self.connections += 1;
        let mut lines = BufReader::new(body);
        while !stop.load(Ordering::Relaxed) && !self.is_at_end() {
            if let Some(data) = line(&mut lines)?.strip_prefix("data:") {
                self.event(serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")));
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Value) {
        if event["kind"] == "compacted_at" {
            self.gaps.push(event["index"].as_u64().unwrap());
            return;
        }
        let id = id(&event);
        assert!(self.position() < Some(id), "{event} came after {:?}", self.position());
        self.newest.store(id.0, Ordering::Relaxed);
        self.events.push(event);
    }

    fn position(&self) -> Option<(u64, u64)> {
        self.events.last().map(id)
    }

    /// No task ended twice, and every end that should be there is, unless the server said that it forgot some.
    pub(crate) fn check_ends(&self, acknowledged: &[Acknowledged]) -> u64 {
        let mut ends: HashMap<(u64, u64), &Value> = HashMap::new();
        for event in self.events.iter().filter(|e| e["kind"] == "tasks_changed" && is_finished(&e["state"])) {
            let field = |name: &str| event[name].as_u64().unwrap();
            for task in field("task")..field("task") + field("tasks") {
                if let Some(before) = ends.insert((field("job"), task), event) {
                    panic!("task {}.{task} ended twice: {before} and {event}", field("job"));
                }
            }
        }
        if self.gaps.is_empty() {
            for Acknowledged { job, kind, .. } in acknowledged {
                for task in 1..=kind.tasks() {
                    assert!(ends.contains_key(&(*job, task)), "no event of the end of {job}.{task}");
                }
            }
        }
        ends.len() as u64
    }

    /// What this reader saw live is what another one reads later.
    pub(crate) fn check_same(&self, later: &Followed) -> u64 {
        let by_id: HashMap<(u64, u64), &Value> =
            later.events.iter().map(|event| (id(event), event)).collect();
        let oldest = later.events.first().map_or((0, 0), id);
        let newest = self.position().unwrap_or((0, 0));
        let mut compared = 0;
        for event in self.events.iter().filter(|event| id(event) >= oldest) {
            let found = by_id.get(&id(event)).unwrap_or_else(|| panic!("{event} was seen, and is gone now"));
            assert_eq!(timeless(found), timeless(event), "this event was seen, and is another one now");
            compared += 1;
        }
        let between = by_id.keys().filter(|id| **id >= oldest && **id <= newest).count() as u64;
        if self.gaps.is_empty() {
            assert_eq!(between, compared, "events that the follower was never told of");
        }
        compared
    }
}

/// An event without its time, which is estimated anew at each reading.
fn timeless(event: &Value) -> Value {
    let mut event = event.clone();
    event["at_ms"].take();
    event
}

fn id(event: &Value) -> (u64, u64) {
    (event["index"].as_u64().unwrap(), event["seq"].as_u64().unwrap())
}
