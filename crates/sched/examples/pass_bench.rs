//! What a pass costs (P9): `cargo run --release -p taskyard-sched --example pass_bench`.
//!
//! Prints the curve over waiting tasks, as arrays and as single jobs, and the steady state after one task has ended.
//! Each line is the best, the middle and the worst of its runs.
#![allow(clippy::print_stdout)]
// A bench measures time; what it measures does not.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::time::Instant;
use taskyard_model::party::WEIGHT_DEFAULT;
use taskyard_model::policy::Orderable;
use taskyard_model::view::OnNode;
use taskyard_model::{
    AccountId, Affinity, Amounts, Capacity, ClassId, ClassView, Constraint, Gate, Incarnation, JobId,
    JobView, NodeId, NodeStatus, NodeView, PartyId, PartyView, PoolConfig, PoolId, PoolView, QueueConfig,
    QueueId, QueueView, Request, SmallSet, Span, Usage, View,
};
use taskyard_sched::{Budget, explain, schedule};

const GIB: u64 = 1 << 30;
const BUDGET: Budget =
    Budget { tasks_max: 200_000, nodes_max: 100_000_000, reservations_max: 2_000, holds: true };

fn amounts(cpu_milli: u64, memory: u64) -> Amounts {
    Amounts { cpu_milli, memory, named: BTreeMap::new() }
}

fn alive() -> NodeStatus {
    let mut status = NodeStatus::default();
    status.register(Incarnation(1), None, false);
    status
}

/// Nodes of `cores` cores each, all free.
fn view(nodes: u32, cores: u64) -> View {
    let all = amounts(cores * 1_000, cores * 4 * GIB);
    let node = |id| NodeView {
        id: NodeId(id),
        name: format!("node-{id}"),
        status: alive(),
        pool: PoolId(1),
        alone: false,
        given: 0,
        maintenance: Vec::new(),
        capacity: Capacity { amounts: all.clone(), gpus: 0 },
        free: all.clone(),
        gpu_free: Vec::new(),
        labels: [("zone".to_owned(), (id % 3).to_string()), ("name".to_owned(), format!("node-{id}"))].into(),
        running: 0,
        prefetched: 0,
        by_class: BTreeMap::new(),
        prefetched_jobs: BTreeMap::new(),
        ends: BTreeMap::new(),
    };
    let config = QueueConfig::default();
    let queue = QueueView {
        id: QueueId(1),
        name: "default".into(),
        config,
        pool: PoolId(1),
        running_cpu_milli: 0,
        heads: BTreeMap::new(),
        ages: BTreeMap::new(),
        deleted: false,
    };
    let pool =
        PoolView { id: PoolId(1), name: "default".into(), config: PoolConfig::default(), deleted: false };
    View {
        now_ms: 1_000_000,
        nodes: (1..=nodes).map(node).collect(),
        pools: vec![pool].into(),
        queues: vec![queue].into(),
        ..View::default()
    }
}

/// Classes that all ask for something else, and jobs dealt out to them in turn.
fn fill(view: &mut View, classes: u32, jobs: u64, tasks_each: u32, typical_us: Option<u64>) {
    for c in 0..classes {
        let request =
            Request { amounts: amounts(900 + u64::from(c % 100), GIB + u64::from(c)), ..Request::default() };
        let owner = format!("user-{c}");
        view.parties.push(PartyView {
            id: PartyId(c + 1),
            account: AccountId(1),
            owner,
            weight: WEIGHT_DEFAULT,
            usage: Usage::default(),
            running: amounts(0, 0),
            running_gpu_milli: 0,
        });
        view.classes.push(ClassView {
            id: ClassId(c),
            queue: QueueId(1),
            party: PartyId(c + 1),
            request,
            constraint: Constraint::default(),
            span: Span::default(),
            affinity: Affinity::default(),
            targets: None,
            waiting: SmallSet::default(),
            by_age: SmallSet::default(),
            jobs: 0,
            running: 0,
            typical_us,
        });
    }
    for id in 1..=jobs {
        let class = &mut view.classes[(id % u64::from(classes)) as usize];
        let job = Orderable { job: JobId(id), submitted_ms: id, priority: 0, estimate_ms: None, size: 1_000 };
        let key = view.queues[0].config.key(&job);
        class.jobs += 1;
        let job = JobView {
            class: class.id,
            key,
            submitted_ms: id,
            priority: 0,
            eligible: tasks_each,
            assigned: 0,
            prefetched: 0,
            max_running: None,
            stopped: false,
            gate: Gate::Open,
        };
        view.set_waiting(job.stand(), true);
        view.jobs.insert(JobId(id), job);
    }
}

/// Runs a pass some times and prints how long it took and what it did.
fn measure(label: &str, view: &View, runs: usize) {
    let mut micros = Vec::new();
    let mut tasks = 0;
    for _ in 0..runs {
        let start = Instant::now();
        let plan = std::hint::black_box(schedule(std::hint::black_box(view), BUDGET));
        micros.push(start.elapsed().as_nanos() / 100);
        tasks = plan.assignments.iter().map(|a| a.count).sum();
    }
    micros.sort_unstable();
    let [best, middle, worst] = [micros[0], micros[runs / 2], micros[runs - 1]].map(tenths);
    println!("{label:<64} {tasks:>7} placed {best:>12} {middle:>12} {worst:>12} µs");
}

