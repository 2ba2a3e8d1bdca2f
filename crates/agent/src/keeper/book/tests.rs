//! Golden scripts: what the keeper is told and what its tasks do, and what it does to them. Every file in
//! `tests/scripts/keeper/` is one.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p taskyard-agent scripts` writes what came out into them: read it before you keep
//! it.

use super::*;
use crate::keeper::files::{Descriptors, Files};
use crate::keeper::proto::JobBody;
use crate::keeper::space::Space;
use crate::scripts::run_scripts;
use goldenscript::{Context, Runner};
use std::error::Error;

#[test]
fn scripts() {
    run_scripts("keeper", Script::new);
}

/// A line of a script. Attempts are of job 1 and have keys.
#[derive(goldenscript::Command)]
enum Line {
    /// How long each attempt may take: job limit=1000 grace=500
    Job {
        #[arg(key)]
        limit: Option<u64>,
        #[arg(key)]
        grace: Option<u64>,
    },
    /// The same for what is there already.
    Limits {
        #[arg(key)]
        limit: Option<u64>,
        #[arg(key)]
        grace: Option<u64>,
    },
    /// A lease of 15 s with so much left: lease 15000
    Lease {
        ms: u64,
    },
    /// The agent is there.
    Ping,
    /// Attempts to start now.
    Run(Vec<u64>),
    /// Attempts to hold.
    Hold(Vec<u64>),
    Start {
        key: u64,
    },
    Recall {
        key: u64,
    },
    Stop {
        key: u64,
    },
    Kill {
        key: u64,
    },
    /// A process ends: exit 7 code=1, exit 7 signal=9
    Exit {
        key: u64,
        #[arg(key)]
        code: Option<i32>,
        #[arg(key)]
        signal: Option<i32>,
    },
    /// Processes cannot be created from now on, for want of descriptors, or can again.
    Broken {
        broken: bool,
    },
    /// Time passes: wait 1000
    Wait {
        ms: u64,
    },
}

/// A keeper without processes: each has the number of its attempt.
struct Script {
    book: Book,
    job: Limits,
    files: Arc<Files>,
    now_ms: u64,
    broken: bool,
    text: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Script {
    fn new() -> Script {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("jobs/1")).unwrap();
        let space = Arc::new(Space::new(dir.path(), 1 << 20, 1 << 30));
        let descriptors = Arc::new(Descriptors::new(1_024));
        let files = Arc::new(Files::open(&dir.path().join("jobs"), 1, &descriptors, &space).unwrap());
        Script {
            book: Book::default(),
            job: Limits::default(),
            files,
            now_ms: 100_000,
            broken: false,
            text: Vec::new(),
            _dir: dir,
        }
    }

    fn order(&self, key: u64, run: bool) -> Order {
        Order {
            key,
            job: 1,
            number: key,
            attempt: 1,
            fence: 1,
            group: 0,
            run,
            index: key as u32,
            entry: None,
            gpus: Vec::new(),
        }
    }

    /// Starts what is ready, as the workers do.
    fn start_ready(&mut self) {
        while let Some(key) = self.book.next_ready(self.now_ms, 0) {
            self.spawn(Some(key));
        }
    }

    fn spawn(&mut self, mut next: Option<u64>) {
        while let Some(key) = next.take() {
            let spawn = self.book.newest_spawn();
            if self.broken {
                self.text.push(format!("process {key} cannot be created"));
                self.book.spawn_over(spawn);
                let running = self.book.remove(key).unwrap();
                let end = running.failed(Outcome::NodeFault, Errno::MFILE.raw_os_error());
                self.book.fault(NodeFault::of(Errno::MFILE), self.now_ms);
                next = self.book.ended(end, 0, self.now_ms, 0);
                continue;
            }
            self.text.push(format!("process {key} begins"));
            let (stop, _) = self.book.spawned(spawn, key, key as i32);
            self.stops(stop);
        }
    }

    fn stops(&mut self, stops: impl IntoIterator<Item = StopSignal>) {
        self.text.extend(stops.into_iter().map(|stop| match stop {
            StopSignal::Ask(pid) => format!("SIGTERM to {pid}"),
            StopSignal::Kill(pid) => format!("SIGKILL to {pid}"),
        }));
    }

