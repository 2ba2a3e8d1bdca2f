//! Who may pass whom.

use super::check;
use crate::pass::Pass;
use crate::reserve::Reservation;
use crate::testing::{Cluster, apply, cluster};
use crate::tests::properties::any_cluster;
use crate::{Budget, schedule};
use proptest::prelude::*;
use std::collections::BTreeMap;
use taskyard_model::{Discipline, JobId, Policy, Request, View};

/// A node of ten cores, seven of them busy for 100 ms; then a job that needs eight, and candidates to pass it.
fn blocked(discipline: Discipline) -> Cluster {
    let c = cluster().node("a", 10).default_pool(|pool| pool.discipline = discipline);
    c.job(0).cpu_milli(7_000).takes(100).runs("a", 1).job(1).cpu_milli(8_000).takes(50)
}

#[test]
fn strict_lets_no_job_pass() {
    check(blocked(Discipline::Strict).job(1).takes(1), "");
    check(blocked(Discipline::Strict).job(1).takes(1).owner("eve"), "");
}

#[test]
fn greedy_lets_all_jobs_pass() {
    check(blocked(Discipline::Greedy).job(1).cpu_milli(3_000).takes(9_000), "run 3 a");
}

#[test]
fn easy_lets_jobs_pass_that_end_before_the_reserved_start_or_fit_beside_it() {
    let easy = || blocked(Discipline::Easy);
    check(easy().job(1).cpu_milli(3_000).takes(100), "run 3 a");
    check(easy().job(1).cpu_milli(3_000).takes(101), "");
    check(easy().job(1).cpu_milli(3_000), "");
    check(easy().job(1).cpu_milli(2_000).takes(9_000), "run 3 a");
    check(easy().job(3).cpu_milli(1_000).takes(9_000), "run 3 a x2");
    // Only the first that does not fit is protected.
    check(easy().job(1).cpu_milli(10_000).takes(5).job(2).takes(9_000), "run 4 a x2");
}

#[test]
fn a_moment_late_lets_no_job_pass() {
    for discipline in [Discipline::Easy, Discipline::EasySjf, Discipline::Conservative] {
        let c = cluster().node("a", 8).default_pool(|pool| pool.discipline = discipline);
        let c = c.job(0).cpu_milli(6_000).takes(60_000).with(|j| j.limit_ms = Some(3_600_000)).runs("a", 1);
        let c = c.job(1).cpu_milli(8_000).takes(60_000).job(1).cpu_milli(2_000).takes(50_000);
        let mut view = c.view();
        let mut plan_after = |ran_ms: u64| {
            view.now_ms = 1_000 + ran_ms;
            crate::testing::show(&view, &schedule(&view, Budget::default()))
        };
        for ran_ms in [13_000, 60_000, 60_003, 62_000, 80_000] {
            assert_eq!(plan_after(ran_ms), "", "{discipline:?} after {ran_ms} ms");
        }
        assert_eq!(plan_after(180_000), "run 3 a", "{discipline:?}: expected for another 111 s");
    }
}

#[test]
fn easy_protects_no_job_when_nothing_is_expected_to_end() {
    let c = || cluster().node("a", 10).job(0).cpu_milli(7_000).runs("a", 1).job(1).cpu_milli(8_000);
    check(c().job(1).cpu_milli(3_000), "run 3 a");
    check(c().node("b", 4).job(0).cpu_milli(3_000).takes(5).runs("b", 1).job(1), "run 4 a");
}

#[test]
fn easy_looks_at_every_resource_and_node() {
    let two = || {
        let c = cluster().node("a", 10).gpus(2).node("b", 10).gpus(2);
        let c =
            c.job(0).gpu_milli(1_000).takes(100).runs("a", 1).job(0).gpu_milli(2_000).takes(70).runs("b", 1);
        c.job(1).gpu_milli(2_000).takes(10)
    };
    // It is planned for b, in 70 ms. Node a is free for others.
    check(two().job(1).gpu_milli(1_000).takes(9_000), "run 4 a");
    check(two().job(9).takes(9_000), "run 4 a x5, run 4 b x4");
    let one = || cluster().node("a", 10).gpus(2).job(0).gpu_milli(1_000).takes(100).runs("a", 1);
    let one = || one().job(1).gpu_milli(2_000).takes(10);
    check(one().job(1).gpu_milli(500).takes(101), "");
    check(one().job(1).gpu_milli(500).takes(100), "run 3 a");
}

