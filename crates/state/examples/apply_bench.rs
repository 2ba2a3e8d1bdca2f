//! What `apply` costs per task and how much memory a task takes: `cargo run --release -p taskyard-state --example apply_bench`.
//!
//! One array on one node with work held ahead, reports of 2,000 ends, 2 % failing; once alone and once with 1,000 jobs of 1,000 tasks waiting
//! behind it. Memory is the growth of the resident set.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Duration, Instant};
use taskyard_model::report::Item;
use taskyard_model::{
    Amounts, ArraySpec, Assignment, AttemptEnd, Capacity, CutOutput, Finish, JobId, JobSpec, NodeId, Outcome,
    Plan, Report, TaskRef,
};
use taskyard_state::{Command, Entry, Register, Reply, State, Submit};

const TASKS: u32 = 1_000_000;
const BATCH: u32 = 2_000;

fn main() {
    for behind in [0, 1_000, 0, 1_000] {
        println!("{behind} jobs of 1,000 tasks behind:");
        run(behind);
    }
}

fn run(behind: u32) {
    let mut bench = Bench { state: State::new(), index: 0 };
    let (node, incarnation) = bench.register();
    let job = bench.submit(TASKS);
    for _ in 0..behind {
        bench.submit(1_000);
    }
    let assign = |count, prefetch| {
        let assignments = vec![Assignment { job, count, node, incarnation, prefetch }];
        Command::CommitPlan(Plan { assignments, recalls: vec![] })
    };
    bench.apply(assign(8, false));
    let (mut assigning, mut finishing) = (Duration::ZERO, Duration::ZERO);
    let mut done = 0;
    let before = resident();
    while done < TASKS {
        assigning += bench.apply(assign(BATCH, true)).1;
        let count = BATCH.min(TASKS - done);
        let items = bench.ends(job, node, count);
        finishing += bench.apply(Command::Report(Report { node, incarnation, items })).1;
        done += count;
        if done < TASKS {
            bench.apply(assign(8, false));
        }
    }
    println!("assign {} ns/task, finish {} ns/task", per_task(assigning), per_task(finishing));
    println!("finished: {} bytes/task resident", (resident() - before) / i64::from(TASKS));
    let began = Instant::now();
    let frozen = bench.state.freeze();
    println!("freeze {:?}, digest {:016x} in {:?}", began.elapsed(), frozen.digest(), began.elapsed());
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

    fn submit(&mut self, count: u32) -> JobId {
        let spec = JobSpec {
            array: ArraySpec { count, ..ArraySpec::single() },
            ..JobSpec::command(vec!["true".into()])
        };
        let submit = Command::Submit(Box::new(Submit {
            spec,
            owner: "bench".into(),
            request_id: String::new(),
            retry_of: None,
        }));
        let Reply::Submitted { job, .. } = self.apply(submit).0 else { panic!() };
        job
    }

    fn register(&mut self) -> (NodeId, taskyard_model::Incarnation) {
        let amounts = Amounts { cpu_milli: 8_000, ..Amounts::default() };
        let register = Register {
            name: "a".into(),
            agent_uuid: "a".into(),
            boot_id: "b".into(),
            capacity: Capacity { amounts, gpus: 0 },
            labels: Default::default(),
            isolation: String::new(),
            lease_ms: 15_000,
            joined: None,
            replaces: None,
            unfit: None,
        };
        let Reply::Registered { node, incarnation } = self.apply(Command::Register(Box::new(register))).0
        else {
            panic!()
        };
        (node, incarnation)
    }

    /// The oldest assigned attempts end, running ones first so that held ones find a place.
    fn ends(&self, job: JobId, node: NodeId, count: u32) -> Vec<Item> {
        let mut attempts = self.state.assigned_of(node, job);
        let running = |index: u32| {
            self.state.job(job).unwrap().record(index).unwrap().phase == taskyard_state::Phase::Running
        };
        attempts.sort_by_key(|(index, _)| (!running(*index), *index));
        let end = |index: u32| AttemptEnd {
            outcome: if index % 50 == 7 { Outcome::Exited } else { Outcome::Succeeded },
            code: i32::from(index % 50 == 7),
            started_wall_ms: 1_800_000_000_000 + self.index * 3 + u64::from(index % 5),
            ran_ms: u64::from(1 + index % 4),
            cpu_ms: 1,
            max_rss_kib: 1_900 + u64::from(index % 40) * 4,
            limit_ms: 0,
            cut: CutOutput::default(),
        };
        let finish = |&(index, fence): &(u32, _)| {
            Item::Finished(Finish { task: TaskRef { job, index }, fence, end: end(index) })
        };
        attempts.iter().take(count as usize).map(finish).collect()
    }
}

fn per_task(time: Duration) -> u128 {
    time.as_nanos() / u128::from(TASKS)
}

fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4_096
}
