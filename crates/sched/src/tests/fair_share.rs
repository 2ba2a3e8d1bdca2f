//! Turns by use: fair share, DRF, and the fair share as one factor of several.

use super::check;
use crate::testing::{Cluster, apply, cluster};
use crate::{Budget, schedule};
use std::collections::BTreeMap;
use taskyard_model::party::LEVEL_ONE;
use taskyard_model::policy::Factors;
use taskyard_model::{JobId, Policy, Usage, View};

fn queue(policy: Policy) -> Cluster {
    cluster().default_queue(|queue| queue.policy = policy)
}

#[test]
fn users_take_turns() {
    let c = || queue(Policy::FairShare).node("a", 6);
    check(c().job(9).job(9).owner("eve"), "run 1 a x3, run 2 a x3");
    check(c().job(9).owner("u2").job(9).owner("u1"), "run 1 a x4, run 2 a x2");
    check(c().job(9).cpu_milli(2_000).job(9).owner("eve"), "run 1 a x2, run 2 a x2");
    check(c().job(9).runs("a", 3).job(9).owner("eve"), "run 2 a x3");
    check(c().job(9).job(1).owner("eve"), "run 1 a x5, run 2 a");
}

#[test]
fn accounts_take_turns_and_their_users_within_them() {
    let c = || queue(Policy::FairShare).node("a", 8);
    let c = || c().job(9).account("x").job(9).account("y").owner("eve").job(9).account("y").owner("bob");
    check(c(), "run 1 a x4, run 2 a x2, run 3 a x2");
    let c = || queue(Policy::FairShare).node("a", 8).job(9).account("x3").job(9).account("y1");
    check(c(), "run 1 a x6, run 2 a x2");
}

#[test]
fn one_s_own_work_goes_by_priority() {
    let c = queue(Policy::FairShare).node("a", 2).job(1).job(1).with(|j| j.priority = 5);
    check(c.job(1).owner("eve"), "run 2 a, run 3 a");
}

/// The first user has used so much lately.
fn used(view: &mut View, milli: u64) {
    let usage = Usage { level: milli * LEVEL_ONE, at_ms: view.now_ms, ..Usage::default() };
    (view.parties[0].usage, view.accounts[0].usage) = (usage, usage);
}

#[test]
fn what_was_used_lately_counts() {
    let c = queue(Policy::FairShare).default_queue(|queue| queue.max_wait_ms = u64::MAX);
    let mut view = c.node("a", 4).job(9).job(9).owner("eve").view();
    used(&mut view, 4_000);
    let plan = schedule(&view, Budget::default());
    assert_eq!(crate::testing::show(&view, &plan), "run 2 a x4");
    view.now_ms += 9 * view.half_life_ms;
    let plan = schedule(&view, Budget::default());
    assert_eq!(crate::testing::show(&view, &plan), "run 2 a x2, run 1 a x2");
}

/// The example of section 4.1 of the paper: 9 cores and 18 GB; tasks of (1 core, 4 GB) and of (3 cores, 1 GB). Both get
/// two thirds of what they need most of: three tasks of the one, two of the other.
#[test]
fn dominant_shares_are_even() {
    const GB: u64 = 1 << 30;
    let c = queue(Policy::Drf).node("a", 9);
    let c = c.job(9).memory(4 * GB).job(9).owner("eve").cpu_milli(3_000).memory(GB);
    check(c, "run 1 a x3, run 2 a x2");
}

#[test]
fn factors_add_up() {
    let c = |factors| {
        let c = queue(Policy::MultiFactor).node("a", 1).default_queue(|queue| queue.factors = Some(factors));
        let c = c.job(1).job(1).with(|j| j.priority = 1).job(1).cpu_milli(500).owner("eve");
        let mut view = c.view();
        used(&mut view, 1_000);
        view
    };
    let none = Factors { age: 0, priority: 0, size: 0, fair_share: 0 };
    let first = |factors| schedule(&c(factors), Budget::default()).assignments[0].job;
    assert_eq!(first(none), JobId(1));
    assert_eq!(first(Factors { age: 1, ..none }), JobId(1));
    assert_eq!(first(Factors { priority: 1, ..none }), JobId(2));
    assert_eq!(first(Factors { size: -1, ..none }), JobId(3));
    assert_eq!(first(Factors { size: 1, ..none }), JobId(1));
    assert_eq!(first(Factors { fair_share: 1, ..none }), JobId(3));
    assert_eq!(first(Factors { fair_share: 100, priority: 1_000, ..none }), JobId(2));
}