#[test]
fn the_shortest_candidate_passes_first() {
    let c = |discipline| {
        let c = blocked(discipline).job(1).cpu_milli(2_000).takes(90);
        c.job(1).cpu_milli(2_000).takes(20).owner("eve")
    };
    check(c(Discipline::Easy), "run 3 a");
    check(c(Discipline::EasySjf), "run 4 a");
}

#[test]
fn conservative_lets_jobs_pass_that_delay_none() {
    let c = || blocked(Discipline::Conservative).job(1).cpu_milli(10_000).takes(5);
    // At 100 job 2 begins, at 150 job 3: two cores are free until then.
    check(c().job(2).takes(150), "run 4 a x2");
    check(c().job(2).takes(151), "");
    check(c().job(1).cpu_milli(3_000).takes(100), "run 4 a");
    check(c().job(1).cpu_milli(3_000).takes(101), "");
}

#[test]
fn what_is_not_planned_may_be_delayed() {
    // At 100 job 2 begins, at 150 job 3. Job 4 would delay only job 3.
    let c = || blocked(Discipline::Conservative).job(1).cpu_milli(10_000).takes(5).job(2).takes(151);
    let view = c().view();
    let plan = |reservations_max| schedule(&view, Budget { reservations_max, ..Budget::default() });
    assert_eq!(crate::testing::show(&view, &plan(2)), "");
    assert_eq!(crate::testing::show(&view, &plan(1)), "run 4 a x2");
}

#[test]
fn pools_do_not_wait_for_each_other() {
    let c = || {
        let c = blocked(Discipline::Strict).pool(|_| ()).queue(|_| ());
        let mut c = c.node("b", 4).on_node(|n| n.pool = taskyard_model::PoolId(2));
        c.queues[1].pool = taskyard_model::PoolId(2);
        c
    };
    check(c().job(9).in_queue(2), "run 3 b x4");
    check(c().job(9), "");
}

fn planned(view: &View) -> BTreeMap<(JobId, usize), Reservation> {
    let mut all = BTreeMap::new();
    let mut nth: BTreeMap<JobId, usize> = BTreeMap::new();
    for plan in &Pass::thorough(view, Budget::default()).allocator.reservations.made {
        let n = nth.entry(plan.job).or_default();
        all.insert((plan.job, *n), *plan);
        *n += 1;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4_000 }))]

    /// Whatever a pass lets start beside a planned start does not delay it, and a second pass starts nothing more.
    /// (Queues of one tier take turns by what runs, and users may too, so there another may be first after each start:
    /// each has a tier of its own here.)
    #[test]
    fn no_planned_start_is_delayed(mut cluster in any_cluster(), step in 0u64..60) {
        let conservative = cluster.pools[0].config.discipline == Discipline::Conservative;
        for job in &mut cluster.jobs {
            // A timeline knows of devices in sum, which is exact for whole ones.
            let gpu_milli = job.request.gpu_milli;
            let gpu_milli = if conservative { gpu_milli.next_multiple_of(1_000) } else { gpu_milli };
            job.request = Request { gpu_milli, ..job.request.clone() };
            job.estimate_ms = job.estimate_ms.map(|ms| ms + 1);
            job.limit_ms = job.estimate_ms.map(|ms| ms + 1);
            job.typical_us = None;
        }
        for (tier, queue) in (0..).zip(&mut cluster.queues) {
            queue.config.tier = tier;
            if queue.config.policy.follows_use() {
                queue.config.policy = Policy::Fcfs;
            }
        }
        let mut view = cluster.view();
        for _ in 0..3 {
            let before = planned(&view);
            let plan = schedule(&view, Budget::default());
            apply(&mut view, &plan);
            prop_assert!(schedule(&view, Budget::default()).assignments.is_empty());
            let after = planned(&view);
            for (key, plan) in before {
                let now = after.get(&key);
                prop_assert!(now.is_some_and(|now| now.at_ms <= plan.at_ms), "{plan:?} became {now:?}");
            }
            view.now_ms += step;
        }
    }
}