    fn exit(&mut self, key: u64, status: Result<i32, i32>) {
        let exit = Exit { pid: key as i32, status, cpu_us: 0, max_rss_kib: 0 };
        if let Some(running) = self.book.exited(exit) {
            let end = running.end(&exit, self.now_ms);
            let next = self.book.ended(end, 0, self.now_ms, 0);
            self.spawn(next);
        }
    }

    /// Lets the time pass as the timer does: from one thing that is due to the next.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(due) = self.book.next_due(self.now_ms).filter(|due| *due <= until) {
            self.now_ms = self.now_ms.max(due);
            if self.book.is_probe_due(self.now_ms) {
                let result = if self.broken { Err(Errno::MFILE) } else { Ok(()) };
                let verdict = if self.broken { "fails" } else { "succeeds" };
                self.text.push(format!("at {} ms: a probe {verdict}", self.now_ms - 100_000));
                self.book.probed(result.map_err(NodeFault::of), self.now_ms);
            }
            let stops = self.book.stops_due(self.now_ms);
            if !stops.is_empty() {
                self.text.push(format!("at {} ms:", self.now_ms - 100_000));
            }
            self.stops(stops);
            // What is past due and cannot be done is looked at each millisecond.
            self.now_ms += 1;
        }
        self.now_ms = self.now_ms.max(until);
    }

    fn news(&mut self) {
        for event in self.book.take_news(100).into_iter().flat_map(|message| message.events) {
            self.text.push(match event {
                DriverEvent::Ended(ended) => {
                    let next = ended.next.map(|next| format!(", {next} in its place")).unwrap_or_default();
                    let (what, code) = (ended.outcome.name(), ended.code);
                    format!("tells: {} ended, {what} {code}, after {} ms{next}", ended.key, ended.ran_ms)
                }
                DriverEvent::Returned(key) => format!("tells: {key} returned"),
                DriverEvent::Health(Some(reason)) => format!("tells: unfit, {reason}"),
                DriverEvent::Health(None) => "tells: fit".to_owned(),
                other => format!("tells: {other:?}"),
            });
        }
    }
}

impl Runner for Script {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &Context) -> Result<String, Box<dyn Error>> {
        match line {
            Line::Job { limit, grace } => {
                self.job = Limits { time_limit_ms: *limit, grace_ms: grace.unwrap_or(0) };
                let body = JobBody {
                    job: 1,
                    name: String::new(),
                    argv: vec!["x".into()],
                    env: Vec::new(),
                    cwd: None,
                    stdin: None,
                    stdout: None,
                    stderr: None,
                    limits: self.job,
                };
                self.book.add_job(Job::new(&body, self.files.clone())?);
            }
            Line::Limits { limit, grace } => {
                self.book.set_limits(1, Limits { time_limit_ms: *limit, grace_ms: grace.unwrap_or(0) });
            }
            Line::Lease { ms } => {
                self.book.renew(Lease { deadline_ms: self.now_ms + ms, length_ms: 15_000 });
            }
            Line::Ping => self.book.pinged(self.now_ms),
            Line::Run(keys) => self.book.prepare(keys.iter().map(|key| self.order(*key, true)).collect()),
            Line::Hold(keys) => self.book.prepare(keys.iter().map(|key| self.order(*key, false)).collect()),
            Line::Start { key } => self.book.start(*key),
            Line::Recall { key } => drop(self.book.recall(*key)),
            Line::Stop { key } => {
                let stop = self.book.stop(*key, Outcome::Cancelled, self.now_ms);
                self.stops(stop);
            }
            Line::Kill { key } => {
                let stop = self.book.kill(*key, self.now_ms);
                self.stops(stop);
            }
            Line::Exit { key, code, signal } => {
                self.exit(*key, signal.map_or(Ok(code.unwrap_or(0)), Err));
            }
            Line::Broken { broken } => self.broken = *broken,
            Line::Wait { ms } => self.wait(*ms),
        }
        self.start_ready();
        self.news();
        Ok(std::mem::take(&mut self.text).iter().map(|line| format!("{line}\n")).collect())
    }
}
