//! Users who submit without pause and keep book of every answer, and checkers that compare the book with the server.

use super::daemon::{Outcome, all_pages, is_finished, outcome};
use super::eventually;
use super::http::Http;
use super::random::Random;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A user gives up, and the test fails, when a submit is not acknowledged for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a job of the load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// So many tasks without a process.
    Null(u64),
    /// A process that writes a line to the witness file.
    Witness,
    /// A process that ends with this code.
    Exit(i32),
}

impl Kind {
    fn draw(random: &mut Random) -> Kind {
        match random.below(100) {
            0..2 => Kind::Witness,
            2..4 => Kind::Exit(3),
            4..10 => Kind::Null(2 + random.below(19)),
            _ => Kind::Null(1),
        }
    }

    pub(crate) fn tasks(self) -> u64 {
        if let Kind::Null(tasks) = self { tasks } else { 1 }
    }

    fn spec(self, name: &str, witness: &Path) -> Value {
        match self {
            Kind::Null(1) => json!({ "name": name, "driver": "null", "cpus": "0.1" }),
            Kind::Null(n) => {
                json!({ "name": name, "driver": "null", "cpus": "0.1", "array": format!("1-{n}") })
            }
            Kind::Exit(code) => {
                json!({ "name": name, "cpus": "0.1", "command": ["sh", "-c", format!("exit {code}")] })
            }
            Kind::Witness => {
                let write = format!("echo $TASKYARD_JOB $TASKYARD_ATTEMPT >> {}", witness.display());
                json!({ "name": name, "cpus": "0.1", "command": ["sh", "-c", write] })
            }
        }
    }
}

/// A submit that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) request_id: String,
    pub(crate) job: u64,
    pub(crate) kind: Kind,
    /// When it was, and how long after the first try.
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

#[derive(Default)]
struct Book {
    acknowledged: Mutex<Vec<Acknowledged>>,
    complaints: Mutex<Vec<String>>,
    /// Answers that left it open whether the job stands.
    unknown: AtomicU64,
    /// Known request ids sent once more.
    repeated: AtomicU64,
    stop: AtomicBool,
}

impl Book {
    fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// How many users there are, and what each does.
#[derive(Clone, Copy)]
pub(crate) struct Users {
    pub(crate) count: u64,
    /// Jobs it submits.
    pub(crate) each: u64,
    /// Its rest between two.
    pub(crate) pause: Duration,
}

/// Several users at work.
pub(crate) struct Load {
    book: Arc<Book>,
    users: Vec<JoinHandle<()>>,
    pub(crate) witness: PathBuf,
}

impl Load {
    /// `users` who submit `each` jobs, each beginning with another of the servers at `url`.
    pub(crate) fn start(url: &str, dir: &Path, users: u64, each: u64, random: &mut Random) -> Load {
        Load::of(&Http::new(url), dir, Users { count: users, each, pause: Duration::ZERO }, random)
    }

    /// Users who ask as this client does.
    pub(crate) fn of(http: &Http, dir: &Path, users: Users, random: &mut Random) -> Load {
        let book = Arc::new(Book::default());
        let witness = dir.join("witness");
        // Names are different for each user of a test.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let start = |_| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let user = User {
                http: http.clone().beginning_at(number),
                book: Arc::clone(&book),
                random: random.fork(),
                witness: witness.clone(),
                mine: Vec::new(),
                users,
            };
            std::thread::spawn(move || user.work(number, users.each))
        };
        let users = (0..users.count).map(start).collect();
        Load { book, users, witness }
    }

    /// All that has been acknowledged by now.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.book.acknowledged.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.book.acknowledged.lock().unwrap().len()
    }

    /// Whether all have submitted what they wanted to, or complained.
    pub(crate) fn is_done(&self) -> bool {
        self.users.iter().all(JoinHandle::is_finished)
    }

    /// Lets the users end what they are about and go; their book. Fails if they have a complaint.
    pub(crate) fn finish(mut self) -> Finished {
        self.book.stop.store(true, Ordering::Relaxed);
        for user in self.users.drain(..) {
            user.join().unwrap();
        }
        let complaints = self.book.complaints.lock().unwrap();
        assert!(
            complaints.is_empty(),
            "{} complaints: {:#?}",
            complaints.len(),
            &complaints[..complaints.len().min(5)]
        );
        Finished {
            acknowledged: self.book.acknowledged.lock().unwrap().clone(),
            unknown: self.book.unknown.load(Ordering::Relaxed),
            repeated: self.book.repeated.load(Ordering::Relaxed),
            witness: self.witness.clone(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.book.stop.store(true, Ordering::Relaxed);
    }
}

/// The book when all users have gone.
pub(crate) struct Finished {
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) unknown: u64,
    pub(crate) repeated: u64,
    witness: PathBuf,
}

/// Somebody who fills the log and not the state: one large job, submitted again and again with the same request id.
pub(crate) struct Ballast {
    flows: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Acknowledged>,
}

