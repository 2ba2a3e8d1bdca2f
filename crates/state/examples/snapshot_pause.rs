//! How long `apply` pauses for a snapshot of 2,000,000 running tasks: `cargo run --release -p taskyard-state --example snapshot_pause`.
//!
//! The state is frozen and written by another thread, as a server does it, while reports of 50 ends each are applied. Shown are the freezing,
//! and the slowest `apply` before the snapshot and during it: what is shared with the frozen copy is copied when it is changed.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use taskyard_model::report::Item;
use taskyard_model::{
    Amounts, ArraySpec, Assignment, AttemptEnd, Capacity, CutOutput, Finish, Incarnation, JobId, JobSpec,
    NodeId, Outcome, Plan, Report, TaskRef,
};
use taskyard_state::{Command, Entry, Register, Reply, State, Submit};

/// A node has at most 65,536 attempts.
const NODES: u32 = 32;
/// On each node.
const TASKS: u32 = 62_500;
const ENDS: usize = 50;
/// Applied before the snapshot.
const BEFORE: usize = 5_000;

fn main() {
    let mut bench = Bench { state: State::new(), index: 0 };
    let mut ends = Vec::new();
    for number in 0..NODES {
        let (node, incarnation) = bench.register(number);
        let job = bench.submit();
        let assignments = vec![Assignment { job, count: TASKS, node, incarnation, prefetch: false }];
        bench.apply(Command::CommitPlan(Plan { assignments, recalls: vec![] }));
        let running = bench.state.assigned_of(node, job);
        let items = running.into_iter().map(|(index, fence)| finish(job, index, fence)).collect::<Vec<_>>();
        ends.push((node, incarnation, items));
    }
    let tasks: usize = ends.iter().map(|(.., items)| items.len()).sum();
    println!("{tasks} tasks run");
    assert_eq!(tasks as u32, NODES * TASKS);
    // Over the whole state, not from one end to the other.
    let mut reports = spread(ends).into_iter();
    let mut report = |bench: &mut Bench| {
        let (node, incarnation, items) = reports.next().expect("enough tasks");
        bench.apply(Command::Report(Report { node, incarnation, items })).1
    };
    let before = (0..BEFORE).map(|_| report(&mut bench)).max().unwrap();
    let began = Instant::now();
    let frozen = bench.state.freeze();
    let freezing = began.elapsed();
    let written = AtomicBool::new(false);
    let (mut slowest, mut applied, mut took) = (Duration::ZERO, 0, Duration::ZERO);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let (began, mut bytes) = (Instant::now(), Count(0));
            frozen.write(&mut bytes).unwrap();
            written.store(true, Ordering::Release);
            (bytes.0, began.elapsed())
        });
        while !written.load(Ordering::Acquire) {
            slowest = slowest.max(report(&mut bench));
            applied += 1;
        }
        let (bytes, time) = writing.join().unwrap();
        took = time;
        println!("snapshot of {} MB written in {time:.2?}", bytes / 1_000_000);
    });
    println!(
        "freeze {freezing:.2?}; slowest apply of {BEFORE} before {before:.2?}, of {applied} during it {slowest:.2?}"
    );
    assert!(applied > 100, "the snapshot took only {took:?}");
}

type Ends = (NodeId, Incarnation, Vec<Item>);

/// Reports of all nodes in turn, each with ends from all over the node's tasks.
fn spread(nodes: Vec<Ends>) -> Vec<Ends> {
    let stride = TASKS as usize / ENDS;
    let report = |at: usize, (node, incarnation, items): &Ends| {
        (*node, *incarnation, (0..ENDS).map(|part| items[part * stride + at].clone()).collect())
    };
    (0..stride).flat_map(|at| nodes.iter().map(move |ends| report(at, ends))).collect()
}

struct Count(u64);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn finish(job: JobId, index: u32, fence: taskyard_model::Fence) -> Item {
    let end = AttemptEnd {
        outcome: Outcome::Succeeded,
        code: 0,
        started_wall_ms: 1_800_000_000_000 + u64::from(index),
        ran_ms: u64::from(1 + index % 4_000),
        cpu_ms: 1,
        max_rss_kib: 1_900,
        limit_ms: 0,
        cut: CutOutput::default(),
    };
    Item::Finished(Finish { task: TaskRef { job, index }, fence, end })
}

struct Bench {
    state: State,
    index: u64,
}

impl Bench {
    fn apply(&mut self, command: Command) -> (Reply, Duration) {
        self.index += 1;
        let entry = Entry { now_ms: self.index, wall_ms: 1_800_000_000_000 + self.index, command };
        let began = Instant::now();
        let applied = self.state.apply(self.index, &entry);
        (applied.reply, began.elapsed())
    }

    fn submit(&mut self) -> JobId {
        let spec = JobSpec {
            array: ArraySpec { count: TASKS, ..ArraySpec::single() },
            ..JobSpec::command(vec!["true".into()])
        };
        let submit = Submit { spec, owner: "bench".into(), request_id: String::new(), retry_of: None };
        let Reply::Submitted { job, .. } = self.apply(Command::Submit(Box::new(submit))).0 else { panic!() };
        job
    }

    fn register(&mut self, number: u32) -> (NodeId, Incarnation) {
        let cpu_milli = u64::from(TASKS) * 1_000;
        let register = Register {
            name: format!("n{number}"),
            agent_uuid: format!("u{number}"),
            boot_id: "b".into(),
            capacity: Capacity { amounts: Amounts { cpu_milli, ..Amounts::default() }, gpus: 0 },
            labels: Default::default(),
            isolation: String::new(),
            lease_ms: 15_000,
            joined: None,
            replaces: None,
            unfit: None,
        };
        let reply = self.apply(Command::Register(Box::new(register))).0;
        let Reply::Registered { node, incarnation } = reply else { panic!() };
        (node, incarnation)
    }
}
