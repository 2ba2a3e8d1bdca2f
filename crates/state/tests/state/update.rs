//! Changes of jobs, and how they reach what runs.
use crate::world::{World, array, started};
use taskyard_model::{Constraint, JobId, NodeId, Outcome, QueueConfig, Retry};
use taskyard_state::{AgentOrder, Change, Command, Phase, Rejection, Reply, StopCause};

impl World {
    fn update(&mut self, job: JobId, change: Change) -> Reply {
        self.apply(Command::Update { job, change })
    }

    /// When attempts on a node are expected to end.
    fn ends(&self, node: NodeId) -> Vec<(u64, u32)> {
        let node = self.state.view().node(node).unwrap();
        node.ends.iter().map(|((at, _), ending)| (*at, ending.count)).collect()
    }

    fn orders(&self, node: NodeId) -> Vec<AgentOrder> {
        self.state.orders_after(node, 0).iter().map(|due| due.order).collect()
    }
}

fn limit(ms: u64) -> Change {
    Change { time_limit_ms: Some(ms), ..Change::default() }
}

#[test]
fn new_limits_are_told_to_the_nodes_that_run_a_task_of_the_job() {
    let mut w = World::default();
    let (a, b) = (w.register("a", 2), w.register("b", 2));
    let job = w.submit(|s| (s.array, s.time_limit_ms) = (array(4), Some(1_000)));
    w.assign(job, a, 2, false);
    w.update(job, Change { priority: Some(3), ..Change::default() });
    assert_eq!(w.orders(a), [], "nothing that an agent needs to know");
    w.update(job, limit(9_000));
    w.update(job, Change { grace_ms: Some(1), ..limit(5_000) });
    assert_eq!((w.orders(a), w.orders(b)), (vec![AgentOrder::Limits], vec![]), "the last change says it all");
    w.check();
    w.finish(a, 0, Outcome::Succeeded);
    w.finish(a, 0, Outcome::Succeeded);
    assert_eq!(w.orders(a), [], "settled with the last attempt there");
    w.check();
}

#[test]
fn the_planner_expects_other_ends_after_a_new_limit() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| (s.array, s.time_limit_ms) = (array(4), Some(1_000)));
    w.now_ms = 100;
    w.assign(job, node, 1, false);
    w.now_ms = 200;
    w.assign(job, node, 2, false);
    assert_eq!(w.ends(node), [(1_100, 1), (1_200, 2)]);
    w.update(job, limit(7_000));
    assert_eq!(w.ends(node), [(7_100, 1), (7_200, 2)]);
    w.update(job, limit(0));
    assert_eq!(w.ends(node), []);
    w.update(job, limit(50));
    assert_eq!(w.ends(node), [(150, 1), (250, 2)]);
    w.check();
}

#[test]
fn a_job_that_shares_its_class_gets_one_of_its_own_when_none_of_it_is_on_a_node() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let alike = |s: &mut taskyard_model::JobSpec| (s.array, s.time_limit_ms) = (array(3), Some(1_000));
    let (changed, other) = (w.submit(alike), w.submit(alike));
    w.assign(changed, node, 1, false);
    w.assign(other, node, 1, false);
    w.update(changed, limit(7_000));
    let class = |w: &World, job| w.state.view().jobs[&job].class;
    assert_eq!(
        class(&w, changed),
        class(&w, other),
        "what agents hold of a class may take over places of it"
    );
    w.check();
    w.finish(node, 0, Outcome::Succeeded);
    let view = w.state.view();
    assert_eq!(view.classes[class(&w, changed).0 as usize].span.limit_ms, Some(7_000));
    assert_eq!(view.classes[class(&w, other).0 as usize].span.limit_ms, Some(1_000));
    w.check();
}

#[test]
fn a_limit_that_is_taken_away_is_the_one_of_the_queue() {
    let mut w = World::default();
    let config = QueueConfig { max_limit_ms: Some(60_000), ..QueueConfig::default() };
    w.apply(Command::SetQueue { name: "short".into(), config });
    let job = w.submit(|s| (s.queue, s.time_limit_ms) = ("short".into(), Some(1_000)));
    w.update(job, limit(0));
    assert_eq!(w.state.job(job).unwrap().spec.time_limit_ms, Some(60_000));
    let Reply::Rejected(Rejection::Unfit(invalid)) = w.update(job, limit(61_000)) else { panic!() };
    assert_eq!(invalid.field, "time_limit");
    w.check();
}

