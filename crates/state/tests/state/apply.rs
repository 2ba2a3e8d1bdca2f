//! `apply` seen from outside: a small world of jobs and agents, driven by hand.

use crate::world::{Held, World, array, finished, started};
use std::collections::BTreeMap;
use taskyard_model::limits::INFRASTRUCTURE_BACKOFF_MS;
use taskyard_model::report::{Item, Returned};
use taskyard_model::spec::OnAgentLost;
use taskyard_model::{ArraySpec, JobId, JobSpec, Outcome, Policy, QueueConfig, Report};
use taskyard_state::{Change, Command, KeepChange, Phase, Rejection, Reply, ServerRole, Submit};

#[test]
fn a_job_runs_to_its_end() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|s| s.array = array(3));
    assert_eq!(w.assign(job, node, 3, false), 2, "two fit on two cores");
    assert_eq!(w.state.job(job).unwrap().phase(), Phase::Running);
    w.finish(node, 0, Outcome::Succeeded);
    w.finish(node, 0, Outcome::Exited);
    assert_eq!(w.assign(job, node, 3, false), 1);
    w.finish(node, 0, Outcome::Succeeded);
    let done = w.state.job(job).unwrap();
    assert_eq!(
        (done.phase(), done.count(Phase::Succeeded), done.count(Phase::Failed)),
        (Phase::Failed, 2, 1)
    );
    let record = done.record(1).unwrap();
    assert_eq!(
        (record.attempt, record.outcome(), record.ran_ms, record.node),
        (1, Some(Outcome::Exited), 7, node)
    );
    w.check();
}

#[test]
fn a_request_id_makes_one_job() {
    let mut w = World::default();
    let submit = Submit {
        spec: JobSpec::command(vec!["x".into()]),
        owner: "ann".into(),
        request_id: "k".into(),
        retry_of: None,
    };
    let first = w.apply(Command::Submit(Box::new(submit.clone())));
    let again = w.apply(Command::Submit(Box::new(submit.clone())));
    assert_eq!(first, Reply::Submitted { job: JobId(1), tasks: 1, duplicate: false });
    assert_eq!(again, Reply::Submitted { job: JobId(1), tasks: 1, duplicate: true });
    let other = Submit { owner: "bob".into(), ..submit };
    assert_eq!(
        w.apply(Command::Submit(Box::new(other))),
        Reply::Submitted { job: JobId(2), tasks: 1, duplicate: false }
    );
    w.check();
}

#[test]
fn held_work_starts_only_in_a_place_that_became_free() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.array = array(4));
    assert_eq!(w.assign(job, node, 1, true), 0, "no place will become free");
    assert_eq!(w.assign(job, node, 1, false), 1);
    assert_eq!(w.assign(job, node, 3, true), 3);
    let [x, y, z, last]: [Held; 4] = w.agents[&node].held.clone().try_into().unwrap();
    assert_eq!(w.state.view().nodes[0].free.cpu_milli, 0);
    w.report(node, vec![started(y)]);
    assert_eq!(w.phase(job, 1), Phase::Queued, "nothing ended, so nothing could take over");
    w.report(node, vec![finished(x, Outcome::Succeeded), finished(y, Outcome::Succeeded), started(z)]);
    assert_eq!(
        [0, 1, 2, 3].map(|i| w.phase(job, i)),
        [Phase::Succeeded, Phase::Succeeded, Phase::Running, Phase::Queued]
    );
    assert_eq!(w.state.view().nodes[0].free.cpu_milli, 0, "the place was taken over");
    w.report(node, vec![finished(z, Outcome::Succeeded)]);
    assert_eq!(w.state.view().nodes[0].free.cpu_milli, 1_000, "nobody took the place over, so it is free");
    w.report(node, vec![Item::Returned(Returned { task: last.task, fence: last.fence })]);
    assert_eq!(w.phase(job, 3), Phase::Pending);
    assert_eq!(w.assign(job, node, 1, false), 1);
    assert_eq!(
        w.state.job(job).unwrap().record(3).unwrap().attempt,
        1,
        "an attempt that never was has no number"
    );
    w.check();
}