impl Ballast {
    const BYTES: usize = 100_000;
    const PAUSE: Duration = Duration::from_millis(20);

    /// Nothing flows yet.
    pub(crate) fn start(url: &str) -> Ballast {
        let [flows, stop] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (flowing, stopped, mut http) = (Arc::clone(&flows), Arc::clone(&stop), Http::new(url));
        let thread = std::thread::spawn(move || {
            let mut job = None;
            while job.is_none() || !stopped.load(Ordering::Relaxed) {
                if job.is_none() || flowing.load(Ordering::Relaxed) {
                    job = Ballast::submit(&mut http, job);
                }
                std::thread::sleep(Ballast::PAUSE); // sleep: the rate of the flow
            }
            let (request_id, at) = ("ballast".to_owned(), Instant::now());
            Acknowledged { request_id, job: job.unwrap(), kind: Kind::Null(1), at, took: Duration::ZERO }
        });
        Ballast { flows, stop, thread }
    }

    fn submit(http: &mut Http, known: Option<u64>) -> Option<u64> {
        let script = format!("#!/bin/sh\n#{}\n", "x".repeat(Ballast::BYTES));
        let spec = json!({ "name": "ballast", "cpus": "0.1", "script": script });
        let body = json!({ "spec": spec, "request_id": "ballast" });
        let Outcome::Done(answer) = outcome(http.request("POST", "/v1/jobs", Some(&body))) else {
            return known;
        };
        let job = answer["job"].as_u64();
        assert!(known.is_none() || known == job, "the ballast is job {known:?}, but when repeated: {answer}");
        job
    }

    pub(crate) fn flow(&self, flows: bool) {
        self.flows.store(flows, Ordering::Relaxed);
    }

    /// Its job, for the book.
    pub(crate) fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct User {
    http: Http,
    book: Arc<Book>,
    random: Random,
    witness: PathBuf,
    mine: Vec<Acknowledged>,
    users: Users,
}

impl User {
    fn work(mut self, number: u64, each: u64) {
        for n in 0..each {
            if self.book.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(self.users.pause); // sleep: the pace of a user
            // However short the test: something is seen from outside.
            let kind = if n == 0 { Kind::Witness } else { Kind::draw(&mut self.random) };
            if let Err(complaint) = self.submit(format!("u{number}-{n}"), kind) {
                return self.book.complain(complaint);
            }
            if self.random.one_in(20) {
                let known = self.mine[self.random.below(self.mine.len() as u64) as usize].clone();
                if let Err(complaint) = self.repeat(&known) {
                    return self.book.complain(complaint);
                }
            }
        }
    }

    /// Submits until it is acknowledged, always with the same request id.
    fn submit(&mut self, request_id: String, kind: Kind) -> Result<(), String> {
        let body = json!({ "spec": kind.spec(&request_id, &self.witness), "request_id": request_id });
        let began = Instant::now();
        let mut perhaps = false;
        loop {
            match outcome(self.http.request("POST", "/v1/jobs", Some(&body))) {
                Outcome::Done(answer) => {
                    if answer["duplicate"] == true && !perhaps {
                        return Err(format!("{request_id}: refused for certain, yet it stands: {answer}"));
                    }
                    let job = answer["job"].as_u64().ok_or_else(|| format!("{request_id}: {answer}"))?;
                    let (at, took) = (Instant::now(), began.elapsed());
                    let acknowledged = Acknowledged { request_id, job, kind, at, took };
                    self.mine.push(acknowledged.clone());
                    self.book.acknowledged.lock().unwrap().push(acknowledged);
                    return Ok(());
                }
                Outcome::Unknown => {
                    self.book.unknown.fetch_add(1, Ordering::Relaxed);
                    perhaps = true;
                }
                Outcome::Refused(error) => {
                    let passing = error.is_string() || !error["retry_after_ms"].is_null();
                    if !passing || began.elapsed() > PATIENCE {
                        return Err(format!("{request_id}: refused: {error}"));
                    }
                }
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{request_id}: not acknowledged within {PATIENCE:?}"));
            }
            std::thread::sleep(Duration::from_millis(5)); // sleep: between two tries of one user
        }
    }