#[test]
fn what_waits_may_ask_for_something_else() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| s.array = array(4));
    let asks = Change {
        cpu_milli: Some(2_000),
        memory: Some(1 << 20),
        gpu_milli: Some(500),
        constraint: Some(Constraint::parse("constraint", "name == a").unwrap()),
        name: Some("other".into()),
        ..Change::default()
    };
    assert_eq!(w.update(job, asks.clone()), Reply::Changed { tasks: 4 });
    let spec = w.state.job(job).unwrap().spec.clone();
    assert_eq!((spec.request.amounts.cpu_milli, spec.request.amounts.memory), (2_000, 1 << 20));
    assert_eq!((spec.request.gpu_milli, spec.name.as_str()), (500, "other"));
    assert_eq!(w.assign(job, node, 4, false), 2, "two of two cores each");
    w.check();
    let more = |cpu_milli| Change { cpu_milli: Some(cpu_milli), ..Change::default() };
    assert_eq!(w.update(job, more(1_000)), Reply::Rejected(Rejection::JobBusy(job)));
    assert_eq!(w.update(job, more(2_000)), Reply::Changed { tasks: 2 }, "that is what it has");
    let renamed = Change { name: Some("third".into()), ..Change::default() };
    assert_eq!(w.update(job, renamed), Reply::Changed { tasks: 2 });
    w.check();
}

#[test]
fn a_change_is_checked_like_a_submit() {
    let mut w = World::default();
    w.register("a", 4);
    let config = QueueConfig { max_cpu_milli: Some(3_000), ..QueueConfig::default() };
    w.apply(Command::SetQueue { name: "small".into(), config });
    let job = w.submit(|s| s.queue = "small".into());
    let refused = |w: &mut World, change: Change| match w.update(job, change) {
        Reply::Rejected(Rejection::Unfit(invalid)) => invalid.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut w, Change { cpu_milli: Some(4_000), ..Change::default() }), "cpus");
    assert_eq!(refused(&mut w, Change { gpu_milli: Some(1_500), ..Change::default() }), "gpus");
    assert_eq!(refused(&mut w, Change { name: Some(String::new()), ..Change::default() }), "name");
    w.register("b", 4);
    let all = w.submit(|s| s.affinity.broadcast = true);
    assert_eq!(w.update(all, Change { priority: Some(1), ..Change::default() }), Reply::Changed { tasks: 2 });
    let Reply::Rejected(Rejection::Unfit(invalid)) =
        w.update(all, Change { cpu_milli: Some(2_000), ..Change::default() })
    else {
        panic!()
    };
    assert_eq!(invalid.field, "broadcast");
    w.check();
}

#[test]
fn a_task_that_is_killed_and_one_that_is_cancelled_are_told_apart() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|s| s.array = array(2));
    w.assign(job, node, 2, false);
    let cancel = |tasks, now| Command::Cancel { job, tasks, now };
    assert_eq!(w.apply(cancel(vec![(0, 1)], false)), Reply::Changed { tasks: 1 });
    assert_eq!(w.apply(cancel(vec![(0, 1)], true)), Reply::Changed { tasks: 1 });
    assert_eq!(w.apply(cancel(vec![], true)), Reply::Changed { tasks: 2 });
    assert_eq!(w.orders(node), [AgentOrder::CancelTask, AgentOrder::KillTask, AgentOrder::KillJob]);
    w.check();
}

impl World {
    /// What an agent has starts.
    fn starts(&mut self, node: NodeId) {
        let items = self.agents[&node].held.iter().map(|held| started(*held)).collect();
        self.report(node, items);
    }

    /// Why tasks of a job are being stopped, and until when they have, by position.
    fn stopping(&self, job: JobId) -> Vec<(u32, StopCause, u64)> {
        let all = self.state.stopping(self.state.job(job).unwrap());
        all.into_iter().map(|(index, stopping)| (index, stopping.cause, stopping.until_ms)).collect()
    }

