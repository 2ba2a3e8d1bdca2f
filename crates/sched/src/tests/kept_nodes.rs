//! What is kept for a job whose start is unknown.

use super::check;
use crate::testing::{Cluster, GIB, apply, cluster, end_on, show};
use crate::{Budget, KeptNodes, explain, schedule};
use taskyard_model::{Discipline, JobId, NodeId, Reason};

const DISCIPLINES: [Discipline; 3] = [Discipline::Easy, Discipline::EasySjf, Discipline::Conservative];

/// A node of four cores of which some run tasks of a class of which others have ended; then one that wants all,
/// submitted `waited_ms` ago; then more of the small ones.
fn passed(waited_ms: u64, running: u32) -> Cluster {
    let mut c = cluster().node("a", 4);
    c.now_ms = 10_000_000;
    let now_ms = c.now_ms;
    let c = c.job(0).typical_ms(600).runs("a", running).job(1).cpu_milli(4_000).submitted(now_ms - waited_ms);
    c.job(20).typical_ms(600).submitted(now_ms)
}

#[test]
fn what_makes_room_is_kept_at_once() {
    for discipline in DISCIPLINES {
        let c = |waited_ms| passed(waited_ms, 3).default_pool(|pool| pool.discipline = discipline);
        check(c(999), "run 3 a");
        check(c(1_000), "");
        let view = c(1_000).view();
        let got = explain(&view, JobId(2));
        assert_eq!(got.kept, Some(KeptNodes { nodes: vec![NodeId(1)], in_ms: None }), "{discipline:?}");
        let before = explain(&c(300).view(), JobId(2)).kept;
        assert_eq!(before, Some(KeptNodes { nodes: vec![], in_ms: Some(700) }), "{discipline:?}");
        assert!(matches!(got.reason, Some(Reason::NoNodeFree(_))), "it is not behind itself: {got:?}");
        let behind = explain(&view, JobId(3));
        assert_eq!(behind.reason, Some(Reason::Behind { job: JobId(2) }));
        assert_eq!(behind.kept, None);
        let never = c(9_000).default_pool(|pool| pool.reserve_after_ms = u64::MAX);
        check(never, "run 3 a");
    }
    check(passed(9_000, 3).default_pool(|pool| pool.discipline = Discipline::Greedy), "run 3 a");
}

#[test]
fn what_may_run_on_and_on_is_kept_later() {
    // Of job 1 no task has ended yet.
    let c = |waited_ms| {
        let mut c = passed(waited_ms, 3);
        c.jobs[0].typical_us = None;
        c.jobs[0].owner = "eve".into();
        c
    };
    check(c(599_999), "run 3 a");
    assert_eq!(
        explain(&c(500_000).view(), JobId(2)).kept,
        Some(KeptNodes { nodes: vec![], in_ms: Some(100_000) })
    );
    check(c(600_000), "");
    check(c(5_000).default_pool(|pool| pool.reserve_after_ms = 5_000), "");
}

#[test]
fn the_nearest_node_is_kept_and_more_as_the_wait_grows() {
    let c = |waited_ms: u64| {
        let mut c = cluster().node("a", 4).node("b", 4).node("c", 4);
        c.now_ms = 10_000_000;
        let now_ms = c.now_ms;
        let c = c.job(0).typical_ms(600).runs("a", 3).runs("b", 1).runs("c", 2);
        let c = c.job(1).cpu_milli(4_000).submitted(now_ms - waited_ms);
        explain(&c.job(1).typical_ms(600).submitted(now_ms).view(), JobId(2)).kept.unwrap().nodes
    };
    assert_eq!(c(1_000), [NodeId(2)]);
    assert_eq!(c(1_199_000), [NodeId(2)]);
    assert_eq!(c(1_200_000), [NodeId(2), NodeId(3)]);
    assert_eq!(c(2_400_000), [NodeId(2), NodeId(3), NodeId(1)]);
}

#[test]
fn every_resource_counts() {
    let wait = |c: Cluster| c.submitted(0);
    let base = |c: Cluster| c.job(0).typical_ms(600);
    let now = |mut c: Cluster| {
        c.now_ms = 10_000;
        c
    };
    // Each: what runs, what wants all of the node, and small ones of which one would fit.
    let gpus = now(cluster().node("a", 9).gpus(2));
    let gpus = wait(base(gpus).gpu_milli(1_000).runs("a", 1).job(1).gpu_milli(2_000));
    check(gpus.job(5).gpu_milli(1_000).typical_ms(600), "");
    let memory = now(cluster().node("a", 4));
    let memory = wait(base(memory).memory(2 * GIB).runs("a", 1).job(1).memory(8 * GIB));
    check(memory.job(5).memory(2 * GIB).typical_ms(600), "");
    let alone = wait(base(now(cluster().node("a", 4))).runs("a", 1).job(1).exclusive());
    check(alone.job(5).typical_ms(600), "");
    let licences = now(cluster().node("a", 9).resource("licence", 3));
    let licences = wait(base(licences).asks("licence", 1).runs("a", 1).job(1).asks("licence", 3));
    check(licences.job(5).asks("licence", 1).typical_ms(600), "");
}

/// Small ones that come later pass the wide one only until what runs is known to end.
#[test]
fn the_wide_one_gets_its_turn() {
    for (width, arrays) in [(4, 1), (4, 3), (2, 1)] {
        let mut c = cluster().node("a", 4);
        for _ in 0..arrays {
            c = c.job(8).submitted(0);
        }
        let mut view = c.job(1).cpu_milli(width * 1_000).submitted(1).job(40).submitted(2).view();
        let wide = JobId(arrays + 1);
        let mut running: Vec<(u64, JobId)> = Vec::new();
        let mut passed = 0;
        while view.jobs[&wide].assigned == 0 {
            view.now_ms += 100;
            assert!(view.now_ms < 60_000, "it never starts");
            for (_, job) in running.extract_if(.., |(end_ms, _)| *end_ms <= view.now_ms).collect::<Vec<_>>() {
                let class = view.jobs[&job].class;
                view.classes[class].typical_us = Some(600_000);
                end_on(&mut view, 0, class);
            }
            let plan = schedule(&view, Budget::default());
            apply(&mut view, &plan);
            for a in &plan.assignments {
                passed += if a.job > wide { a.count } else { 0 };
                running.extend((0..a.count).map(|n| (view.now_ms + 600 + u64::from(n) * 10, a.job)));
            }
        }
        assert!(
            passed <= 4,
            "{passed} of later ones before it, {}",
            show(&view, &schedule(&view, Budget::default()))
        );
    }
}
