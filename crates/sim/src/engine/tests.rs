//! The shortcut starts every job when the scheduler does.

use super::*;
use crate::workload::{machine, procs_request};
use crate::{NodeShape, TraceJob};
use proptest::prelude::*;
use taskyard_model::{Constraint, Discipline, Policy, limits};

const ORDERS: [Policy; 6] =
    [Policy::Fcfs, Policy::Sjf, Policy::Saf, Policy::SoftArea, Policy::F1, Policy::Priority];
const DISCIPLINES: [Discipline; 4] =
    [Discipline::Strict, Discipline::Greedy, Discipline::Easy, Discipline::EasySjf];

fn setup(policy: Policy, discipline: Discipline, ties: Ties) -> Setup {
    Setup {
        queue: QueueConfig { policy, max_wait_ms: u64::MAX, ..QueueConfig::default() },
        pool: PoolConfig { discipline, ..PoolConfig::default() },
        planner: Planner::Live,
        ties,
        own: KeptSettings::default(),
    }
}

/// A few values of each, so that a lot happens in one instant: the gap after the job before, how long it runs, how
/// much longer its user said, its limit, and its processors.
fn job() -> impl Strategy<Value = (u64, u64, u64, Option<u64>, u32)> {
    (0u64..4, 1u64..9, 0u64..4, prop::option::of(0u64..3), 1u32..9)
}