    fn refused(&mut self, job: JobId, change: Change) -> String {
        match self.update(job, change) {
            Reply::Rejected(Rejection::Unfit(invalid)) => invalid.remedy,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_new_limit_does_not_reach_what_has_reached_the_old_one() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| (s.array, s.time_limit_ms, s.grace_ms) = (array(2), Some(1_000), 500));
    w.now_ms = 100;
    w.assign(job, node, 1, false);
    w.starts(node);
    w.pass(999);
    assert_eq!(w.stopping(job), []);
    w.pass(1);
    let fired = StopCause::TimeLimit { limit_ms: 1_000 };
    assert_eq!(w.stopping(job), [(0, fired, 1_600)]);
    // The other task still waits: the change is for that.
    w.update(job, limit(9_000));
    assert_eq!(w.stopping(job), [(0, fired, 1_600)]);
    w.update(job, Change { grace_ms: Some(2_000), ..Change::default() });
    assert_eq!(w.stopping(job), [(0, fired, 3_100)]);
    w.assign(job, node, 1, false);
    w.starts(node);
    w.pass(1_000);
    assert_eq!(w.stopping(job), [(0, fired, 3_100)]);
    w.check();
    w.finish(node, 1, Outcome::Succeeded);
    let refusal = w.refused(job, limit(20_000));
    assert_eq!(refusal, "attempt 1 of task 1 is being stopped: its time limit of 1s was reached");
    // With a retry left, there is an attempt that it reaches.
    w.update(job, Change { retries: Some(1), ..limit(20_000) });
    w.finish(node, 0, Outcome::TimeLimit);
    assert_eq!((w.stopping(job), w.phase(job, 0)), (vec![], Phase::Pending));
    w.check();
}

#[test]
fn what_stops_an_attempt_is_known_until_it_has_ended() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| (s.array, s.grace_ms) = (array(3), 500));
    w.assign(job, node, 3, false);
    w.starts(node);
    w.now_ms = 100;
    w.apply(Command::Cancel { job, tasks: vec![(1, 1)], now: false });
    assert_eq!(w.stopping(job), [(1, StopCause::Cancelled, 600)]);
    w.now_ms = 200;
    w.apply(Command::Cancel { job, tasks: vec![], now: false });
    let all =
        |until_ms| [(0, until_ms), (1, 600), (2, until_ms)].map(|(n, ms)| (n, StopCause::Cancelled, ms));
    assert_eq!(w.stopping(job), all(700));
    assert_eq!(
        w.refused(job, limit(9)),
        "attempt 1 of task 1 is being stopped: it was cancelled (and 2 more)"
    );
    w.now_ms = 300;
    w.apply(Command::Cancel { job, tasks: vec![], now: true });
    assert_eq!(w.stopping(job), [0, 1, 2].map(|n| (n, StopCause::Cancelled, 300)));
    w.check();
    let job = w.submit(|s| (s.array, s.grace_ms, s.max_fails) = (array(2), 500, Some(0)));
    w.assign(job, node, 1, false);
    w.finish(node, 3, Outcome::Exited);
    assert_eq!(w.stopping(job), []);
}

#[test]
fn fewer_retries_reach_what_waits_to_be_tried_again() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| {
        s.array = array(3);
        s.retry = Retry { max: 3, backoff_ms: 1_000 };
    });
    w.assign(job, node, 2, false);
    w.finish(node, 0, Outcome::Exited);
    w.finish(node, 0, Outcome::AgentLost);
    let retries = |most| Change { retries: Some(most), ..Change::default() };
    w.update(job, retries(1));
    assert_eq!([0, 1, 2].map(|index| w.phase(job, index)), [Phase::Pending; 3]);
    w.update(job, retries(0));
    let phases = [0, 1, 2].map(|index| w.phase(job, index));
    assert_eq!(phases, [Phase::Failed, Phase::Pending, Phase::Pending], "what was lost costs no retry");
    w.check();
    // One whose back-off is over, and that was assigned and given back.
    let alone = w.submit(|s| s.retry = Retry { max: 3, backoff_ms: 0 });
    w.assign(alone, node, 1, false);
    w.finish(node, 0, Outcome::Exited);
    w.update(alone, retries(0));
    let job = w.state.job(alone).unwrap();
    assert_eq!((job.phase(), job.record(0).unwrap().outcome()), (Phase::Failed, Some(Outcome::Exited)));
    assert!(job.is_finished());
    w.check();
}