#[test]
fn only_limits_count_against_an_aged_job_also_of_what_runs() {
    // Job 3 has waited too long and needs the core that job 1 has. By the estimates job 2 would have ended by then, by
    // its limit it would not: it does not start, and in no later pass either.
    let c = cluster().default_pool(|p| p.discipline = Discipline::Greedy).node("a", 1).resource("licence", 2);
    let c = c.default_queue(|q| q.max_wait_ms = 1);
    let c = c
        .job(1)
        .cpu_milli(500)
        .with(|j| (j.estimate_ms, j.limit_ms, j.submitted_ms) = (Some(15), Some(16), 0));
    let short = |c: Cluster, limit_ms: u64| {
        let c = c.job(2).cpu_milli(0).asks("licence", 1);
        c.with(|j| (j.estimate_ms, j.limit_ms, j.submitted_ms) = (Some(limit_ms - 1), Some(limit_ms), 682))
    };
    let last = |c: Cluster| c.job(1).asks("licence", 1).with(|j| j.submitted_ms = 0);
    check(last(short(c.clone(), 16)), "run 1 a");
    check(last(short(c, 15)), "run 1 a, run 2 a x2");
}

#[test]
fn a_class_placed_for_its_age_is_not_blocked_by_one_that_was_not() {
    // Jobs 3 and 4 have waited too long and take all cores; job 1 is the first that finds no room, and job 2 must leave
    // it the device.
    let c = cluster().default_pool(|p| p.discipline = Discipline::Easy).node("a", 5).gpus(1);
    let c = c.default_queue(|q| q.max_wait_ms = 967).queue(|q| (q.max_wait_ms, q.tier) = (686, 1));
    let c = c.job(1).cpu_milli(500).gpu_milli(1_000).in_queue(2).with(|j| j.submitted_ms = 314);
    let c = c.job(1).cpu_milli(0).gpu_milli(500).with(|j| j.submitted_ms = 33);
    let c = c.job(3).in_queue(2).with(|j| j.submitted_ms = 0);
    let c = c.job(2).in_queue(2).takes(2).with(|j| j.submitted_ms = 0);
    check(c, "run 3 a x3, run 4 a x2");
}

/// When and where the tasks of the last job are planned, in milliseconds from now.
fn planned_last(c: Cluster) -> Vec<(u64, u32)> {
    let view = c.view();
    let last = *view.jobs.keys().max().unwrap();
    let pass = Pass::thorough(&view, Budget::default());
    let of_last = pass.allocator.reservations.made.iter().filter(|planned| planned.job == last);
    of_last.map(|planned| (planned.at_ms - view.now_ms, planned.node)).collect()
}

#[test]
fn a_planned_start_is_apart_from_the_tasks_of_its_job() {
    // Node a has room in 30 ms, and the job's own task there until 100.
    let racks = |discipline| {
        let c = cluster().default_pool(move |pool| pool.discipline = discipline);
        let c = c.node("a", 4).label("rack", "r").node("b", 4).label("rack", "r");
        c.job(0).cpu_milli(2_000).takes(30).runs("a", 1).job(0).cpu_milli(4_000).takes(70).runs("b", 1)
    };
    for discipline in [Discipline::Easy, Discipline::Conservative] {
        let c = || racks(discipline).job(1).cpu_milli(2_000).takes(100);
        assert_eq!(planned_last(c().runs("a", 1)), [(30, 0)]);
        let apart = c().with(|j| j.affinity.apart = true).runs("a", 1);
        assert_eq!(planned_last(apart), [(70, 1)], "{discipline:?}: b is free before a is");
        let by_rack = c().with(|j| j.affinity.apart_by = Some("rack".into())).runs("a", 1);
        assert_eq!(planned_last(by_rack), [(100, 0)], "{discipline:?}: its task is in the rack until then");
        let unknown =
            racks(discipline).job(1).cpu_milli(2_000).with(|j| j.affinity.apart_by = Some("rack".into()));
        assert_eq!(planned_last(unknown.runs("a", 1)), [], "{discipline:?}: its end is unknown");
    }
    // One after the other on the only node.
    let c = cluster().node("a", 4).default_pool(|pool| pool.discipline = Discipline::Conservative);
    let c = c.job(2).takes(50).with(|j| j.affinity.apart = true).runs("a", 1);
    assert_eq!(planned_last(c), [(50, 0), (100, 0)]);
}
