//! A reader of the event stream that survives restarts of the server, and what its events must look like.

use super::daemon::is_finished;
use super::http::{Http, read_head};
use super::load::Acknowledged;
use super::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Follows the event stream through restarts.
pub(crate) struct Follower {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Followed>>,
}

/// What a reader of the event stream saw.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) events: Vec<Value>,
    pub(crate) connections: u64,
    /// Log indices up to which events were said to be gone.
    pub(crate) gaps: Vec<u64>,
}

/// A queue whose making is the last event of a test.
const END: &str = "the-end";

impl Follower {
    pub(crate) fn start(url: &str) -> Follower {
        let stop = Arc::new(AtomicBool::new(false));
        let address = url.replace("http://", "");
        let (stopped, server) = (Arc::clone(&stop), address.clone());
        let thread = std::thread::spawn(move || {
            let mut seen = Followed::default();
            while !stopped.load(Ordering::Relaxed) && !seen.is_at_end() {
                // When the server is down, or goes down: go on elsewhere, or come back.
                for server in server.split(',') {
                    let _ = seen.follow(server, &stopped);
                }
                std::thread::sleep(Duration::from_millis(10)); // sleep: between two attempts to connect
            }
            seen
        });
        Follower { address, stop, thread: Some(thread) }
    }

    /// Makes a last event and waits until it has come; also reads once more all that the server still has.
    pub(crate) fn finish(mut self) -> (Followed, Followed) {
        Http::new(&self.address).must("PUT", &format!("/v1/queues/{END}"), Some(&json!({})));
        let thread = self.thread.take().unwrap();
        eventually("the follower sees the last event", SOON, || thread.is_finished().then_some(()));
        let mut later = Followed::default();
        while !later.is_at_end() {
            later.follow(self.address.split(',').next().unwrap(), &self.stop).unwrap();
        }
        (thread.join().unwrap(), later)
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

    fn follow(&mut self, address: &str, stop: &AtomicBool) -> io::Result<()> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let position = match self.position() {
            Some((index, seq)) => format!("last-event-id: {index}.{seq}\r\n"),
            None => String::new(),
        };
        let query = if position.is_empty() { "?from=0" } else { "" };
        (&stream).write_all(
            format!("GET /v1/events{query} HTTP/1.1\r\nhost: {address}\r\n{position}\r\n").as_bytes(),
        )?;
        let mut reader = BufReader::new(stream);
        let (status, _) = read_head(&mut reader)?;
        if status != 200 {
            assert_eq!(status, 503, "events are refused");
            return Err(io::Error::other(format!("status {status}")));
        }
        self.connections += 1;
        let mut line = Vec::new();
        while !stop.load(Ordering::Relaxed) && !self.is_at_end() {
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // What has been read of the line stays in `line`.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
            if let Some(data) = text.trim_end().strip_prefix("data:") {
                self.event(serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")));
                if self.is_at_end() {
                    return Ok(());
                }
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
