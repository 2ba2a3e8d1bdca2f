//! Order and placement.

use super::check;
use crate::testing::{GIB, apply, cluster, show};
use crate::{Budget, schedule};
use taskyard_model::Policy;

#[test]
fn an_empty_cluster_or_queue_gives_nothing() {
    check(cluster(), "");
    check(cluster().node("a", 4), "");
    check(cluster().job(3), "");
}

#[test]
fn takes_turns_among_nodes_by_load_then_id() {
    check(cluster().node("a", 2).node("b", 2).job(1), "run 1 a");
    check(cluster().node("a", 2).node("b", 2).job(2), "run 1 a, run 1 b");
    check(cluster().node("a", 2).node("b", 4).job(4), "run 1 a x2, run 1 b x2");
    check(cluster().node("a", 2).node("b", 2).job(2).runs("a", 1), "run 1 a, run 1 b");
    check(cluster().node("a", 2).node("b", 2).job(9), "run 1 a x2, run 1 b x2");
}

#[test]
fn the_binding_resource_decides_what_load_is() {
    let two = || cluster().node("a", 8).on_node(|n| n.free.memory = GIB).node("b", 2);
    check(two().job(1), "run 1 a");
    check(two().job(1).memory(GIB), "run 1 b");
    let licences = || {
        let a = cluster()
            .node("a", 8)
            .resource("licence", 9)
            .on_node(|n| n.free.named.insert("licence".into(), 1).map_or((), drop));
        a.node("b", 2).resource("licence", 9)
    };
    check(licences().job(1), "run 1 a");
    check(licences().job(1).asks("licence", 1), "run 1 b");
}

#[test]
fn every_resource_is_respected() {
    check(cluster().node("a", 4).job(9).cpu_milli(1_500), "run 1 a x2");
    check(cluster().node("a", 4).job(9).memory(3 * GIB), "run 1 a x2");
    check(cluster().node("a", 4).gpus(2).job(9).gpu_milli(700), "run 1 a x2");
    check(cluster().node("a", 4).gpus(3).job(9).gpu_milli(2_000), "run 1 a");
    check(cluster().node("a", 4).resource("licence", 3).job(9).asks("licence", 2), "run 1 a");
    check(cluster().node("a", 4).node("b", 4).gpus(1).job(9).gpu_milli(500), "run 1 b x2");
    check(cluster().node("a", 1).job(2).cpu_milli(0), "run 1 a x2");
}

#[test]
fn constraints_draining_and_lost_nodes() {
    let nodes = || cluster().node("a", 1).label("zone", "x").node("b", 1).label("zone", "y");
    check(nodes().job(3).constraint("zone == y"), "run 1 b");
    check(nodes().draining().job(3), "run 1 a");
    check(nodes().down().job(3), "run 1 a");
}

#[test]
fn limits_and_holds_of_a_job() {
    check(cluster().node("a", 9).job(5).with(|j| j.max_running = Some(2)), "run 1 a x2");
    check(cluster().node("a", 9).job(5).with(|j| j.max_running = Some(2)).runs("a", 1), "run 1 a");
    check(cluster().node("a", 9).job(5).with(|j| j.stopped = true).job(1), "run 2 a");
}

#[test]
fn policies_order_a_queue() {
    let jobs = |policy| {
        let c = cluster().node("a", 1).default_queue(|q| q.policy = policy);
        let c = c.job(1).with(|j| j.estimate_ms = Some(50));
        let c = c.job(1).with(|j| j.estimate_ms = Some(10)).owner("eve");
        c.job(1).with(|j| j.priority = 5).cpu_milli(900)
    };
    check(jobs(Policy::Fcfs), "run 1 a");
    check(jobs(Policy::Sjf), "run 2 a");
    check(jobs(Policy::Priority), "run 3 a");
}

#[test]
fn a_class_that_does_not_fit_lets_others_pass() {
    check(cluster().node("a", 2).job(1).cpu_milli(3_000).job(1), "run 2 a");
    check(cluster().node("a", 2).job(2).cpu_milli(1_500).job(9).cpu_milli(500), "run 1 a, run 2 a");
}

#[test]
fn queues_of_a_higher_tier_go_first() {
    let c = cluster().node("a", 4).queue(|q| q.tier = 1);
    check(c.job(9).job(3).in_queue(2), "run 2 a x3, run 1 a");
}

#[test]
fn queues_of_one_tier_share_by_weight_and_by_what_runs() {
    let two = || cluster().node("a", 8).queue(|q| q.weight = 3);
    check(two().job(99).job(99).in_queue(2), "run 1 a x2, run 2 a x6");
    check(two().job(99).runs("a", 2).job(99).in_queue(2), "run 2 a x6");
    check(two().job(99).job(1).in_queue(2), "run 1 a x7, run 2 a");
    check(
        cluster().node("a", 8).queue(|_| ()).job(99).cpu_milli(3_000).job(99).in_queue(2),
        "run 1 a, run 2 a x5",
    );
    check(
        cluster().node("a", 8).queue(|_| ()).job(4).cpu_milli(0).job(99).in_queue(2),
        "run 1 a x4, run 2 a x8",
    );
}

#[test]
fn those_who_waited_too_long_go_first_whatever_their_tier() {
    let c = || cluster().node("a", 2).queue(|q| q.tier = 9).default_queue(|q| q.max_wait_ms = 500);
    check(c().job(2).submitted(499).job(2).in_queue(2), "run 1 a x2");
    check(c().job(2).submitted(500).job(2).in_queue(2), "run 2 a x2");
    check(c().job(1).submitted(20).job(1).submitted(10).owner("eve").job(2).in_queue(2), "run 2 a, run 1 a");
    check(c().job(1).submitted(20).job(1).submitted(700).job(2).submitted(600), "run 1 a, run 3 a");
}

#[test]
fn nothing_takes_a_node_that_one_who_waited_too_long_could_use() {
    let c = || {
        let c = cluster()
            .node("big", 8)
            .node("small", 2)
            .default_queue(|q| q.max_wait_ms = 500)
            .queue(|q| q.tier = 9);
        c.job(1).cpu_milli(8_000).submitted(10).job(9).submitted(600).runs("big", 1)
    };
    check(c(), "run 2 small x2");
    check(c().job(2).submitted(5).cpu_milli(4_000), "run 3 big, run 2 small x2");
    check(c().job(2).in_queue(2), "run 3 small x2");
    check(c().job(2).submitted(20).cpu_milli(500), "run 3 small x2, run 2 small");
}

#[test]
fn the_budget_ends_a_pass_and_the_next_goes_on() {
    let mut view = cluster().node("a", 8).job(3).job(3).cpu_milli(900).view();
    let budget = Budget { tasks_max: 2, ..Budget::default() };
    let mut plans = Vec::new();
    loop {
        let plan = schedule(&view, budget);
        if plan.is_empty() {
            break;
        }
        plans.push(show(&view, &plan));
        apply(&mut view, &plan);
    }
    assert_eq!(plans, ["run 1 a x2", "run 1 a, run 2 a", "run 2 a x2"]);
    let none = Budget { nodes_max: 0, ..Budget::default() };
    assert!(schedule(&cluster().node("a", 1).job(1).view(), none).is_empty());
}