#[test]
fn stale_messages_change_nothing() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.retry.max = 1);
    w.assign(job, node, 1, false);
    let old = w.agents[&node].held[0];
    w.finish(node, 0, Outcome::Exited);
    assert_eq!(w.phase(job, 0), Phase::Pending);
    w.report(node, vec![finished(old, Outcome::Succeeded)]);
    assert_eq!(w.phase(job, 0), Phase::Pending, "a second result of the same attempt");
    w.assign(job, node, 1, false);
    w.report(node, vec![finished(old, Outcome::Succeeded)]);
    assert_eq!(w.phase(job, 0), Phase::Running, "the fence of the first attempt");
    let before = w.agents[&node].incarnation;
    w.register("a", 1);
    let stale = w.apply(Command::Report(Report {
        node,
        incarnation: before,
        items: vec![finished(old, Outcome::Succeeded)],
    }));
    assert_eq!(stale, Reply::Rejected(Rejection::StaleIncarnation(before)));
    w.check();
}

#[test]
fn failures_are_retried_with_back_off_then_final() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.retry = taskyard_model::Retry { max: 2, backoff_ms: 1_000 });
    for attempt in 1..=3 {
        assert_eq!(w.assign(job, node, 1, false), 1, "attempt {attempt}");
        w.finish(node, 0, Outcome::Exited);
        assert_eq!(w.assign(job, node, 1, false), 0, "not before its back-off");
        if attempt < 3 {
            w.now_ms = w.state.next_deadline().unwrap();
            w.apply(Command::Pulse);
        }
    }
    let done = w.state.job(job).unwrap();
    assert_eq!((done.phase(), done.past_attempts(0).count()), (Phase::Failed, 2));
    w.check();
}

#[test]
fn a_back_off_says_when_it_ends() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|s| {
        s.array = array(3);
        s.retry = taskyard_model::Retry { max: 3, backoff_ms: 1_000 };
    });
    w.assign(job, node, 2, false);
    w.finish(node, 0, Outcome::Exited);
    w.now_ms = 400;
    w.finish(node, 0, Outcome::Exited);
    let again = |w: &World| {
        let job = w.state.job(job).unwrap();
        ([0, 1, 2].map(|i| job.again_ms(i)), job.next_again_ms())
    };
    assert_eq!(again(&w), ([Some(1_000), Some(1_400), None], Some(1_000)));
    w.apply(Command::Cancel { job, tasks: vec![(0, 1)], now: false });
    assert_eq!(again(&w), ([None, Some(1_400), None], Some(1_400)), "cancelled tasks wait for nothing");
    w.check();
    w.now_ms = 1_400;
    w.apply(Command::Pulse);
    assert_eq!(again(&w), ([None; 3], None));
    assert_eq!(w.assign(job, node, 1, false), 1);
    w.finish(node, 0, Outcome::Exited);
    let (_, next_ms) = again(&w);
    assert_eq!(next_ms, Some(1_400 + 2_000), "the second back-off");
}

#[test]
fn ends_are_counted_by_code_up_to_a_limit() {
    let mut w = World::default();
    let node = w.register("a", 200);
    let job = w.submit(|s| s.array = array(100));
    w.assign(job, node, 100, false);
    for n in 0..100 {
        let held = w.agents.get_mut(&node).unwrap().held.remove(0);
        let Item::Finished(mut finish) = finished(held, Outcome::Exited) else { panic!() };
        // Twice 70, some other codes, and a kind of end whose code says nothing more.
        finish.end.code = if n < 2 { 70 } else { 100 + n };
        if n == 99 {
            (finish.end.outcome, finish.end.code) = (Outcome::TimeLimit, 15);
        }
        w.report(node, vec![Item::Finished(finish)]);
    }
    let head = &w.state.job(job).unwrap().head;
    let (exited, late) = (Outcome::Exited as u8, Outcome::TimeLimit as u8);
    assert_eq!(head.outcomes, BTreeMap::from([(exited, 99), (late, 1)]));
    assert_eq!(head.codes.len(), taskyard_model::limits::END_CODES_PER_JOB_MAX);
    assert_eq!((head.codes[&(exited, 70)], head.codes[&(exited, 102)]), (2, 1));
    w.check();
}

#[test]
fn a_lost_agent_gives_its_work_back() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|s| s.array = array(5));
    w.assign(job, node, 2, false);
    w.assign(job, node, 3, true);
    let incarnation = w.agents[&node].incarnation;
    w.apply(Command::Lost { node, incarnation, silent_ms: 0 });
    assert_eq!(w.state.job(job).unwrap().eligible(), 0);
    w.pass(INFRASTRUCTURE_BACKOFF_MS);
    assert_eq!(w.state.job(job).unwrap().eligible(), 5);
    assert!(matches!(w.apply(Command::Lost { node, incarnation, silent_ms: 0 }), Reply::Rejected(_)));
    let node = w.register("a", 2);
    assert_eq!(w.assign(job, node, 5, false), 2);
    assert_eq!(w.state.job(job).unwrap().record(0).unwrap().attempt, 2);
    w.check();
}

