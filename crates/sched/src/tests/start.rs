//! When what waits is planned to start, on what that counts, and what a new job would delay.

use super::properties::any_cluster;
use crate::testing::{Cluster, apply, cluster};
use crate::{Budget, EndReason, EndingWork, ExpectedStart, StartKind, Unforeseen, delays, explain, schedule};
use proptest::prelude::*;
use std::collections::BTreeMap;
use taskyard_model::{Discipline, JobId, Policy, PoolId, View, view::Window};

const NOW: u64 = 1_000;

/// A node of ten cores, seven of them busy for 100 ms; then a job that needs eight.
fn blocked(discipline: Discipline) -> Cluster {
    let c = cluster().node("a", 10).default_pool(|pool| pool.discipline = discipline);
    c.job(0).cpu_milli(7_000).takes(100).runs("a", 1).job(1).cpu_milli(8_000).takes(50)
}

fn start(cluster: Cluster, job: u64) -> Result<ExpectedStart, Unforeseen> {
    explain(&cluster.view(), JobId(job)).start.expect("it waits for the planner")
}

/// A start as `planned +100 on 1: 1 of class 0 until +100 by its limit`.
fn show(cluster: Cluster, job: u64) -> String {
    let start = match start(cluster, job) {
        Ok(start) => start,
        Err(why) => return format!("{why:?}"),
    };
    let kind = match start.kind {
        StartKind::Now => return format!("now on {}", start.node),
        StartKind::Planned => "planned",
        StartKind::PlannedByRank => "planned by rank",
        StartKind::Forecast => "forecast",
    };
    let basis = start.basis.iter().map(|basis| {
        let work = match basis.work {
            EndingWork::Running { class, since_ms } => format!("class {class} since {since_ms}"),
            EndingWork::Starting(job) => format!("new job {job}"),
            EndingWork::Planned(job) => format!("planned job {job}"),
            EndingWork::Maintenance => "maintenance".to_owned(),
        };
        let by = match basis.by {
            EndReason::Estimate => "estimate",
            EndReason::Limit => "limit",
            EndReason::Overrun => "overrun",
            EndReason::Schedule => "schedule",
        };
        format!("{} of {work} until +{} by {by}", basis.tasks, basis.end_ms - NOW)
    });
    let basis: Vec<String> = basis.collect();
    format!("{kind} +{} on {}: {}", start.at_ms - NOW, start.node, basis.join(", "))
}

#[test]
fn what_the_discipline_plans() {
    for discipline in [Discipline::Easy, Discipline::EasySjf, Discipline::Conservative] {
        let text = show(blocked(discipline), 2);
        assert_eq!(text, "planned +100 on 1: 1 of class 0 since 1000 until +100 by estimate");
    }
    let c = blocked(Discipline::Easy).job(1).cpu_milli(3_000).takes(100);
    assert_eq!(show(c.clone(), 3), "now on 1");
    let text = show(c, 2);
    assert!(text.starts_with("planned +100 on 1: 1 of"), "{text}");
    assert!(
        text.contains("1 of new job 3 until +100 by estimate"),
        "what starts in the same pass counts too: {text}"
    );
}

#[test]
fn the_end_of_maintenance_counts_too() {
    let c = cluster().node("a", 4).on_node(|node| {
        node.maintenance = vec![Window { name: "disks".into(), from_wall_ms: 50, until_wall_ms: 90 }];
    });
    let text = show(c.job(1).takes(60), 1);
    assert_eq!(text, "planned +90 on 1: 0 of maintenance until +90 by schedule");
}

#[test]
fn the_word_says_whether_a_newcomer_can_delay_it() {
    for discipline in [Discipline::Easy, Discipline::EasySjf, Discipline::Conservative] {
        let kind = |c: Cluster| start(c, 2).unwrap().kind;
        let c = || blocked(discipline);
        assert_eq!(kind(c()), StartKind::Planned);
        // Shorter ones may come, or a user who has had less.
        for policy in [Policy::Sjf, Policy::Saf, Policy::F1, Policy::Priority, Policy::FairShare] {
            let c = c().default_queue(|queue| queue.policy = policy);
            assert_eq!(kind(c.clone()), StartKind::PlannedByRank, "{policy:?}");
            let aged = c.default_queue(|queue| queue.max_wait_ms = 900);
            assert_eq!(
                kind(aged),
                StartKind::Planned,
                "{policy:?}: nothing goes before who has waited too long"
            );
        }
        for (tier, kept) in [(1, false), (0, false), (-1, true)] {
            let c = c().queue(|queue| queue.tier = tier);
            assert_eq!(kind(c.clone()) == StartKind::Planned, kept, "a queue of tier {tier}");
            let mut deleted = c;
            deleted.queues[1].deleted = true;
            assert_eq!(kind(deleted), StartKind::Planned);
        }
        let soon_aged = c().queue(|queue| (queue.tier, queue.max_wait_ms) = (-1, 50));
        assert_eq!(kind(soon_aged), StartKind::PlannedByRank);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4_000 }))]

    /// A start that is said to be kept is delayed by nothing that is submitted later.
    #[test]
    fn what_is_kept_is_not_delayed(mut cluster in any_cluster()) {
        for job in &mut cluster.jobs {
            // A timeline knows of devices in sum, which is exact for whole ones.
            job.request.gpu_milli = job.request.gpu_milli.next_multiple_of(1_000);
            job.estimate_ms = job.estimate_ms.map(|ms| ms + 1);
            job.limit_ms = job.estimate_ms;
            job.typical_us = None;
        }
        let mut with = cluster.clone();
        if let Some(newcomer) = with.jobs.last_mut() {
            newcomer.submitted_ms = with.now_ms;
        }
        cluster.jobs.pop();
        let (view, with) = (cluster.view(), with.view());
        for job in view.jobs.keys() {
            let Some(Ok(was)) = explain(&view, *job).start else { continue };
            if was.kind == StartKind::Planned {
                let is = explain(&with, *job).start;
                let kept = matches!(&is, Some(Ok(is)) if is.at_ms <= was.at_ms);
                prop_assert!(kept, "job {job}: {was:?} became {is:?}");
            }
        }
    }
}