    /// Sends a known request once more: whatever comes back must not be another job.
    fn repeat(&mut self, known: &Acknowledged) -> Result<(), String> {
        let Acknowledged { request_id, job, kind, .. } = known;
        let body = json!({ "spec": kind.spec(request_id, &self.witness), "request_id": request_id });
        if let Outcome::Done(answer) = outcome(self.http.request("POST", "/v1/jobs", Some(&body))) {
            self.book.repeated.fetch_add(1, Ordering::Relaxed);
            if answer["job"] != *job || answer["duplicate"] != true {
                return Err(format!("{request_id} is job {job}, but when repeated: {answer}"));
            }
        }
        Ok(())
    }
}

/// Terminal states that were seen: each must stay for ever.
#[derive(Default)]
pub(crate) struct Ended(HashMap<u64, String>);

impl Ended {
    /// Compares what is there with what was acknowledged before; the number of jobs and of ends examined.
    pub(crate) fn check(&mut self, http: &mut Http, acknowledged: &[Acknowledged]) -> (u64, u64) {
        let jobs = jobs(http);
        for Acknowledged { request_id, job, kind, .. } in acknowledged {
            let found = jobs
                .get(job)
                .unwrap_or_else(|| panic!("job {job} ({request_id}) was acknowledged and is lost"));
            assert_eq!(found["name"], **request_id, "job {job} is another one: {found}");
            assert_eq!(found["tasks"]["total"], kind.tasks(), "{found}");
        }
        for (job, state) in &self.0 {
            let found = jobs.get(job).unwrap_or_else(|| panic!("job {job} was {state} and is lost"));
            assert_eq!(found["state"], **state, "job {job} was {state} for ever, now: {found}");
        }
        let examined = (acknowledged.len() as u64, self.0.len() as u64);
        self.note(&jobs);
        examined
    }

    /// Looks which jobs have ended: what a user has been told must stay true.
    pub(crate) fn look(&mut self, http: &mut Http) {
        self.note(&jobs(http));
    }

    fn note(&mut self, jobs: &BTreeMap<u64, Value>) {
        for (id, job) in jobs.iter().filter(|(_, job)| is_finished(&job["state"])) {
            self.0.entry(*id).or_insert_with(|| job["state"].as_str().unwrap().to_owned());
        }
    }
}

fn jobs(http: &mut Http) -> BTreeMap<u64, Value> {
    let rows = all_pages(http, "/v1/jobs");
    let count = rows.len();
    let jobs: BTreeMap<u64, Value> = rows.into_iter().map(|job| (job["id"].as_u64().unwrap(), job)).collect();
    assert_eq!(jobs.len(), count, "a list shows a job twice");
    jobs
}

/// Numbers of what the final check looked at.
#[derive(Debug)]
#[expect(dead_code, reason = "tests print it")]
pub(crate) struct Examined {
    pub(crate) jobs: u64,
    pub(crate) tasks: u64,
    pub(crate) witnessed: u64,
}

impl Finished {
    /// Several groups of users at one cluster.
    pub(crate) fn and(mut self, other: Finished) -> Finished {
        self.acknowledged.extend(other.acknowledged);
        self.unknown += other.unknown;
        self.repeated += other.repeated;
        self
    }

    /// Waits until all work has ended; then every job is there once, and every task has ended once and as it should.
    pub(crate) fn check_all(&self, http: &mut Http, within: Duration) -> Examined {
        eventually("all work ends", within, || {
            let status = http.get("/v1/cluster");
            (status["jobs_active"] == 0).then_some(())
        });
        let jobs = jobs(http);
        assert_eq!(jobs.len(), self.acknowledged.len(), "jobs that nobody submitted, or twice");
        let mut names = HashSet::new();
        let mut tasks = 0;
        for Acknowledged { request_id, job, kind, .. } in &self.acknowledged {
            assert!(names.insert(request_id), "{request_id} is in the book twice");
            let found = &jobs[job];
            assert_eq!(found["name"], **request_id);
            let counts = &found["tasks"];
            let ended = ["succeeded", "failed", "cancelled"].map(|state| counts[state].as_u64().unwrap());
            let expected = if let Kind::Exit(_) = kind { [0, 1, 0] } else { [kind.tasks(), 0, 0] };
            assert_eq!(ended, expected, "{found}");
            for task in all_pages(http, &format!("/v1/jobs/{job}/tasks")) {
                tasks += 1;
                let outcome = if let Kind::Exit(_) = kind { "exited" } else { "succeeded" };
                let code = if let Kind::Exit(code) = kind { *code } else { 0 };
                assert_eq!(task["outcome"], outcome, "{task}");
                assert_eq!(task["exit_code"], code, "{task}");
                // No agent died, so nothing was to be run twice.
                assert_eq!(task["attempt"], 1, "{task}");
            }
        }
        assert_eq!(tasks, self.acknowledged.iter().map(|a| a.kind.tasks()).sum::<u64>());
        let witnessed = self.check_witness();
        assert!(tasks > 0 && witnessed > 0, "nothing was examined");
        Examined { jobs: jobs.len() as u64, tasks, witnessed }
    }

    /// Each process that should have run did so, once: seen from outside.
    fn check_witness(&self) -> u64 {
        let text = std::fs::read_to_string(&self.witness).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let witnesses = self.acknowledged.iter().filter(|a| a.kind == Kind::Witness);
        let mut expected: Vec<String> = witnesses.map(|a| format!("{} 1", a.job)).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "what ran is not what was submitted");
        lines.len() as u64
    }
}