fn tenths(value: u128) -> String {
    format!("{}.{}", value / 10, value % 10)
}

fn main() {
    println!("-- 10,000 nodes of 10 cores, 100 classes, arrays");
    for waiting in [1_000u32, 10_000, 100_000, 1_000_000, 10_000_000] {
        let mut view = view(10_000, 10);
        fill(&mut view, 100, 100, waiting / 100, None);
        measure(&format!("{waiting} waiting in 100 arrays"), &view, 9);
    }
    println!("-- the same, jobs of one task");
    for waiting in [1_000u64, 10_000, 100_000, 1_000_000, 10_000_000] {
        let mut view = view(10_000, 10);
        fill(&mut view, 100, waiting, 1, None);
        measure(&format!("{waiting} waiting in {waiting} jobs"), &view, 9);
    }
    println!("-- steady state: all is busy, one task has ended, 1,000,000 wait");
    for (nodes, classes) in [(10, 1), (100, 1_000), (1_000, 1_000), (10_000, 100), (10_000, 1_000)] {
        let mut view = view(nodes, 10);
        fill(&mut view, classes, 1_000, 1_000, Some(60_000_000));
        busy(&mut view, 0);
        measure(&format!("{nodes} nodes, {classes} classes"), &view, 999);
        view.nodes[0].free.cpu_milli = 0;
        measure(&format!("{nodes} nodes, {classes} classes, nothing ended"), &view, 999);
        view.nodes[0].free.cpu_milli = 901;
        measure(&format!("{nodes} nodes, {classes} classes, room for few"), &view, 999);
        let start = Instant::now();
        let explanation = std::hint::black_box(explain(&view, JobId(500)));
        println!(
            "{:<64} {} ahead {:>40} µs",
            "  explain",
            explanation.position.map_or(0, |p| p.ahead),
            start.elapsed().as_micros()
        );
    }
    easy();
    println!("-- steady state with work held ahead: half used up on one node");
    for (nodes, classes) in [(1, 1), (100, 1), (100, 1_000), (10_000, 1_000)] {
        let mut view = view(nodes, 10);
        fill(&mut view, classes, 1_000, 1_000, Some(1_000));
        busy(&mut view, 1_500);
        view.nodes[0].free.cpu_milli = 0;
        measure(&format!("{nodes} nodes, {classes} classes, none below half"), &view, 999);
        if let Some(here) = view.nodes[0].by_class.get_mut(&ClassId(1 % classes)) {
            here.prefetched = 500;
        }
        measure(&format!("{nodes} nodes, {classes} classes, one below half"), &view, 999);
    }
}

/// EASY backfilling: all running work is expected to end at some time, and the first job that waits needs a whole node.
fn easy() {
    println!("-- EASY: 1,000 run, expected ends known, one task has ended");
    for (nodes, waiting) in [
        (1u32, 1_000u64),
        (1, 100_000),
        (1_000, 100_000),
        (100, 1_000),
        (100, 10_000),
        (100, 100_000),
        (100, 1_000_000),
        (100, 10_000_000),
    ] {
        let running = 1_000 / nodes;
        let mut view = view(nodes, u64::from(running));
        fill(&mut view, 1_000, waiting, 1, None);
        for (i, class) in (0u64..).zip(&mut view.classes) {
            class.span = Span { estimate_ms: Some(60_000 + i * 1_000), limit_ms: None };
        }
        for node in &mut view.nodes {
            node.free = amounts(1_000, 4 * GIB);
            for n in 0..running - 1 {
                let class = ClassId((node.id.0 * 7 + n) % 1_000);
                let end = view.now_ms + u64::from((node.id.0 * 31 + n * 17) % 1_000) * 100 + 1;
                node.ends.entry((end, class)).or_default().count += 1;
                node.running += 1;
            }
            node.free = amounts(0, 0);
        }
        // The first of all asks for half a node.
        let first = view.jobs[&JobId(1)].class;
        view.classes[first].request.amounts = amounts(u64::from(running) * 500, GIB);
        view.find_firsts(QueueId(1));
        measure(&format!("{nodes} nodes, {waiting} waiting in 1,000 classes, no room"), &view, 99);
        view.nodes[0].free = amounts(901, 4 * GIB);
        measure(&format!("{nodes} nodes, {waiting} waiting in 1,000 classes, room for one"), &view, 99);
        for node in &mut view.nodes {
            node.free = amounts(1_000, 4 * GIB);
        }
        measure(&format!("{nodes} nodes, {waiting} waiting in 1,000 classes, room on each"), &view, 99);
    }
}

/// The first job's class runs everywhere, holding `prefetched` on each node; one core is free on node 1.
fn busy(view: &mut View, prefetched: u32) {
    let class = view.jobs[&JobId(1)].class;
    for node in &mut view.nodes {
        node.free = amounts(0, 0);
        node.running = 10;
        node.prefetched = prefetched;
        node.by_class.insert(class, OnNode { running: 10, prefetched });
        if prefetched > 0 {
            node.prefetched_jobs
                .insert(JobId(1), taskyard_model::PrefetchedJob { count: prefetched, recalled: false });
        }
    }
    view.nodes[0].free = amounts(1_000, 4 * GIB);
}
