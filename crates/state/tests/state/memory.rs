//! What the state takes of memory: bounded, counted the same everywhere, and without inputs of jobs that have ended.

use crate::world::World;
use std::sync::Arc;
use taskyard_model::{JobId, JobSpec, limits};
use taskyard_state::{Command, KeepChange, Rejection, Reply, SpecFile, State, Submit};

/// A file in memory.
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl SpecFile for Bytes {
    fn read(&self, at: u64, len: u32) -> std::io::Result<Vec<u8>> {
        Ok(self.0[at as usize..][..len as usize].to_vec())
    }
}

const BIG: usize = 100_000;

impl World {
    fn big(&mut self) -> JobId {
        self.submit(|spec| spec.entries = vec!["x".repeat(BIG)])
    }

    fn end(&mut self, job: JobId) {
        self.apply(Command::Cancel { job, tasks: vec![], now: false });
    }

    /// Writes a snapshot, and leaves in it what has ended.
    fn store(&mut self) -> Arc<dyn SpecFile> {
        let mut bytes = Vec::new();
        let written = self.state.freeze().write(&mut bytes).unwrap();
        let source: Arc<dyn SpecFile> = Arc::new(Bytes(bytes));
        self.state.stored(&written, &source);
        source
    }

    fn entries(&self, job: JobId) -> (usize, usize) {
        let job = self.state.job(job).unwrap();
        let len = |spec: &JobSpec| spec.entries.iter().map(String::len).sum();
        (len(&job.spec), len(&job.whole().load().unwrap()))
    }
}

#[test]
fn inputs_leave_memory_with_the_first_snapshot_that_has_them() {
    let mut w = World::default();
    let [before, open, after] = [0; 3].map(|_| w.big());
    w.end(before);
    assert_eq!(w.state.unstored_bytes() / BIG as u64, 1);
    let (digest, bytes) = (w.state.digest(), w.state.bytes());
    w.store();
    assert_eq!((w.state.digest(), w.state.bytes()), (digest, bytes), "this is no change of the state");
    assert_eq!([before, open].map(|job| w.entries(job)), [(0, BIG), (BIG, BIG)]);
    assert_eq!(w.state.unstored_bytes(), 0);
    w.end(after);
    assert_eq!((w.entries(after), w.state.unstored_bytes()), ((0, BIG), 0), "the snapshot has it already");
    let late = w.big();
    w.apply(Command::Update {
        job: open,
        change: taskyard_state::Change { priority: Some(9), ..Default::default() },
    });
    w.end(late);
    w.end(open);
    assert_eq!(
        [late, open].map(|job| w.entries(job)),
        [(BIG, BIG); 2],
        "no snapshot has them as they are now"
    );
    w.store();
    assert_eq!([before, open, after, late].map(|job| w.entries(job)), [(0, BIG); 4]);
    w.check();
}

#[test]
fn lean_and_whole_states_are_equal_and_write_the_same_snapshot() {
    let mut w = World::default();
    let jobs = [0; 3].map(|_| w.big());
    w.end(jobs[0]);
    let write = |state: &State| {
        let mut bytes = Vec::new();
        state.freeze().write(&mut bytes).unwrap();
        bytes
    };
    let whole = write(&w.state);
    w.store();
    assert!(write(&w.state) == whole);
    let source: Arc<dyn SpecFile> = Arc::new(Bytes(whole.clone()));
    let read = State::read_snapshot(&mut whole.as_slice(), Some(source)).unwrap();
    assert_eq!(read.digest(), w.state.digest());
    assert!(read.job(jobs[0]).unwrap().spec.entries.is_empty(), "it is not read into memory at all");
    assert_eq!((read.bytes(), read.unstored_bytes()), (w.state.bytes(), 0));
    let mut harmed = whole.clone();
    let at = harmed.windows(9).position(|window| window == b"xxxxxxxxx").unwrap();
    harmed[at] ^= 1;
    let mut other = State::read_snapshot(&mut whole.as_slice(), Some(Arc::new(Bytes(harmed)))).unwrap();
    let refused = other.job(jobs[0]).unwrap().whole().load().unwrap_err().to_string();
    assert!(refused.contains("a stored job is damaged"), "{refused}");
    assert!(other.freeze().write(&mut Vec::new()).is_err(), "it is not written on either");
    other.stored(&[], &(Arc::new(Bytes(Vec::new())) as Arc<dyn SpecFile>));
}

#[test]
fn a_full_state_refuses_submits_and_nothing_else() {
    let mut w = World::default();
    let limit = limits::RETENTION_BYTES_MIN;
    w.apply(Command::SetRetention(KeepChange { state_bytes: Some(limit), ..KeepChange::default() }));
    let mut jobs = Vec::new();
    let refused = loop {
        let spec = JobSpec { entries: vec!["x".repeat(BIG)], ..JobSpec::command(vec!["true".into()]) };
        let submit = Submit { spec, owner: "ann".into(), request_id: String::new(), retry_of: None };
        match w.apply(Command::Submit(Box::new(submit))) {
            Reply::Submitted { job, .. } => jobs.push(job),
            other => break other,
        }
    };
    let most = limit as usize / BIG;
    assert!((most - 10..=most).contains(&jobs.len()), "{} jobs", jobs.len());
    let Reply::Rejected(Rejection::StateFull { bytes, limit: told }) = refused else { panic!("{refused:?}") };
    assert!(told == limit && bytes <= limit && bytes > limit - 2 * BIG as u64, "{bytes}");
    let digest = w.state.digest();
    w.end(jobs[0]);
    assert_ne!(w.state.digest(), digest, "a cancel goes on");
    w.big();
    w.check();
}

#[test]
fn finished_jobs_are_bounded_by_the_bytes_of_their_inputs() {
    let mut w = World::default();
    let most = limits::RETENTION_BYTES_MIN;
    w.apply(Command::SetRetention(KeepChange { max_bytes: Some(most), ..KeepChange::default() }));
    for _ in 0..200 {
        let job = w.big();
        w.end(job);
        assert!(w.state.kept().bytes <= most);
    }
    let kept = w.state.kept();
    assert!(kept.jobs < 200 && kept.bytes > most - 2 * BIG as u64, "{kept:?}");
    assert!(w.state.bytes() < 1 << 20, "they do not count as memory");
    w.check();
}