#[test]
fn cancelling_a_large_array_costs_nothing_and_waits_for_what_runs() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.array = array(10_000_000));
    w.assign(job, node, 1, false);
    let Reply::Changed { tasks } = w.apply(Command::Cancel { job, tasks: vec![], now: false }) else {
        panic!()
    };
    assert_eq!(tasks, 10_000_000);
    assert!(!w.state.job(job).unwrap().is_finished(), "one still runs");
    assert_eq!(w.state.orders_after(node, 0).len(), 1);
    w.finish(node, 0, Outcome::Cancelled);
    let done = w.state.job(job).unwrap();
    assert_eq!((done.phase(), done.count(Phase::Cancelled)), (Phase::Cancelled, 10_000_000));
    assert!(w.state.orders_after(node, 0).is_empty());
}

#[test]
fn single_tasks_can_be_cancelled() {
    let mut w = World::default();
    let node = w.register("a", 8);
    let job = w.submit(|s| s.array = array(4));
    w.apply(Command::Cancel { job, tasks: vec![(1, 2)], now: false });
    assert_eq!(w.assign(job, node, 4, false), 2);
    let given: Vec<u32> = w.agents[&node].held.iter().map(|h| h.task.index).collect();
    assert_eq!(given, [0, 3]);
    w.check();
}

#[test]
fn too_many_failures_end_the_job() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|s| (s.array, s.max_fails) = (array(10), Some(1)));
    w.assign(job, node, 2, false);
    w.finish(node, 0, Outcome::Exited);
    assert_eq!(w.state.job(job).unwrap().count(Phase::Cancelled), 0);
    w.finish(node, 0, Outcome::Exited);
    let done = w.state.job(job).unwrap();
    assert_eq!((done.phase(), done.count(Phase::Cancelled)), (Phase::Failed, 8));
    assert!(done.head.failed_too_often && !done.head.cancelled);
    w.check();
}

#[test]
fn what_fails_before_it_hears_that_too_many_have_failed_counts_too() {
    let mut w = World::default();
    let node = w.register("a", 5);
    let job = w.submit(|s| (s.array, s.max_fails, s.retry.max) = (array(10), Some(0), 3));
    w.apply(Command::Update { job, change: Change { retries: Some(0), ..Change::default() } });
    w.assign(job, node, 5, false);
    w.finish(node, 0, Outcome::Exited);
    w.apply(Command::Update { job, change: Change { retries: Some(3), ..Change::default() } });
    w.finish(node, 0, Outcome::TimeLimit);
    w.finish(node, 0, Outcome::Succeeded);
    w.finish(node, 0, Outcome::Cancelled);
    assert_eq!(w.state.job(job).unwrap().phase(), Phase::Running, "one is on its node");
    w.finish(node, 0, Outcome::AgentLost);
    let done = w.state.job(job).unwrap();
    let counts = [Phase::Failed, Phase::Succeeded, Phase::Cancelled].map(|phase| done.count(phase));
    assert_eq!((done.phase(), counts), (Phase::Failed, [2, 1, 7]));
    w.check();
}

#[test]
fn a_user_who_cancels_a_job_of_failures_has_cancelled_it() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.array = array(3));
    w.assign(job, node, 1, false);
    w.finish(node, 0, Outcome::Exited);
    w.apply(Command::Cancel { job, tasks: vec![], now: false });
    assert_eq!(w.state.job(job).unwrap().phase(), Phase::Cancelled);
    w.check();
}

#[test]
fn gpus_are_given_by_device_and_come_back() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| (s.array, s.request.gpu_milli) = (array(4), 400));
    assert_eq!(w.assign(job, node, 4, false), 2, "two shares of 0.4 on one device");
    assert_eq!(w.state.view().nodes[0].gpu_free, [200]);
    assert_eq!(w.assign(job, node, 4, true), 0, "work with GPUs is not prefetched");
    w.finish(node, 0, Outcome::Succeeded);
    assert_eq!(w.state.view().nodes[0].gpu_free, [600]);
    w.check();
}

