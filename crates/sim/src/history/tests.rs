//! The past as a workload, and what a replay of it knows.

use super::*;
use crate::compare::{Combination, Comparison, MaxWait, Passing};
use crate::engine::Ties;
use crate::metrics::Bounds;
use crate::workload::{machine, procs_request};
use std::sync::atomic::AtomicU64;
use taskyard_model::{Affinity, Discipline, Placement, Policy};

fn past(id: u64, ready_ms: u64, procs: u32) -> PastJob {
    PastJob {
        id,
        owner: if id > 1 { "bob" } else { "ann" }.to_owned(),
        ready_ms,
        request: procs_request(procs),
        constraint: Constraint::default(),
        estimate_ms: Some(9),
        limit_ms: None,
        terms: Terms { queue: "default".into(), ..Terms::default() },
        waited_for_others: false,
    }
}

fn ended(ran_ms: u64) -> PastTask {
    PastTask { end: PastEnd::Ended { ran_ms }, tried_before: false, cancelled: false }
}

fn history(nodes: Vec<NodeShape>, settings: ClusterSettings) -> History {
    History::new("us".into(), nodes, settings, Vec::new()).unwrap()
}

#[test]
fn tasks_become_jobs_in_order_of_time() {
    let mut history = history(vec![machine(4)], ClusterSettings::default());
    let mut late = past(2, 5_000, 1);
    late.constraint = Constraint::parse("c", "zone == a").unwrap();
    history.workload.nodes[0].labels.insert("zone".into(), "a".into());
    let never = PastTask { end: PastEnd::NotStarted, ..ended(0) };
    history.add(&late, [ended(10), never, ended(0)]).unwrap();
    history.add(&past(1, 4_000, 1), [PastTask { end: PastEnd::Running { ran_ms: 7 }, ..ended(0) }]).unwrap();
    history.add(&past(3, 4_500, 5), [ended(1)]).unwrap();
    let workload = history.clone().workload(false).unwrap();
    let times: Vec<_> = workload.jobs.iter().map(|j| (j.id, j.submit_ms, j.run_ms)).collect();
    assert_eq!(times, [(1, 0, 7), (2, 1_000, 10)]);
    assert_eq!(workload.constraints.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(workload.users[workload.jobs[0].user as usize], "ann");
    let dropped: Vec<_> = workload.dropped.into_iter().collect();
    assert_eq!(dropped, [("fits_no_node", 1), ("never_started", 1), ("run_not_positive", 1)]);
    assert_eq!(workload.changed["still_running_taken_as_ended_now"], 1);
    let told = history.workload(true).unwrap();
    assert_eq!(told.jobs[1].estimate_ms, Some(10));
}

#[test]
fn nothing_to_run_is_an_error() {
    assert!(History::new("us".into(), vec![], ClusterSettings::default(), vec![]).is_err());
    let history = history(vec![machine(4)], ClusterSettings::default());
    assert!(history.workload(false).unwrap_err().to_string().contains("no job remains"));
}

#[test]
fn what_is_notes_is_counted() {
    let mut history = history(vec![machine(4)], ClusterSettings::default());
    let mut job = past(1, 0, 1);
    (job.waited_for_others, job.terms.queue, job.terms.affinity.broadcast) = (true, "gone".into(), true);
    history.add(&job, [PastTask { tried_before: true, cancelled: true, ..ended(5) }]).unwrap();
    let workload = history.workload(false).unwrap();
    let changed: Vec<_> = workload.changed.keys().copied().collect();
    assert_eq!(
        changed,
        [
            "after_other_jobs_taken_as_submitted_when_they_ended",
            "broadcast_taken_as_one_task_a_node",
            "cancelled_while_running_taken_as_ended_then",
            "queue_is_gone_taken_as_the_default_one",
            "tried_before_only_the_last_try_is_replayed",
        ]
    );
    let terms = &workload.terms[&0];
    assert!(terms.queue == "default" && terms.affinity.apart && !terms.affinity.broadcast);
}

/// When each task of the workload starts under an order, and with the settings of the cluster otherwise.
fn starts(history: History, policy: Policy) -> Vec<(u64, u64)> {
    let workload = history.workload(false).unwrap();
    let combination = Combination {
        policy,
        discipline: Passing::Pool(Discipline::Easy),
        placement: Placement::default(),
        max_wait: MaxWait::OfQueue,
        today: false,
    };
    let comparison = Comparison {
        combinations: vec![combination],
        ties: Ties::Batch,
        factors: None,
        bounds: Bounds::default(),
        copies: 0,
        slow_copies: true,
        keep_outcomes: true,
        plots: false,
        thorough: false,
    };
    let tried = comparison.run(std::slice::from_ref(&workload), &AtomicU64::new(0)).unwrap();
    let outcomes = &tried[0].outcomes[0];
    workload.jobs.iter().zip(outcomes).map(|(job, outcome)| (job.id, outcome.start_ms)).collect()
}

/// A job takes the machine for ten seconds, and three come while it runs.
fn three(change: impl Fn(&mut PastJob)) -> History {
    let mut history = history(vec![machine(1)], ClusterSettings::default());
    for id in 1..=4 {
        let mut job = past(id, id * 10, 1);
        job.owner = "ann".into();
        change(&mut job);
        history.add(&job, [ended(10_000)]).unwrap();
    }
    history
}

#[test]
fn priorities_are_replayed() {
    let important_last = |job: &mut PastJob| job.terms.priority = job.id as i32;
    let first_come = starts(three(important_last), Policy::Fcfs);
    assert_eq!(first_come, [(1, 0), (2, 10_000), (3, 20_000), (4, 30_000)]);
    let by_priority = starts(three(important_last), Policy::Priority);
    assert_eq!(by_priority, [(1, 0), (2, 30_000), (3, 20_000), (4, 10_000)]);
}

#[test]
fn accounts_and_their_weights_are_replayed() {
    let of_accounts = |job: &mut PastJob| job.terms.account = Some(if job.id < 4 { "a" } else { "b" }.into());
    let fair = starts(three(of_accounts), Policy::FairShare);
    assert_eq!(fair, [(1, 0), (2, 20_000), (3, 30_000), (4, 10_000)], "the one of b has had nothing yet");
    assert_eq!(three(of_accounts).workload(false).unwrap().users, ["ann on a", "ann on b"]);
}

#[test]
fn queues_are_replayed() {
    let queue = |tier, max_wait_ms| QueueConfig {
        tier,
        max_wait_ms,
        max_cpu_milli: Some(1),
        ..QueueConfig::default()
    };
    let settings = |max_wait_ms| ClusterSettings {
        queues: vec![("default".into(), queue(0, max_wait_ms)), ("urgent".into(), queue(1, u64::MAX))],
        ..ClusterSettings::default()
    };
    let of = |max_wait_ms| {
        let mut history = history(vec![machine(1)], settings(max_wait_ms));
        for id in 1..=4 {
            let mut job = past(id, id * 10, 1);
            job.terms.queue = if id > 2 { "urgent" } else { "default" }.into();
            history.add(&job, [ended(10_000)]).unwrap();
        }
        starts(history, Policy::Fcfs)
    };
    assert_eq!(of(u64::MAX), [(1, 0), (2, 30_000), (3, 10_000), (4, 20_000)]);
    assert_eq!(of(15_000), [(1, 0), (2, 20_000), (3, 10_000), (4, 30_000)], "after the queue's longest wait");
}

#[test]
fn tasks_of_one_job_are_one_job() {
    let mut history = history(vec![machine(2), machine(2)], ClusterSettings::default());
    let mut few = past(1, 0, 1);
    few.terms.max_running = Some(1);
    let mut apart = past(2, 5, 1);
    apart.terms.affinity = Affinity { apart: true, ..Affinity::default() };
    history.workload.nodes[1].name = "other".into();
    history.add(&few, [ended(1_000), ended(1_000)]).unwrap();
    history.add(&apart, [ended(10_000), ended(10_000), ended(10_000)]).unwrap();
    let starts = starts(history, Policy::Fcfs);
    assert_eq!(starts, [(1, 0), (1, 1_000), (2, 5), (2, 5), (2, 10_005)]);
}