/// Ends what has run for its time, and plans again, step by step. Counts milliseconds of cores by owner.
fn saturate(
    view: &mut View,
    (steps, step_ms): (u64, u64),
    lengths: &BTreeMap<JobId, u64>,
) -> BTreeMap<String, u64> {
    let mut running: Vec<(u64, JobId)> = Vec::new();
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..steps {
        view.now_ms += step_ms;
        let (ended, rest): (Vec<_>, Vec<_>) = running.into_iter().partition(|(end, _)| *end <= view.now_ms);
        running = rest;
        for (_, job) in ended {
            crate::testing::end_on(view, 0, view.jobs[&job].class);
        }
        let plan = schedule(view, Budget::default());
        apply(view, &plan);
        for a in plan.assignments.iter().filter(|a| !a.prefetch) {
            let (class, length) = (view.class(view.jobs[&a.job].class).unwrap(), lengths[&a.job]);
            let owner = view.party(class.party).unwrap().owner.clone();
            *used.entry(owner).or_default() += u64::from(a.count) * length * class.request.amounts.cpu_milli;
            running.extend((0..a.count).map(|_| (view.now_ms + length, a.job)));
        }
    }
    used
}

#[test]
fn under_saturation_use_converges_to_the_weights() {
    let c = queue(Policy::FairShare).node("a", 20);
    let c =
        c.job(9_999_999).owner("u1").job(9_999_999).owner("u2").job(9_999_999).owner("u4").cpu_milli(2_000);
    let mut view = c.job(9_999_999).owner("v1").cpu_milli(500).view();
    view.half_life_ms = 600_000;
    let lengths =
        [(1, 30_000), (2, 7_000), (3, 61_000), (4, 11_000)].map(|(job, ms)| (JobId(job), ms)).into();
    let used = saturate(&mut view, (40_000, 1_000), &lengths);
    let all: u64 = used.values().sum();
    for (owner, share) in [("u1", 1), ("u2", 2), ("u4", 4), ("v1", 1)] {
        let (got, due) = (used[owner] * 1_000 / all, 1_000 * share / 8);
        assert!(got.abs_diff(due) * 20 <= due, "{owner} got {got} thousandths instead of {due}");
    }
}

/// Accounts with these weights (in tens) and widths share the slots of a node, with tasks of half a second, for a
/// minute: what each gets, in thousandths.
fn minute(slots: u64, accounts: &[(u32, u64)], half_life_ms: u64) -> Vec<u64> {
    let mut c = queue(Policy::FairShare).node("a", slots);
    for (n, (weight, width)) in accounts.iter().enumerate() {
        let name = format!("{n}-{weight}");
        c = c.job(1_000_000).account(&name).owner(&name).cpu_milli(width * 1_000).takes(500).typical_ms(500);
    }
    let mut view = c.view();
    view.half_life_ms = half_life_ms;
    let lengths = (1..=accounts.len() as u64).map(|job| (JobId(job), 500)).collect();
    let used = saturate(&mut view, (630, 100), &lengths);
    let all: u64 = used.values().sum();
    assert!(all > 60_000 * 1_000 * slots * 3 / 4, "slots stay free: {all}");
    used.values().map(|used| used * 1_000 / all).collect()
}

#[test]
fn few_slots_are_shared_by_the_weights() {
    let cases: [(u64, &[(u32, u64)]); 8] = [
        (4, &[(3, 1), (1, 1), (1, 1)]),
        (8, &[(3, 1), (1, 1), (1, 1)]),
        (2, &[(9, 1), (1, 1)]),
        (1, &[(9, 1), (1, 1)]),
        (3, &[(1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]),
        (3, &[(5, 1), (4, 1), (3, 1), (2, 1), (1, 1)]),
        (8, &[(3, 4), (1, 1), (1, 2)]),
        (4, &[(2, 1), (1, 4), (1, 2)]),
    ];
    for (slots, accounts) in cases {
        for half_life_ms in [60_000, 7 * 86_400_000] {
            let weights: u64 = accounts.iter().map(|(weight, _)| u64::from(*weight)).sum();
            let got = minute(slots, accounts, half_life_ms);
            for ((weight, _), got) in accounts.iter().zip(&got) {
                let due = 1_000 * u64::from(*weight) / weights;
                let near = got.abs_diff(due) <= 10 + due / 20;
                assert!(near, "{slots} slots, {accounts:?}, half-life {half_life_ms} ms: {got} for {due}");
            }
        }
    }
}