#[test]
fn holding_limits_and_moving() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| s.array = ArraySpec { max_running: Some(2), ..array(9) });
    assert_eq!(w.assign(job, node, 9, false), 2, "at most two at once");
    w.apply(Command::Hold { job });
    w.finish(node, 0, Outcome::Succeeded);
    assert_eq!(w.assign(job, node, 9, false), 0, "held");
    w.apply(Command::Release { job });
    let change = Change { max_running: Some(0), ..Change::default() };
    w.apply(Command::Update { job, change });
    assert_eq!(w.assign(job, node, 9, false), 3, "no limit any more");
    w.apply(Command::SetQueue { name: "night".into(), config: QueueConfig::default() });
    let to_night = Change { queue: Some("night".into()), ..Change::default() };
    assert_eq!(
        w.apply(Command::Update { job, change: to_night.clone() }),
        Reply::Rejected(Rejection::JobBusy(job))
    );
    let idle = w.submit(|_| {});
    assert_eq!(w.apply(Command::Update { job: idle, change: to_night }), Reply::Changed { tasks: 1 });
    w.check();
}

#[test]
fn a_new_policy_sorts_what_waits() {
    let mut w = World::default();
    let long = w.submit(|s| s.estimate_ms = Some(100));
    let short = w.submit(|s| s.estimate_ms = Some(1));
    let heads = |w: &World| w.state.view().classes.iter().filter_map(|c| c.waiting.get_min().copied()).min();
    let first = |w: &World| heads(w).unwrap().job;
    assert_eq!(first(&w), long);
    let config = QueueConfig { policy: Policy::Sjf, ..QueueConfig::default() };
    w.apply(Command::SetQueue { name: "default".into(), config });
    assert_eq!(first(&w), short);
    w.check();
}

/// Agents of the cluster that was backed up may still run what they had: nothing is given to another before their leases have ended.
#[test]
fn after_a_restore_no_life_goes_on_and_what_ran_ends_by_its_policy() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let old = w.agents[&node].incarnation;
    let again = w.submit(|s| s.array = array(4));
    let once = w.submit(|s| s.on_agent_lost = OnAgentLost::Fail);
    w.assign(again, node, 2, false);
    w.assign(again, node, 1, true);
    w.assign(once, node, 1, false);
    w.finish(node, 0, Outcome::Succeeded);
    let (directory, url) = (7, "http://s2".to_owned());
    w.apply(Command::AdmitServer { directory, url, role: ServerRole::Voter });
    let before = w.index;
    w.index += 1 << 40;
    w.state.skip(w.index);
    assert!(!w.state.is_of_another_cluster(old));
    assert_eq!(w.apply(Command::Restored { cluster: "next".into(), at: before }), Reply::Done);
    w.check();
    assert_eq!(w.state.servers().count(), 0, "the servers of the old cluster are not let in");
    assert!(w.state.is_of_another_cluster(old) && w.state.is_alive(node, old));
    assert_eq!(w.phase(again, 1), Phase::Running, "it may run until the lease has ended");
    assert_eq!(w.assign(again, node, 1, false), 0, "nothing is given to a life that cannot go on");

    w.apply(Command::Lost { node, incarnation: old, silent_ms: 0 });
    w.check();
    let phases = |w: &World, job| (0..2).map(|index| w.phase(job, index)).collect::<Vec<_>>();
    assert_eq!(phases(&w, again), [Phase::Succeeded, Phase::Pending]);
    assert_eq!(w.phase(again, 2), Phase::Pending, "what was held too");
    assert_eq!(w.phase(once, 0), Phase::Failed);

    w.pass(INFRASTRUCTURE_BACKOFF_MS);
    w.register("a", 4);
    assert!(!w.state.is_of_another_cluster(w.agents[&node].incarnation));
    w.assign(again, node, 1, false);
    let record = w.state.job(again).unwrap().record(1).unwrap();
    assert_eq!(record.attempt, 2);
    assert!(record.fence.0 > before + (1 << 40), "above every fence of the other cluster");
    w.check();
}

#[test]
fn the_digest_follows_every_change() {
    let mut w = World::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut step =
        |w: &World| assert!(seen.insert(w.state.digest()), "a change that the digest does not show");
    step(&w);
    let node = w.register("a", 2);
    step(&w);
    let job = w.submit(|s| s.array = array(3_000));
    step(&w);
    w.submit(|_| {});
    step(&w);
    w.assign(job, node, 2, false);
    step(&w);
    w.finish(node, 0, Outcome::Succeeded);
    step(&w);
    w.apply(Command::Hold { job });
    step(&w);
    let keep = KeepChange { max_jobs: Some(7), ..KeepChange::default() };
    w.apply(Command::SetRetention(keep));
    step(&w);
}
