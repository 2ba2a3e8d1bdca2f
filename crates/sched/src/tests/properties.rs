//! What holds for every view.

use crate::depth::depth;
use crate::order::Rank;
use crate::pass::Pass;
use crate::prefetch::{Precedence, Purpose, ShareLedger, precedence};
use crate::testing::{Cluster, apply, cluster, end_on};
use crate::{Budget, schedule};
use proptest::prelude::*;
use std::collections::BTreeMap;
use taskyard_model::{Discipline, Drain, JobId, JobView, NodeId, Plan, Policy, Rule, View, limits};

#[derive(Clone, Debug)]
struct AnyJob {
    tasks: u32,
    cpu_milli: u64,
    gpu_milli: u32,
    licences: u64,
    constraint: bool,
    queue: u32,
    eve: bool,
    priority: i32,
    estimate_ms: Option<u64>,
    submitted_ms: u64,
    max_running: Option<u32>,
    typical_ms: Option<u64>,
}

fn any_job() -> impl Strategy<Value = AnyJob> {
    let needs = (0u32..40, 0u64..5, 0u32..8, 0u64..3, any::<bool>());
    let order = (1u32..4, any::<bool>(), -3i32..4, prop::option::of(0u64..50), 0u64..1_000);
    let rest = (prop::option::of(0u32..9), prop::option::of(prop::sample::select(vec![0, 1, 30, 300, 900])));
    (needs, order, rest).prop_map(|(needs, order, rest)| AnyJob {
        tasks: needs.0,
        cpu_milli: needs.1 * 500,
        gpu_milli: needs.2.saturating_sub(4) * 500 % 1_500,
        licences: needs.3.saturating_sub(1),
        constraint: needs.4,
        queue: order.0,
        eve: order.1,
        priority: order.2,
        estimate_ms: order.3,
        submitted_ms: order.4,
        max_running: rest.0,
        typical_ms: rest.1,
    })
}

pub(super) fn any_cluster() -> impl Strategy<Value = Cluster> {
    let node = (1u64..6, 0u32..3, 0u64..4, any::<bool>(), 0u8..10);
    let policy = prop::sample::select(Policy::NAMES.map(|(_, policy)| policy).to_vec());
    let queue = (policy, -1i32..2, 1u32..4, 1u64..2_000);
    let nodes = prop::collection::vec(node, 0..6);
    let queues = prop::collection::vec(queue, 3);
    let discipline = prop::sample::select(Discipline::NAMES.map(|(_, d)| d).to_vec());
    let jobs = prop::collection::vec(any_job(), 0..12);
    (nodes, queues, jobs, discipline).prop_map(|(nodes, queues, jobs, discipline)| {
        let mut c = cluster().default_pool(|pool| pool.discipline = discipline);
        for (i, (cpus, gpus, licences, zone, state)) in nodes.into_iter().enumerate() {
            c = c.node(&i.to_string(), cpus).gpus(gpus).resource("licence", licences);
            c = if zone { c.label("zone", "x") } else { c };
            c = c.on_node(|n| match state {
                0 => n.status.drain(Drain::default()),
                1 => n.status.lose(),
                _ => {}
            });
        }
        c = c.queue(|_| ()).queue(|_| ());
        for (queue, (policy, tier, weight, max_wait_ms)) in c.queues.iter_mut().zip(queues) {
            let config = &mut queue.config;
            (config.policy, config.tier, config.weight, config.max_wait_ms) =
                (policy, tier, weight, max_wait_ms);
            config.aging_ms = 100;
        }
        jobs.iter().fold(c, add)
    })
}

fn add(cluster: Cluster, any: &AnyJob) -> Cluster {
    let c = cluster.job(any.tasks).cpu_milli(any.cpu_milli).gpu_milli(any.gpu_milli).in_queue(any.queue);
    let c = if any.licences > 0 { c.asks("licence", any.licences) } else { c };
    let c = if any.constraint { c.constraint("zone == x") } else { c };
    c.with(|j| {
        j.owner = if any.eve { "eve" } else { "ann" }.into();
        (j.priority, j.estimate_ms, j.submitted_ms) = (any.priority, any.estimate_ms, any.submitted_ms);
        j.max_running = any.max_running;
        j.typical_us = any.typical_ms.map(|ms| ms * 1_000);
    })
}

fn plan(view: &View) -> Plan {
    schedule(view, Budget::default())
}

/// By the definition of `max_wait`.
fn is_aged(view: &View, job: &JobView) -> bool {
    let queue = view.class(job.class).unwrap().queue;
    view.now_ms - job.submitted_ms > view.queue(queue).unwrap().config.max_wait_ms
}

/// Plans and applies until nothing is left to do. Returns how many plans that took.
fn settle(view: &mut View) -> usize {
    // A strict pool may start one task a pass: queues take turns by what runs, and work that asks for nothing does not
    // show there.
    for plans in 0..500 {
        let next = plan(view);
        if next.is_empty() {
            return plans;
        }
        apply(view, &next);
    }
    panic!("plans without end");
}

