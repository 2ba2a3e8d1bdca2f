//! Where tasks go: placements, preferences, tasks that run alone or apart, and maintenance.

use super::check;
use crate::testing::{Cluster, GIB, apply, cluster, show};
use crate::{Budget, schedule, schedule_beside};
use std::collections::BTreeMap;
use taskyard_model::affinity::Preference;
use taskyard_model::view::Window;
use taskyard_model::{Affinity, Discipline, OtherLoad, Placement};

fn placed_by(placement: Placement) -> Cluster {
    cluster().default_pool(|pool| pool.placement = placement)
}

fn prefer(text: &str) -> Affinity {
    Affinity { prefer: vec![Preference::parse("prefer", text).unwrap()], ..Affinity::default() }
}

/// Places under a placement while machines are busy with other things.
#[track_caller]
fn check_beside(cluster: Cluster, other_load: &[OtherLoad], plan: &str) {
    let view = cluster.view();
    assert_eq!(show(&view, &schedule_beside(&view, other_load, Budget::default())), plan);
}

#[test]
fn a_machine_that_is_busy_with_other_things_gets_less() {
    let cores = |cpu_milli| OtherLoad { cpu_milli, memory: 0 };
    let c = || cluster().node("a", 4).node("b", 4).job(1);
    check(c(), "run 1 a");
    check_beside(c(), &[cores(1_000)], "run 1 b");
    check_beside(c(), &[cores(2_000), cores(3_000)], "run 1 a");
    // What is reserved counts on top, within a pass and from one to the next.
    check_beside(cluster().node("a", 4).node("b", 4).job(4), &[cores(2_000)], "run 1 a, run 1 b x3");
    check_beside(c().job(1).runs("b", 2), &[cores(1_000)], "run 1 a, run 2 a");
}

#[test]
fn a_busy_machine_takes_what_fits_nowhere_else() {
    let all = OtherLoad { cpu_milli: u64::MAX, memory: u64::MAX };
    check_beside(cluster().node("a", 4).node("b", 2).job(9), &[all], "run 1 a x4, run 1 b x2");
    // Equally busy, as several agents of one machine are: reservations decide.
    let two = cluster().node("a", 4).node("b", 4).job(1).runs("a", 1);
    check_beside(two, &[all, all], "run 1 b");
}

#[test]
fn only_what_a_task_asks_for_counts_as_busy() {
    let memory = [OtherLoad { cpu_milli: 0, memory: GIB }];
    let c = || cluster().node("a", 4).node("b", 4).job(1);
    check_beside(c(), &memory, "run 1 a");
    check_beside(c().memory(GIB), &memory, "run 1 b");
}

#[test]
fn only_the_least_loaded_are_chosen_by_what_else_they_do() {
    let busy = [OtherLoad { cpu_milli: 4_000, memory: 0 }];
    for (name, placement) in Placement::NAMES {
        let view = placed_by(placement).node("a", 4).node("b", 4).job(1).view();
        let same = schedule(&view, Budget::default()) == schedule_beside(&view, &busy, Budget::default());
        assert_eq!(same, placement != Placement::LeastLoaded, "{name}");
    }
}

#[test]
fn bin_packing_fills_one_node_after_the_other() {
    let c = || placed_by(Placement::BinPack).node("a", 4).node("b", 3);
    check(c().job(5), "run 1 a x4, run 1 b");
    check(c().job(2).runs("b", 1), "run 1 b x2");
}

#[test]
fn round_robin_goes_to_whom_has_waited_longest() {
    let c = || placed_by(Placement::RoundRobin).node("a", 9).node("b", 2).node("c", 9);
    check(c().job(5), "run 1 a x2, run 1 b x2, run 1 c");
    let c = c().job(2).view();
    let mut view = c;
    view.nodes[0].given = 7;
    view.nodes[1].given = 5;
    view.nodes[2].given = 6;
    assert_eq!(show(&view, &schedule(&view, Budget::default())), "run 1 b, run 1 c");
}

#[test]
fn spreads_a_class_over_a_label_or_over_nodes() {
    let c = || {
        let c = placed_by(Placement::Spread).default_pool(|pool| pool.spread = Some("rack".into()));
        let c = c.node("a", 9).label("rack", "1").node("b", 9).label("rack", "1");
        c.node("c", 4).label("rack", "2")
    };
    check(c().job(6), "run 1 a x2, run 1 b, run 1 c x3");
    check(c().job(2).runs("a", 2), "run 1 c x2");
    // Others do not count.
    check(c().job(0).owner("eve").runs("c", 3).job(1), "run 2 a");
    check(c().job(0).owner("eve").runs("a", 3).job(1), "run 2 b");
    let nodes = placed_by(Placement::Spread).node("a", 9).node("b", 3);
    check(nodes.job(4), "run 1 a x2, run 1 b x2");
}

#[test]
fn the_better_of_two_by_lot() {
    let full = |n: usize| {
        let mut c = placed_by(Placement::RandomOfTwo);
        for i in 0..n {
            c = c.node(&i.to_string(), 8);
        }
        c
    };
    let mut view = full(50).job(100).view();
    let plan = schedule(&view, Budget::default());
    assert_eq!(plan, schedule(&view, Budget::default()), "the same view gives the same plan");
    apply(&mut view, &plan);
    let running: Vec<u32> = view.nodes.iter().map(|n| n.running).collect();
    assert_eq!(running.iter().sum::<u32>(), 100);
    assert!(running.iter().max() <= Some(&5), "two choices keep the fullest low: {running:?}");
    check(full(1).job(3), "run 1 0 x3");
}

