//! Work held ahead of need, and taken back.

use super::check;
use crate::depth::depth;
use crate::testing::{Cluster, apply, cluster, show};
use crate::{Budget, schedule};
use taskyard_model::{Discipline, Drain, JobId, Policy, limits};

#[test]
fn depth_follows_the_length_of_the_work() {
    let depth_of = |typical_us| {
        let view = cluster().job(1).with(|j| j.typical_us = typical_us).view();
        depth(&view.classes[0])
    };
    assert_eq!(depth_of(None), 0, "unknown length");
    assert_eq!(depth_of(Some(0)), 4_096);
    assert_eq!(depth_of(Some(1_000)), 200);
    assert_eq!(depth_of(Some(150_000)), 1);
    assert_eq!(depth_of(Some(400_000)), 1);
    assert_eq!(depth_of(Some(400_001)), 0);
    let gpu = cluster().job(1).gpu_milli(500).typical_ms(1).view();
    assert_eq!(depth(&gpu.classes[0]), 0, "a successor would have to inherit the device");
}

#[test]
fn a_blocked_class_is_held_where_it_runs() {
    let c = || cluster().node("a", 2).node("b", 1);
    check(c().job(9_000).typical_ms(1), "run 1 a x2, run 1 b, prefetch 1 a x400, prefetch 1 b x200");
    check(c().job(9_000), "run 1 a x2, run 1 b");
    check(c().job(9_000).typical_ms(500), "run 1 a x2, run 1 b");
    check(c().job(9_000).typical_ms(1).constraint("!x").job(9).runs("a", 2).runs("b", 1), "");
}

#[test]
fn what_there_is_is_divided() {
    let c = cluster().node("a", 2).node("b", 1).job(36).typical_ms(1);
    check(c, "run 1 a x2, run 1 b, prefetch 1 a x22, prefetch 1 b x11");
    check(cluster().node("a", 1).node("b", 1).job(1).typical_ms(1).runs("a", 1).runs("b", 1), "");
}

#[test]
fn is_refilled_at_half() {
    let c =
        |prefetched| cluster().node("a", 1).job(999).typical_ms(10).runs("a", 1).prefetched("a", prefetched);
    check(c(10), "");
    check(c(9), "prefetch 1 a x11");
    check(c(1), "prefetch 1 a x19");
    check(c(20), "");
    check(c(9).recalled("a"), "");
}

#[test]
fn never_more_than_a_node_may_hold() {
    let max = limits::PREFETCHED_PER_NODE_MAX;
    let c = cluster().node("a", 64).job(1_000_000).with(|j| j.typical_us = Some(1));
    check(c, &format!("run 1 a x64, prefetch 1 a x{}", max.min(limits::PLAN_TASKS_MAX - 64)));
}

#[test]
fn an_earlier_class_keeps_the_next_slot() {
    // Job 1 is first and wants two cores at once; holding job 2 would keep them from it.
    let c = || cluster().node("a", 2).job(1).cpu_milli(2_000);
    check(c().job(99).typical_ms(1).runs("a", 2), "");
    // It could never run there: no reason to wait for it.
    check(
        cluster().node("a", 2).job(1).cpu_milli(3_000).job(99).typical_ms(1).runs("a", 2),
        "prefetch 2 a x99",
    );
    // Job 2 stands between 1 and 3: only job 1 is held.
    let c = cluster().node("a", 1).job(2).typical_ms(1).runs("a", 1).job(5).owner("eve").job(50);
    check(c, "prefetch 1 a x2");
    // A queue of a higher and of a lower tier.
    let c = |tier| {
        let c = cluster().node("a", 1).queue(move |q| q.tier = tier);
        c.job(9).typical_ms(1).runs("a", 1).job(1).in_queue(2)
    };
    check(c(1), "");
    check(c(-1), "prefetch 1 a x9");
}

#[test]
fn where_all_is_planned_no_plan_is_broken() {
    let c = || cluster().node("a", 1).default_pool(|pool| pool.discipline = Discipline::Conservative);
    let short = |c: Cluster| c.job(9).typical_ms(1);
    // Nothing else is planned, for want of lengths or of others.
    check(short(c()).runs("a", 1), "prefetch 1 a x9");
    check(short(c()).takes(5).runs("a", 1), "prefetch 1 a x9");
    check(short(c()).runs("a", 1).job(1).owner("eve").takes(5), "prefetch 1 a x9");
    // Behind all of it another job is planned: as many are held as come before it, here and there.
    check(short(c()).takes(5).runs("a", 1).job(1).owner("eve").takes(5), "prefetch 1 a x9");
    let two = || short(c().node("b", 1)).takes(5).runs("a", 1).runs("b", 1);
    check(two().job(1).owner("eve").takes(5), "prefetch 1 a x5, prefetch 1 b x4");
    // Before it, nothing is held.
    check(c().job(1).owner("eve").cpu_milli(1_000).takes(7).job(9).typical_ms(1).takes(5).runs("a", 1), "");
}