/// Plans and applies until nothing is left to do, ending some of what runs now and then. The checks of `apply` hold all
/// along.
fn live(view: &mut View, ends: &[(usize, usize)], mut each: impl FnMut(&View, &Plan)) {
    for &(node, which) in ends {
        for _ in 0..8 {
            let plan = plan(view);
            each(view, &plan);
            if plan.is_empty() {
                break;
            }
            apply(view, &plan);
        }
        end_one(view, node, which);
    }
}

/// Ends a running attempt. One of its class that is held there takes its place, as the agent does; else its room is
/// free again.
fn end_one(view: &mut View, node: usize, which: usize) {
    let count = view.nodes.len().max(1);
    let index = node % count;
    let id = NodeId(1 + u32::try_from(index).unwrap());
    let Some(node) = view.nodes.get_mut(id) else { return };
    let running: Vec<_> =
        node.by_class.iter().filter(|(_, here)| here.running > 0).map(|(c, _)| *c).collect();
    let Some(&class) = running.get(which % running.len().max(1)) else { return };
    let class_view = &view.classes[class];
    let of_class = |(job, prefetched): (&JobId, &taskyard_model::PrefetchedJob)| {
        (view.jobs[job].class == class && prefetched.count > 0).then_some(*job)
    };
    if let Some(next) = node.prefetched_jobs.iter().find_map(of_class) {
        let prefetched = node.prefetched_jobs.get_mut(&next).unwrap();
        prefetched.count -= 1;
        if prefetched.count == 0 {
            node.prefetched_jobs.remove(&next);
        }
        node.prefetched -= 1;
        node.by_class.get_mut(&class).unwrap().prefetched -= 1;
        let job = view.jobs.get_mut(&next).unwrap();
        job.prefetched -= 1;
    } else if class_view.request.gpu_milli == 0 {
        end_on(view, index, class);
    }
}

