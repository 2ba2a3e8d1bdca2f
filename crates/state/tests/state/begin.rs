//! Jobs that may not start before a time.

use crate::world::{World, array};
use taskyard_model::{After, Begin, Gate, JobId, Need, Outcome};
use taskyard_state::{Change, Command, Reply};

/// The world's wall clock is this far ahead of its state time.
const WALL: u64 = 1_000_000;

impl World {
    fn submit_begin(&mut self, begin: Begin) -> JobId {
        self.submit(|s| s.begin = Some(begin))
    }

    fn gate(&self, job: JobId) -> Gate {
        self.state.view().jobs[&job].gate
    }

    fn at(&mut self, now_ms: u64) -> Reply {
        self.now_ms = now_ms;
        self.apply(Command::Pulse)
    }

    fn set_begin(&mut self, job: JobId, begin: Begin) -> Reply {
        let change = Change { begin: Some(begin), ..Change::default() };
        self.apply(Command::Update { job, change })
    }
}

#[test]
fn instants_and_delays_become_due_in_state_time() {
    let mut w = World::default();
    let node = w.register("a", 4);
    w.now_ms = 100;
    let delay = w.submit_begin(Begin::After(50));
    let instant = w.submit_begin(Begin::At(WALL + 180));
    let past = w.submit_begin(Begin::At(7));
    assert_eq!(
        [delay, instant, past].map(|j| w.gate(j)),
        [Gate::Begin { at_ms: 150 }, Gate::Begin { at_ms: 180 }, Gate::Open]
    );
    assert_eq!(w.state.next_deadline(), Some(150));
    assert_eq!((w.assign(delay, node, 1, false), w.assign(instant, node, 1, false)), (0, 0));
    w.at(149);
    assert_eq!(w.assign(delay, node, 1, false), 0);
    w.at(160);
    assert_eq!((w.assign(delay, node, 1, false), w.assign(instant, node, 1, false)), (1, 0));
    w.at(180);
    assert_eq!(w.state.view().jobs[&instant].submitted_ms, 180, "it waits for a place from now on");
    assert_eq!(w.assign(instant, node, 1, false), 1);
    assert_eq!(w.state.next_deadline(), None);
    w.check();
}

#[test]
fn a_new_leader_reads_instants_off_its_clock_and_leaves_delays() {
    let mut w = World { now_ms: 100, ..World::default() };
    let delay = w.submit_begin(Begin::After(50));
    let instant = w.submit_begin(Begin::At(WALL + 5_000));
    let soon = w.submit_begin(Begin::At(WALL + 300));
    w.check();
    // Nobody ran for 1,000 ms: state time stood still, the wall clock went on.
    w.wall_ahead_ms = 1_000;
    w.apply(Command::LeaderStart { server: 1, nonce: 1 });
    assert_eq!(
        [delay, instant, soon].map(|j| w.gate(j)),
        [Gate::Begin { at_ms: 150 }, Gate::Begin { at_ms: 4_000 }, Gate::Open]
    );
    w.check();
    // A clock that was set back makes it later, never earlier than its instant.
    w.wall_ahead_ms = 0;
    w.apply(Command::LeaderStart { server: 2, nonce: 2 });
    assert_eq!(w.gate(instant), Gate::Begin { at_ms: 5_000 });
    assert_eq!(w.gate(soon), Gate::Open, "what has begun has begun");
    assert_eq!(w.state.next_deadline(), Some(150));
    w.check();
}

#[test]
fn a_begin_can_be_moved_removed_and_outlived() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit_begin(Begin::After(50));
    w.apply(Command::Hold { job });
    w.apply(Command::Release { job });
    assert_eq!(w.assign(job, node, 1, false), 0, "a release does not skip it");
    w.set_begin(job, Begin::After(500));
    w.at(60);
    assert_eq!(w.gate(job), Gate::Begin { at_ms: 500 });
    w.set_begin(job, Begin::After(0));
    assert_eq!((w.gate(job), w.state.next_deadline()), (Gate::Open, None));
    assert_eq!(w.state.job(job).unwrap().spec.begin, None);
    w.check();

    // Moved away again while a task of it runs: that one goes on, the others wait.
    let job = w.submit(|s| s.array = array(3));
    assert_eq!(w.assign(job, node, 1, false), 1);
    w.set_begin(job, Begin::After(40));
    assert_eq!(w.assign(job, node, 2, false), 0);
    w.at(100);
    assert_eq!(w.assign(job, node, 2, false), 2);

    let cancelled = w.submit_begin(Begin::At(WALL + 900));
    w.apply(Command::Cancel { job: cancelled, tasks: vec![], now: false });
    assert!(
        w.state.next_deadline() > Some(900),
        "a job that has ended waits for nothing but to be forgotten"
    );
    w.apply(Command::LeaderStart { server: 1, nonce: 1 });
    w.check();
}

#[test]
fn a_job_waits_for_both_its_predecessors_and_its_time() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let first = w.submit(|_| {});
    let both = w.submit(|s| {
        s.after = vec![After { job: first, need: Need::Ok }];
        s.begin = Some(Begin::After(50));
    });
    assert_eq!(w.gate(both), Gate::After { job: first, more: 0 });
    w.assign(first, node, 1, false);
    w.finish(node, 0, Outcome::Succeeded);
    assert_eq!(w.gate(both), Gate::Begin { at_ms: 50 });
    w.at(50);
    assert_eq!(w.gate(both), Gate::Open);
    w.check();
}

#[test]
fn far_times_do_not_overflow() {
    let mut w = World { now_ms: 100, ..World::default() };
    let jobs = [Begin::At(u64::MAX), Begin::After(u64::MAX)].map(|begin| w.submit_begin(begin));
    w.apply(Command::LeaderStart { server: 1, nonce: 1 });
    assert!(jobs.iter().all(|job| w.gate(*job) != Gate::Open));
    w.check();
}