#[test]
fn hashing_keeps_work_where_it_was() {
    let c = |nodes: &[&str]| nodes.iter().fold(placed_by(Placement::Hash), |c, name| c.node(name, 8));
    let homes = |nodes: &[&str]| -> BTreeMap<u64, String> {
        let mut c = c(nodes);
        for n in 0..40 {
            c = c.job(1).cpu_milli(100).with(|j| j.affinity.locality = Some(format!("key-{n}")));
        }
        let view = c.view();
        let plan = schedule(&view, Budget::default());
        plan.assignments.iter().map(|a| (a.job.0, view.node(a.node).unwrap().name.clone())).collect()
    };
    let before = homes(&["a", "b", "c", "d", "e"]);
    let used: std::collections::BTreeSet<_> = before.values().collect();
    assert!(used.len() >= 4, "{used:?}");
    let after = homes(&["a", "b", "d", "e"]);
    let moved = before.iter().filter(|(job, home)| *home != "c" && after[job] != **home).count();
    assert_eq!(moved, 0, "only what was on the node that left moves");
    check(c(&["x"]).job(1).with(|j| j.affinity.locality = Some("k".into())), "run 1 x");
}

#[test]
fn preferences_outweigh_load_up_to_their_weight() {
    let c = || cluster().node("a", 10).node("b", 10).label("ssd", "yes");
    check(c().job(1).with(|j| j.affinity = prefer("ssd")), "run 1 b");
    check(c().job(12).with(|j| j.affinity = prefer("ssd:50")), "run 1 a x4, run 1 b x8");
    check(c().job(12).with(|j| j.affinity = prefer("ssd:100")), "run 1 a x2, run 1 b x10");
    check(c().job(1).with(|j| j.affinity = prefer("ssd:-1")), "run 1 a");
}

#[test]
fn what_runs_alone_has_a_node_for_itself() {
    let c = || cluster().node("a", 4).node("b", 4);
    check(c().job(9).exclusive(), "run 1 a, run 1 b");
    check(c().job(1).exclusive().job(9), "run 1 a, run 2 b x4");
    check(c().job(0).runs("a", 1).job(9).owner("eve").exclusive(), "run 2 b");
    check(c().job(0).exclusive().runs("a", 1).job(9).owner("eve"), "run 2 b x4");
}

#[test]
fn a_planned_start_waits_for_an_empty_node() {
    let c = || cluster().node("a", 4).job(0).takes(100).runs("a", 1).job(1).exclusive().takes(10);
    check(c().job(1).takes(100), "run 3 a");
    check(c().job(1).takes(101), "");
    let c = || c().default_pool(|pool| pool.discipline = Discipline::Conservative);
    check(c().job(1).takes(100), "run 3 a");
    check(c().job(1).takes(101), "");
}

#[test]
fn tasks_that_run_apart_by_a_label_share_no_value_of_it() {
    let racks = || {
        let c = cluster().node("a", 9).label("rack", "x").node("b", 9).label("rack", "x");
        c.node("c", 9).label("rack", "y").node("d", 9).node("e", 9)
    };
    let apart = |c: Cluster| c.with(|j| j.affinity.apart_by = Some("rack".into()));
    check(apart(racks().job(9)), "run 1 a, run 1 c, run 1 d, run 1 e");
    check(apart(racks().job(9)).runs("b", 1), "run 1 c, run 1 d, run 1 e");
    check(apart(racks().job(9)).runs("c", 1).runs("d", 1), "run 1 a, run 1 e");
}

#[test]
fn tasks_that_run_apart_share_no_node() {
    let apart = |c: Cluster| c.with(|j| j.affinity.apart = true);
    let c = || cluster().node("a", 9).node("b", 9).node("c", 9);
    check(apart(c().job(9)), "run 1 a, run 1 b, run 1 c");
    check(apart(c().job(9)).runs("b", 1), "run 1 a, run 1 c");
    check(apart(c().job(2)).job(2).owner("eve"), "run 1 a, run 1 b, run 2 a, run 2 c");
}

#[test]
fn nothing_starts_that_may_outlast_the_begin_of_maintenance() {
    let window = |from, until| Window { name: "w".into(), from_wall_ms: from, until_wall_ms: until };
    // The wall clock of a view without one is 0.
    let c = |from, until| cluster().node("a", 2).on_node(|n| n.maintenance.push(window(from, until)));
    check(c(100, 200).job(1).takes(100), "run 1 a");
    check(c(100, 200).job(1).takes(101), "");
    check(c(100, 200).job(1), "");
    check(c(100, 200).node("b", 1).job(3), "run 1 b");
    // EASY plans the second for after it: until then there is room for the third.
    let c = || c(100, 200).job(1).cpu_milli(2_000).takes(101);
    check(c().job(1).takes(100), "run 2 a");
    let c = || c().default_pool(|pool| pool.discipline = Discipline::Conservative);
    check(c().job(1).takes(100), "run 2 a");
}

#[test]
fn what_is_kept_for_the_aged_is_kept_under_every_placement() {
    for (name, placement) in Placement::NAMES {
        let c = placed_by(placement).node("a", 4).node("b", 3).default_queue(|q| q.max_wait_ms = 500);
        let c = c.job(1).submitted(1).cpu_milli(4_000).job(9).submitted(900).runs("a", 1);
        let view = c.view();
        assert_eq!(show(&view, &schedule(&view, Budget::default())), "run 2 b x3", "{name}");
    }
}