#[test]
fn by_which_word_it_ends() {
    let c = |estimate: Option<u64>, limit, later| {
        let c = cluster().node("a", 2).job(0).with(|j| (j.estimate_ms, j.limit_ms) = (estimate, limit));
        let mut view = c.runs("a", 2).job(1).takes(5).view();
        view.now_ms += later;
        let start = explain(&view, JobId(2)).start.unwrap().unwrap();
        (start.basis[0].by, start.basis[0].end_ms - NOW, start.basis[0].tasks)
    };
    assert_eq!(c(Some(40), Some(90), 0), (EndReason::Estimate, 40, 2));
    assert_eq!(c(Some(90), Some(40), 0), (EndReason::Estimate, 40, 2));
    assert_eq!(c(None, Some(90), 0), (EndReason::Limit, 90, 2));
    assert_eq!(c(Some(40), Some(90), 50), (EndReason::Overrun, 61, 2));
    assert_eq!(c(Some(40), Some(90), 85), (EndReason::Limit, 90, 2));
}

#[test]
fn the_rest_is_forecast_in_order() {
    let c =
        |discipline| blocked(discipline).job(1).cpu_milli(10_000).takes(5).job(1).cpu_milli(4_000).takes(9);
    for discipline in [Discipline::Easy, Discipline::Greedy] {
        let text = show(c(discipline), 3);
        assert!(text.starts_with("forecast +150 on 1: 1 of planned job 2 until +150"), "{text}");
        let text = show(c(discipline), 4);
        assert!(text.starts_with("forecast +155 on 1: 1 of planned job 3 until +155"), "{text}");
    }
    assert!(show(c(Discipline::Greedy), 2).starts_with("forecast +100"), "greedy protects none");
    assert!(show(c(Discipline::Conservative), 3).starts_with("planned +150"));
    // Three cores are free, but no job passes here.
    let text = show(blocked(Discipline::Strict).job(1).cpu_milli(1_000).takes(5), 3);
    assert!(text.starts_with("forecast +100 on 1"), "{text}");
}

/// There is nothing to say about its start.
fn none(c: Cluster, job: u64) {
    assert_eq!(explain(&c.view(), JobId(job)).start, None);
}

#[test]
fn unknown_starts_say_why() {
    let c = || cluster().node("a", 10).job(0).cpu_milli(7_000).runs("a", 1);
    assert_eq!(start(c().job(1).cpu_milli(8_000), 2), Err(Unforeseen::EndsUnknown));
    assert_eq!(start(c().job(1).cpu_milli(11_000), 2), Err(Unforeseen::NoNodeCould));
    // A limit is not what is missing here.
    let draining = || cluster().node("a", 10).draining().job(1).takes(5);
    assert_eq!(start(draining(), 1), Err(Unforeseen::NodesAway));
    assert_eq!(start(draining().node("b", 1), 1).unwrap().kind, StartKind::Now);
    let apart = cluster().node("a", 10).job(1).with(|j| j.affinity.apart = true).runs("a", 1);
    assert_eq!(start(apart, 1), Err(Unforeseen::OwnEndsUnknown));
    let ahead = blocked(Discipline::Conservative).job(1).cpu_milli(10_000).job(1).cpu_milli(4_000).takes(5);
    assert_eq!(start(ahead, 4), Err(Unforeseen::LengthsUnknown));
    let c = blocked(Discipline::Easy).job(3_000).cpu_milli(8_000).takes(5).job(1).cpu_milli(8_000);
    assert_eq!(start(c, 4), Err(Unforeseen::TooFarAhead));
    // No job passes one whose start is unknown, and pools do not wait for each other.
    let strict = |c: Cluster| c.default_pool(|pool| pool.discipline = Discipline::Strict);
    let two = || strict(cluster().node("a", 10)).job(0).cpu_milli(7_000).runs("a", 1).job(1).cpu_milli(8_000);
    assert_eq!(start(two().job(1).takes(5), 3), Err(Unforeseen::EndsUnknown));
    let mut c = two().pool(|_| ()).queue(|_| ()).node("b", 4).on_node(|n| n.pool = PoolId(2));
    c.queues[1].pool = PoolId(2);
    let c = c.job(0).takes(9).in_queue(2).runs("b", 4).job(2).takes(5).in_queue(2);
    assert!(show(c, 4).starts_with("planned +9 on 2"));
    none(blocked(Discipline::Easy), 1);
    none(blocked(Discipline::Easy).job(1).with(|j| j.stopped = true), 3);
}