fn workload(jobs: &[(u64, u64, u64, Option<u64>, u32)]) -> Workload {
    let mut submit_ms = 0;
    let job = |(i, &(gap, run, more, limit, procs)): (usize, &(u64, u64, u64, Option<u64>, u32))| {
        submit_ms += gap * 1_000;
        let run_ms = run * 1_000;
        TraceJob {
            id: i as u64 + 1,
            submit_ms,
            run_ms,
            request: procs_request(procs),
            estimate_ms: (more < 3 || limit.is_none()).then_some(run_ms + more * 2_000),
            limit_ms: limit.map(|beyond| run_ms + beyond * 3_000),
            user: 0,
            procs,
        }
    };
    let jobs = jobs.iter().enumerate().map(job).collect();
    Workload { jobs, users: vec!["ada".into()], nodes: vec![machine(8)], ..Workload::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_shortcut_is_the_scheduler(
        jobs in prop::collection::vec(job(), 1..60),
        max_wait_ms in prop::sample::select(vec![u64::MAX, 20_000, 5_000, 1]),
    ) {
        let workload = workload(&jobs);
        for discipline in DISCIPLINES {
            for policy in ORDERS {
                for (_, ties) in Ties::NAMES {
                    let mut setup = setup(policy, discipline, ties);
                    setup.queue.max_wait_ms = max_wait_ms;
                    prop_assert!(has_shortcut(&workload, &setup));
                    let short = shortcut::run(&workload, &setup, &mut |_| ());
                    let thorough = run_thoroughly(&workload, &setup, &mut |_| ()).unwrap();
                    prop_assert_eq!(short, thorough, "{:?} {:?} {:?} {}", policy, discipline, ties, max_wait_ms);
                }
            }
        }
    }
}

#[test]
fn what_the_shortcut_does_not_know_goes_to_the_scheduler() {
    let jobs = workload(&[(0, 5, 0, None, 4), (1, 5, 1, Some(1), 8)]);
    let easy = setup(Policy::Sjf, Discipline::Easy, Ties::Batch);
    let knows = |change: &dyn Fn(&mut Workload, &mut Setup)| {
        let (mut workload, mut setup) = (jobs.clone(), easy.clone());
        change(&mut workload, &mut setup);
        has_shortcut(&workload, &setup)
    };
    assert!(knows(&|_, _| ()));
    assert!(!knows(&|_, s| s.queue.policy = Policy::FairShare), "turns");
    assert!(knows(&|_, s| s.queue.max_wait_ms = 1_000), "a longest wait");
    assert!(!knows(&|w, _| w.settings = Some(Default::default())), "queues of a cluster");
    assert!(!knows(&|w, _| drop(w.terms.insert(0, Default::default()))), "priorities and accounts");
    assert!(!knows(&|_, s| s.pool.discipline = Discipline::Conservative));
    assert!(!knows(&|_, s| s.planner = Planner::Commit { backfill: false }));
    assert!(!knows(&|w, _| w.nodes.push(machine(8))), "several nodes");
    assert!(!knows(&|w, _| w.nodes[0] = NodeShape { name: "gpus".into(), ..gpus() }));
    assert!(!knows(&|w, _| w.jobs[0].request.amounts.memory = 1), "memory");
    assert!(!knows(&|w, _| w.jobs[0].request.gpu_milli = 1), "GPUs");
    assert!(!knows(&|w, _| w.jobs[0].request.exclusive = true), "alone");
    assert!(!knows(&|w, _| w.jobs[0].run_ms = 6_000), "longer than expected");
    assert!(
        !knows(&|w, _| (w.jobs[0].estimate_ms, w.jobs[0].limit_ms) = (None, None)),
        "the length is unknown"
    );
    let place = Constraint::parse("c", "zone == a").unwrap();
    assert!(!knows(&|w, _| drop(w.constraints.insert(0, place.clone()))));
}

fn gpus() -> NodeShape {
    let mut node = machine(8);
    node.capacity.gpus = 1;
    node
}

#[test]
fn a_disagreement_is_an_error_that_names_the_job() {
    let jobs = workload(&[(0, 5, 0, None, 4), (1, 5, 0, None, 8), (1, 2, 0, None, 4)]);
    let easy = setup(Policy::Fcfs, Discipline::Easy, Ties::Batch);
    let mut outcomes = shortcut::run(&jobs, &easy, &mut |_| ());
    let mut engine = Engine::new(&jobs, &easy).unwrap();
    engine.run(&easy, 2, &mut |_| ());
    engine.agree_with(&outcomes).unwrap();
    outcomes[2].start_ms += 1;
    let error = engine.agree_with(&outcomes).unwrap_err().to_string();
    assert!(error.contains("job 3") && error.contains("--thorough"), "{error}");
}

/// Conservative backfilling plans all that waits, also beyond what a live pool plans.
#[test]
fn conservative_plans_every_job() {
    let job = |(id, (submit_ms, procs, run_ms)): (usize, (u64, u32, u64))| TraceJob {
        id: id as u64 + 1,
        submit_ms,
        run_ms,
        request: procs_request(procs),
        estimate_ms: Some(run_ms),
        limit_ms: None,
        user: 0,
        procs,
    };
    // One of four processors is free, and fits the last job alone. It would delay the jobs before it, which want
    // all four, and these are behind more jobs than a live pool plans.
    let three_wide = 2_499;
    assert!(three_wide > limits::PLANNED_TASKS_MAX);
    let waiting = (0..three_wide).map(|_| (1, 3, 1_000)).chain((0..500).map(|_| (1, 4, 1_000)));
    let all = std::iter::once((0, 3, 10_000_000)).chain(waiting).chain([(2, 1, 20_000_000)]);
    let jobs: Vec<TraceJob> = all.enumerate().map(job).collect();
    let last = jobs.len() - 1;
    let workload =
        Workload { jobs, users: vec!["ada".into()], nodes: vec![machine(4)], ..Workload::default() };
    let setup = setup(Policy::Fcfs, Discipline::Conservative, Ties::Batch);
    let starts_at_once = |reservations_max: Option<u32>| {
        let mut engine = Engine::new(&workload, &setup).unwrap();
        engine.budget.reservations_max = reservations_max.unwrap_or(engine.budget.reservations_max);
        while engine.next < workload.jobs.len() {
            engine.cluster.now_ms = engine.next_ms().unwrap();
            engine.batch();
        }
        engine.cluster.has_started(last)
    };
    assert!(!starts_at_once(None), "it would delay those that want four");
    assert!(!starts_at_once(Some(u32::MAX)));
    assert!(starts_at_once(Some(limits::PLANNED_TASKS_MAX)), "a live pool plans too few to see that");
}