#[test]
fn a_planned_start_counts_on_what_is_held_before_it() {
    let c = cluster().node("a", 1).default_pool(|pool| pool.discipline = Discipline::Conservative);
    let c = c.job(0).typical_ms(2).takes(50).runs("a", 1).prefetched("a", 10).job(1).owner("eve").takes(5);
    let start = crate::explain(&c.view(), JobId(2)).start.unwrap().unwrap();
    assert_eq!(start.at_ms, 1_000 + 50 + 10 * 2);
}

#[test]
fn is_held_for_the_user_who_would_get_the_slot_anyway() {
    // Two users who take turns; of queues of one tier it is the same.
    for policy in [Policy::FairShare, Policy::Drf, Policy::Fcfs] {
        let (turns, queue) = if policy == Policy::Fcfs { (Policy::Fcfs, 2) } else { (policy, 1) };
        let c = |ada: u32, eve: u32| {
            let c = cluster()
                .node("a", u64::from(ada + eve))
                .default_queue(move |q| q.policy = turns)
                .queue(|_| ());
            let c = c.job(9).typical_ms(1).owner("ada");
            let c = if ada > 0 { c.runs("a", ada) } else { c };
            let c = c.job(9).typical_ms(1).owner("eve").in_queue(queue);
            if eve > 0 { c.runs("a", eve) } else { c }
        };
        check(c(2, 2), "prefetch 1 a x9, prefetch 2 a x9");
        // With one task less ada has as much as eve, and whose job is first goes first.
        check(c(3, 2), "prefetch 1 a x9, prefetch 2 a x9");
        // Fair share goes by the past too, which soon tells them apart: until one is ahead by a whole slot, both go on.
        let by_past = turns == Policy::FairShare;
        check(c(2, 3), if by_past { "prefetch 1 a x9, prefetch 2 a x9" } else { "prefetch 1 a x9" });
        check(c(4, 2), if by_past { "prefetch 1 a x9, prefetch 2 a x9" } else { "prefetch 2 a x9" });
        check(c(5, 2), "prefetch 2 a x9");
        check(c(2, 0), if by_past { "prefetch 1 a x9" } else { "" });
    }
    // Where the share is one factor of several, it and the places of their jobs decide together.
    let factors = |ada: u32, eve: u32, priority: i32| {
        let c = cluster().node("a", u64::from(ada + eve)).default_queue(|q| q.policy = Policy::MultiFactor);
        let c = c.job(9).typical_ms(1).owner("ada").runs("a", ada);
        c.job(9).typical_ms(1).owner("eve").with(|j| j.priority = priority).runs("a", eve)
    };
    check(factors(2, 2, 0), "prefetch 1 a x9, prefetch 2 a x9");
    check(factors(4, 2, 0), "prefetch 2 a x9");
    check(factors(2, 4, 0), "prefetch 1 a x9");
    check(factors(2, 4, 9), "prefetch 2 a x9");
    // By weight: three for one.
    let weighted = |ada: u32, eve: u32| {
        let c = cluster().node("a", u64::from(ada + eve)).default_queue(|q| q.weight = 3).queue(|_| ());
        c.job(9).typical_ms(1).runs("a", ada).job(9).typical_ms(1).in_queue(2).runs("a", eve)
    };
    check(weighted(3, 1), "prefetch 1 a x9, prefetch 2 a x9");
    check(weighted(5, 1), "prefetch 2 a x9");
    check(weighted(2, 2), "prefetch 1 a x9");
}

#[test]
fn what_is_held_goes_back_when_somebody_has_far_too_little() {
    let c = |ada: u32, eve: u32| {
        let c = cluster().node("a", u64::from(ada + eve)).default_queue(|q| q.policy = Policy::FairShare);
        let c = c.job(0).typical_ms(1).owner("ada").runs("a", ada).prefetched("a", 50);
        let c = c.job(9).typical_ms(1).owner("eve");
        if eve > 0 { c.runs("a", eve) } else { c }
    };
    check(c(1, 0), "");
    // One more for eve and one less for ada: then they are even.
    check(c(2, 0), "");
    check(c(3, 0), "recall 1 a");
    check(c(4, 2), "prefetch 2 a x9");
    check(c(5, 2), "prefetch 2 a x9, recall 1 a");
    // Also for work of which no length is known yet, or which is long: it cannot say how long it is before it has got a
    // slot.
    for estimate_ms in [None, Some(3_600_000)] {
        let waits = |ada: u32| {
            let c = cluster().node("a", ada.into()).default_queue(|q| q.policy = Policy::FairShare);
            let c = c.job(0).typical_ms(1).owner("ada").runs("a", ada).prefetched("a", 50);
            c.job(9).owner("eve").with(|j| j.estimate_ms = estimate_ms)
        };
        check(waits(2), "");
        check(waits(3), "recall 1 a");
        check(waits(4), "recall 1 a");
    }
}