fn ends() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0usize..6, 0usize..4), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4_000 }))]

    /// `apply` in `testing` asserts that everything fits, is there to be placed and is within what may be held.
    #[test]
    fn nothing_is_oversubscribed(cluster in any_cluster(), ends in ends()) {
        live(&mut cluster.view(), &ends, |_, _| ());
    }

    /// Once a plan is applied nothing more can run, and soon nothing more is to be done at all. Only where the rest of
    /// an aged job has become held work are its nodes no longer kept, and the younger have their turn.
    #[test]
    fn a_second_pass_has_nothing_to_run(mut cluster in any_cluster()) {
        // Under the others a second pass may protect another job, when queues of one tier take turns by what runs.
        cluster.pools[0].config.discipline = Discipline::Greedy;
        cluster.jobs.iter_mut().for_each(|job| job.estimate_ms = None);
        let mut view = cluster.view();
        let first = plan(&view);
        let freed = first.assignments.iter().any(|a| a.prefetch && is_aged(&view, &view.jobs[&a.job]));
        apply(&mut view, &first);
        let second = plan(&view);
        prop_assert!(freed || second.assignments.iter().all(|a| a.prefetch), "{second:?}");
        prop_assert!(settle(&mut view) < 6);
    }

    /// What a pass leaves out because no node has room for it, it would not have placed.
    #[test]
    fn passing_over_changes_nothing(cluster in any_cluster(), ends in ends()) {
        live(&mut cluster.view(), &ends, |view, _| {
            let mut pass = Pass::run(view, Budget::default());
            let mut thorough = Pass::thorough(view, Budget::default());
            assert_eq!(pass.assignments(), thorough.assignments());
        });
    }

    /// All that could run does: a job left waiting fits on no node, but for those kept for the aged and for planned
    /// starts.
    #[test]
    fn what_waits_fits_nowhere(cluster in any_cluster(), ends in ends()) {
        let mut view = cluster.view();
        live(&mut view, &ends, |_, _| ());
        settle(&mut view);
        let pass = Pass::run(&view, Budget::default());
        for (id, job) in view.jobs.iter().filter(|(_, job)| job.placeable() > 0) {
            let class = view.class(job.class).unwrap();
            for node in &view.nodes {
                let rule = pass.allocator.rule(node, class, *id);
                let kept = matches!(rule, Err(Rule::ReservedFor(_) | Rule::Delays { .. }));
                prop_assert!(kept || rule == view.fits(node, class));
                prop_assert!(rule.is_err() || view.pools[0].config.discipline == Discipline::Strict);
            }
        }
    }

    /// Which number a class has, and in what order things came into being, does not matter.
    #[test]
    fn the_order_of_the_input_does_not_matter(cluster in any_cluster(), ends in ends()) {
        let (mut one, mut other) = (cluster.clone(), cluster);
        other.backwards = true;
        one.backwards = false;
        let (mut one, mut other) = (one.view(), other.view());
        for _ in 0..ends.len().min(4) {
            let plan_of_one = plan(&one);
            prop_assert_eq!(&plan_of_one, &plan(&other));
            apply(&mut one, &plan_of_one);
            apply(&mut other, &plan_of_one);
        }
    }

    /// Within a class and queue, a job gets something only if all before it have got all they may.
    #[test]
    fn no_job_is_overtaken_in_its_class(cluster in any_cluster()) {
        let view = cluster.view();
        let plan = plan(&view);
        let mut given: BTreeMap<JobId, u32> = BTreeMap::new();
        for a in &plan.assignments {
            *given.entry(a.job).or_default() += a.count;
        }
        for (later, of_later) in view.jobs.iter().filter(|(id, _)| given.contains_key(id)) {
            let of_class = |(_, job): &(&JobId, &JobView)| job.class == of_later.class && job.placeable() > 0;
            for (earlier, of_earlier) in view.jobs.iter().filter(of_class) {
                let before = match (is_aged(&view, of_earlier), is_aged(&view, of_later)) {
                    (true, true) => (of_earlier.submitted_ms, *earlier) < (of_later.submitted_ms, *later),
                    (false, false) => of_earlier.key < of_later.key,
                    (earlier_is, _) => earlier_is,
                };
                if before {
                    prop_assert_eq!(given.get(earlier).copied().unwrap_or(0), of_earlier.placeable());
                }
            }
        }
    }

    /// Nothing younger is placed, to run or to be held, on a node that an aged job left waiting could use, when no
    /// length is known. (If lengths are known, the planned start of the aged job is protected like any.)
    #[test]
    fn the_aged_are_not_passed(mut cluster in any_cluster()) {
        cluster.jobs.iter_mut().for_each(|job| job.estimate_ms = None);
        let view = cluster.view();
        let plan = plan(&view);
        let mut after = view.clone();
        apply(&mut after, &plan);
        for (&old, job) in after.jobs.iter().filter(|(_, job)| job.placeable() > 0) {
            let class = view.class(job.class).unwrap();
            if !is_aged(&view, job) {
                continue;
            }
            for a in &plan.assignments {
                let other = &view.jobs[&a.job];
                let younger = (other.submitted_ms, a.job) > (job.submitted_ms, old);
                let could = view.node(a.node).unwrap().could_hold(&class.request, &class.constraint).is_ok();
                // It had everything it could get there before a younger one came, or the younger one did not get there.
                prop_assert!(!(could && (younger || !is_aged(&view, other))), "{} on {} passes {old}", a.job, a.node);
            }
        }
    }

    /// What is held stays within depth and caps, and only where nothing that waits ranks higher and could use the node.
    #[test]
    fn held_work_keeps_its_bounds(cluster in any_cluster(), ends in ends()) {
        let mut seen = Vec::new();
        live(&mut cluster.view(), &ends, |view, plan| seen.push((view.clone(), plan.clone())));
        for (mut view, plan) in seen {
            let prefetched = plan.assignments.iter().filter(|a| a.prefetch);
            let added: Vec<(JobId, NodeId)> = prefetched.map(|a| (a.job, a.node)).collect();
            apply(&mut view, &Plan { recalls: Vec::new(), ..plan });
            for (job, node) in added {
                let (job, node) = (&view.jobs[&job], view.node(node).unwrap());
                let class = view.class(job.class).unwrap();
                let here = node.by_class[&job.class];
                prop_assert!(here.prefetched <= here.running.saturating_mul(depth(class)));
                prop_assert!(node.prefetched <= limits::PREFETCHED_PER_NODE_MAX);
                let rank = Rank::of(&view, class, job).unwrap();
                for (_, waits) in view.jobs.iter().filter(|(_, j)| j.placeable() > 0 && j.class != job.class) {
                    let other = view.class(waits.class).unwrap();
                    let theirs = Rank::of(&view, other, waits).unwrap();
                    let over = match precedence(theirs, rank) {
                        Precedence::Before => true,
                        Precedence::Behind => false,
                        Precedence::ByShare(keys) => {
                            let ledger = ShareLedger::of(&view);
                            let (prefetched, waits) = (ledger.of_prefetched(class), ledger.of_waiting(other, Purpose::Fill));
                            prefetched.unwrap().barred_by(&waits.unwrap(), keys, theirs < rank, Purpose::Fill)
                        }
                    };
                    prop_assert!(!over || node.could_hold(&other.request, &other.constraint).is_err());
                }
            }
        }
    }

    /// All work gets done: with tasks that end, nothing that could run waits without end.
    #[test]
    fn everything_ends(cluster in any_cluster()) {
        let mut view = cluster.view();
        // GPUs are not given back by `end_one`.
        let mut rounds = 0;
        loop {
            let next = plan(&view);
            apply(&mut view, &next);
            let runs: Vec<usize> = (0..view.nodes.len()).filter(|&i| {
                view.nodes[i].by_class.iter().any(|(c, here)| {
                    here.running > 0 && view.classes[*c].request.gpu_milli == 0
                })
            }).collect();
            let Some(&node) = runs.get(rounds % runs.len().max(1)) else { break };
            for which in 0..4 {
                end_one(&mut view, node, which);
            }
            rounds += 1;
            prop_assert!(rounds < 5_000, "does not end");
        }
        prop_assert!(view.nodes.iter().all(|n| n.prefetched == 0), "still held");
    }
}
