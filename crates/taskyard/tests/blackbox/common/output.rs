//! A task that counts until it is told to end, and a reader of what it writes that survives breaks of its connection.

use super::http::Http;
use super::load::{Acknowledged, Kind};
use super::{SOON, eventually};
use serde_json::json;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Counts from 1, a number a line, and at its end writes to the witness file.
pub(crate) struct Counting {
    pub(crate) job: u64,
    name: String,
    end: PathBuf,
}

impl Counting {
    pub(crate) fn start(http: &mut Http, dir: &Path, name: &str, queue: &str) -> Counting {
        let end = dir.join(format!("{name}-may-end"));
        let script = format!(
            "i=0; until [ -e {} ]; do i=$((i+1)); echo $i; sleep 0.03; done; echo $TASKYARD_JOB $TASKYARD_ATTEMPT >> {}",
            end.display(),
            dir.join("witness").display()
        );
        let spec = json!({ "name": name, "queue": queue, "cpus": "0.1", "wait_for_nodes": true, "command": ["sh", "-c", script] });
        let body = json!({ "spec": spec, "request_id": name });
        let job = http.must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap();
        Counting { job, name: name.to_owned(), end }
    }

    /// Lets it end, and says so for the book: it is one of the jobs that must have run once.
    pub(crate) fn end(&self, http: &mut Http) -> Acknowledged {
        std::fs::write(&self.end, "").unwrap();
        let path = format!("/v1/jobs/{}", self.job);
        eventually("it ends", SOON, || (http.get(&path)["state"] == "succeeded").then_some(()));
        Acknowledged {
            request_id: self.name.clone(),
            job: self.job,
            kind: Kind::Witness,
            at: std::time::Instant::now(),
            took: Duration::ZERO,
        }
    }

    fn path(&self, query: &str) -> String {
        format!("/v1/jobs/{}/tasks/1/logs?{query}", self.job)
    }

    /// Reads it while it is written, from server to server.
    pub(crate) fn read(&self, http: &Http) -> Reader {
        let (stop, path) = (Arc::new(AtomicBool::new(false)), self.path("follow=true&attempt=1"));
        let (stopped, mut asks) = (Arc::clone(&stop), http.clone());
        let thread = std::thread::spawn(move || {
            let mut read = Output::default();
            while !stopped.load(Ordering::Relaxed) && read.follow(&mut asks, &path).is_err() {
                std::thread::sleep(Duration::from_millis(10)); // sleep: between two attempts to connect
            }
            read
        });
        Reader { stop, thread: Some(thread) }
    }

    /// I13: what a reader saw is what is there now, which is what a task that counts writes. The number of lines.
    pub(crate) fn check(&self, http: &mut Http, read: &Output) -> usize {
        let all = http.ask("GET", &self.path("attempt=1"), None);
        assert!(all.is_success(), "{}", all.text());
        check_counts(&all.text());
        assert_eq!(
            String::from_utf8_lossy(&read.bytes),
            all.text(),
            "a reader saw something else than what is there"
        );
        all.text().lines().count()
    }
}

/// The number of lines, which count from 1 without gap or repeat.
pub(crate) fn check_counts(text: &str) -> usize {
    assert!(text.ends_with('\n'), "the last line is cut, or there is none");
    for (at, line) in text.lines().enumerate() {
        assert_eq!(line, (at + 1).to_string(), "line {} of the output", at + 1);
    }
    text.lines().count()
}

/// Reads output in a thread of its own.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Output>>,
}

/// What was read.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    pub(crate) connections: u64,
}

impl Output {
    /// Up to the end, or until the connection breaks.
    fn follow(&mut self, http: &mut Http, path: &str) -> io::Result<()> {
        let (status, mut body) = http.stream(&format!("{path}&offset={}", self.bytes.len()), "")?;
        if status != 200 {
            return Err(io::Error::other(format!("status {status}")));
        }
        self.connections += 1;
        let mut piece = [0; 4096];
        loop {
            match body.read(&mut piece)? {
                0 => return Ok(()),
                count => self.bytes.extend_from_slice(&piece[..count]),
            }
        }
    }
}

impl Reader {
    /// Once it has come to the end of an attempt that has ended.
    pub(crate) fn finish(mut self) -> Output {
        let thread = self.thread.take().unwrap();
        eventually("the reader comes to the end", SOON, || thread.is_finished().then_some(()));
        thread.join().unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