/// Job, and by how much it is delayed.
fn delayed(before: &Cluster, with: Cluster) -> Vec<(u64, Option<u64>)> {
    let new = JobId(with.jobs.len() as u64);
    let (delays, complete) = delays(&before.clone().view(), &with.view(), new);
    assert!(complete);
    delays.iter().map(|d| (d.job.0, d.to_ms.map(|to| to - d.from_ms))).collect()
}

#[test]
fn what_a_new_job_would_delay() {
    let greedy = blocked(Discipline::Greedy);
    assert_eq!(delayed(&greedy, greedy.clone().job(1).cpu_milli(3_000).takes(300)), [(2, Some(200))]);
    assert_eq!(delayed(&greedy, greedy.clone().job(1).cpu_milli(3_000)), [(2, None)], "its end is unknown");
    assert_eq!(delayed(&greedy, greedy.clone().job(1).cpu_milli(3_000).takes(100)), []);
    let easy = blocked(Discipline::Easy).job(1).cpu_milli(10_000).takes(5);
    assert_eq!(delayed(&easy, easy.clone().job(1).cpu_milli(3_000).takes(300)), []);
    assert_eq!(delayed(&easy, easy.clone().job(1).cpu_milli(2_000).takes(300)), [(3, Some(150))]);
    // One with priority goes before those that wait.
    let first = |c: Cluster| c.default_queue(|q| q.policy = Policy::Priority);
    let before = first(blocked(Discipline::Conservative));
    let with = before.clone().job(1).cpu_milli(9_000).takes(30).with(|j| j.priority = 9);
    assert_eq!(delayed(&before, with), [(2, Some(30))]);
    // What would start now and does not any more.
    let before = first(cluster().node("a", 4)).job(6).takes(50);
    let with = before.clone().job(1).cpu_milli(4_000).takes(30).with(|j| j.priority = 9);
    assert_eq!(delayed(&before, with), [(1, Some(30))]);
}

/// Goes on to the next end; everything ends when it was expected to.
fn advance(view: &mut View) -> bool {
    let node = &mut view.nodes[0];
    let Some((&(end_ms, id), _)) = node.ends.first_key_value() else { return false };
    let count = node.ends.remove(&(end_ms, id)).unwrap().count;
    let class = &view.classes[id];
    node.free.give_times(&class.request.amounts, count);
    node.running -= count;
    node.by_class.get_mut(&id).unwrap().running -= count;
    view.queues[0].running_cpu_milli -= class.request.amounts.cpu_milli * u64::from(count);
    view.now_ms = end_ms;
    // What ends together ends before anything starts.
    if node.ends.first_key_value().is_some_and(|((next, _), _)| *next == end_ms) {
        return advance(view);
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 4_000 }))]

    /// With nothing submitted and every estimate exact, jobs on one node start when explain said they would.
    #[test]
    fn what_was_said_comes_true(
        jobs in prop::collection::vec((1u32..4, 1u64..11, 1u64..40), 1..9),
        discipline in prop::sample::select(vec![Discipline::Strict, Discipline::Conservative]),
        policy in prop::sample::select(vec![Policy::Fcfs, Policy::Sjf, Policy::Saf]),
    ) {
        let c = cluster().node("a", 10).default_pool(|pool| pool.discipline = discipline);
        let c = c.default_queue(|queue| queue.policy = policy);
        let add = |c: Cluster, (tasks, cpus, ms): &(u32, u64, u64)| c.job(*tasks).cpu_milli(cpus * 1_000).takes(*ms);
        let mut view = jobs.iter().fold(c, add).view();
        let ids: Vec<JobId> = view.jobs.keys().copied().collect();
        let start = |id| (id, explain(&view, id).start.unwrap().unwrap());
        let said: BTreeMap<JobId, ExpectedStart> = ids.into_iter().map(start).collect();
        let mut started: BTreeMap<JobId, u64> = BTreeMap::new();
        loop {
            let plan = schedule(&view, Budget::default());
            for assignment in &plan.assignments {
                started.entry(assignment.job).or_insert(view.now_ms);
            }
            apply(&mut view, &plan);
            if !advance(&mut view) {
                break;
            }
        }
        for (job, start) in said {
            prop_assert_eq!(start.at_ms, started[&job], "job {}: {:?}", job, start);
            let last = start.basis.first().map_or(NOW, |basis| basis.end_ms);
            prop_assert_eq!(last, start.at_ms, "a start is an end: {:?}", start);
        }
    }
}