#[test]
fn is_taken_back_for_work_of_higher_rank() {
    let c = |policy| {
        let c = cluster().node("a", 1).default_queue(|q| q.policy = policy);
        c.job(0).typical_ms(1).runs("a", 1).prefetched("a", 50).job(1).owner("eve").with(|j| j.priority = 9)
    };
    check(c(Policy::Fcfs), "");
    check(c(Policy::Priority), "recall 1 a");
    check(c(Policy::Priority).cpu_milli(5_000), "");
    let asked = |job: u32| {
        let c = cluster().node("a", 1).default_queue(|q| q.policy = Policy::Priority);
        let c = c.job(0).typical_ms(1).runs("a", 1).prefetched("a", 50);
        let c = if job == 1 { c.recalled("a") } else { c };
        c.job(1).owner("eve").with(|j| j.priority = 9)
    };
    check(asked(1), "");
    check(asked(0), "recall 1 a");
    // Of the same class.
    let c = cluster().node("a", 1).default_queue(|q| q.policy = Policy::Sjf);
    let c = c.job(0).typical_ms(1).runs("a", 1).prefetched("a", 150).job(1).with(|j| j.estimate_ms = Some(1));
    check(c, "recall 1 a");
    // A queue of a higher tier has come; one of a lower tier does not matter.
    let c = |tier| {
        let c = cluster().node("a", 1).queue(move |q| q.tier = tier);
        c.job(0).typical_ms(1).runs("a", 1).prefetched("a", 50).job(1).in_queue(2)
    };
    check(c(1), "recall 1 a");
    check(c(-1), "");
    // Someone has waited too long.
    let c = cluster().node("a", 1).queue(|q| q.tier = 1).default_queue(|q| q.max_wait_ms = 500);
    check(
        c.job(1).submitted(1).job(0).in_queue(2).typical_ms(1).runs("a", 1).prefetched("a", 9),
        "recall 2 a",
    );
}

#[test]
fn is_taken_back_where_it_cannot_start() {
    let c = || cluster().node("a", 1);
    check(c().draining().job(0).typical_ms(1), "");
    let ran = c().job(0).typical_ms(1).runs("a", 1).prefetched("a", 5);
    // Built before it drains: assignments to a draining node are refused.
    let mut view = ran.clone().view();
    view.nodes[0].status.drain(Drain::default());
    assert_eq!(show(&view, &schedule(&view, Budget::default())), "recall 1 a");
    let mut view = ran.clone().with(|j| j.stopped = false).view();
    view.jobs.get_mut(&JobId(1)).unwrap().stopped = true;
    assert_eq!(show(&view, &schedule(&view, Budget::default())), "recall 1 a");
    // The last one that ran has ended and gave its slot back before what was held arrived.
    let mut view = ran.view();
    view.nodes[0].by_class.values_mut().for_each(|here| here.running = 0);
    assert_eq!(show(&view, &schedule(&view, Budget::default())), "recall 1 a");
}

#[test]
fn is_taken_back_when_another_node_has_nothing_to_do() {
    let c = || cluster().node("a", 1).node("b", 1).node("c", 1);
    let prefetched =
        |c: Cluster| c.job(0).typical_ms(1).runs("a", 1).prefetched("a", 9).runs("b", 1).prefetched("b", 20);
    check(prefetched(c()), "recall 1 b");
    check(prefetched(c().draining()), "");
    check(prefetched(c()).job(3).constraint("!x"), "run 2 c");
    // On its way already.
    check(prefetched(c()).recalled("a"), "");
    // What comes back is shared out.
    let mut view = prefetched(c()).view();
    let plan = schedule(&view, Budget::default());
    apply(&mut view, &plan);
    let plan = schedule(&view, Budget::default());
    assert_eq!(show(&view, &plan), "run 1 c, prefetch 1 a x6, prefetch 1 b x6, prefetch 1 c x6");
}

#[test]
fn a_strict_pool_does_not_hold_and_take_back_in_turns() {
    // The first job asks for nothing and all of it runs: whether there is room for anything must not depend on what is
    // held just now.
    let c = cluster().default_pool(|p| p.discipline = Discipline::Strict).node("a", 1);
    let c = c.job(0).cpu_milli(0).runs("a", 1).job(9_000).cpu_milli(500).typical_ms(1).runs("a", 2);
    let mut view = c.view();
    let first = schedule(&view, Budget::default());
    apply(&mut view, &first);
    let next = schedule(&view, Budget::default());
    assert!(next.is_empty(), "{}, then {}", show(&view, &first), show(&view, &next));
}
