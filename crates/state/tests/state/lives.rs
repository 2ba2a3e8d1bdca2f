//! Lives of agents: who may begin one, what is given to it, and what its end means for what it ran.

use crate::world::{Held, World, array, finished};
use taskyard_model::limits::{
    INFRASTRUCTURE_BACKOFF_MS, INFRASTRUCTURE_BACKOFF_MS_MAX, INFRASTRUCTURE_RETRIES_MAX,
};
use taskyard_model::report::{Item, Returned};
use taskyard_model::spec::OnAgentLost;
use taskyard_model::{AttemptEnd, CutOutput, Finish, Incarnation, JobId, NodeId, NodeState, Outcome, Start};
use taskyard_state::{AgentOrder, Command, Phase, Register, Rejection, Reply, TaskRecord};

fn incarnation(w: &World, node: NodeId) -> Incarnation {
    w.agents[&node].incarnation
}

fn lose(w: &mut World, node: NodeId, silent_ms: u64) {
    let incarnation = incarnation(w, node);
    w.apply(Command::Lost { node, incarnation, silent_ms });
}

fn record(w: &World, job: JobId, index: u32) -> TaskRecord {
    w.state.job(job).unwrap().record(index).unwrap()
}

fn began(w: &mut World, node: NodeId, held: Held) {
    let start = Start { task: held.task, fence: held.fence, started_wall_ms: 1_000_000 + w.now_ms };
    w.report(node, vec![Item::Started(start)]);
}

/// Registers the node's agent again, from a machine of this boot, and saying that this life is dead.
fn again(w: &mut World, node: NodeId, boot_id: &str, replaces: Option<Incarnation>) -> Reply {
    let registered = w.state.node(node).unwrap().head.registered.clone();
    let register = Register { boot_id: boot_id.into(), replaces, ..registered };
    w.apply(Command::Register(Box::new(register)))
}

#[test]
fn only_who_has_seen_the_older_life_dead_may_end_it() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let life = incarnation(&w, node);
    let job = w.submit(|s| s.array = array(1));
    w.assign(job, node, 1, false);
    for (boot, replaces) in [("b", None), ("other", None), ("b", Some(Incarnation(life.0 + 1)))] {
        let reply = again(&mut w, node, boot, replaces);
        assert_eq!(reply, Reply::Rejected(Rejection::StillAlive("a".into())), "{boot} {replaces:?}");
        assert!(w.state.is_alive(node, life));
        assert_eq!(w.phase(job, 0), Phase::Running, "nothing is given away early");
    }
    assert!(matches!(again(&mut w, node, "b", Some(life)), Reply::Registered { .. }));
    assert_eq!(w.phase(job, 0), Phase::Pending);
    let Some(life) = w.state.node(node).unwrap().head.status.incarnation() else {
        panic!("it has registered")
    };
    w.apply(Command::Lost { node, incarnation: life, silent_ms: 0 });
    assert!(matches!(again(&mut w, node, "other", None), Reply::Registered { .. }), "nobody is left");
    w.check();
}

#[test]
fn a_quarantined_node_keeps_what_it_runs_and_gets_nothing() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let life = incarnation(&w, node);
    let job = w.submit(|s| s.array = array(5));
    w.assign(job, node, 1, false);
    w.assign(job, node, 1, true);
    let quarantine = |w: &mut World, rival: Option<&str>| {
        w.apply(Command::Quarantine { node, incarnation: life, rival: rival.map(str::to_owned) })
    };
    let state = |w: &World| w.state.view().node(node).unwrap().status.state();
    assert_eq!(quarantine(&mut w, Some("other")), Reply::Done);
    assert_eq!(state(&w), NodeState::Quarantined);
    assert_eq!((w.assign(job, node, 1, false), w.assign(job, node, 1, true)), (0, 0));
    assert_eq!((w.phase(job, 0), w.phase(job, 1)), (Phase::Running, Phase::Queued));
    let orders: Vec<AgentOrder> = w.state.orders_after(node, 0).iter().map(|due| due.order).collect();
    assert_eq!(orders, [AgentOrder::Recall], "what it only holds comes back");
    w.check();

    quarantine(&mut w, None);
    assert_eq!((state(&w), w.assign(job, node, 1, false)), (NodeState::Up, 1));
    quarantine(&mut w, Some("other"));
    w.apply(Command::Drain { node, draining: false, reason: String::new(), by: "op".into() });
    assert_eq!(state(&w), NodeState::Up, "a person vouches for it");
    quarantine(&mut w, Some("other"));
    again(&mut w, node, "b", Some(life));
    assert_eq!(state(&w), NodeState::Quarantined, "a restart of one of them leaves the other");
    let stale = quarantine(&mut w, None);
    assert_eq!(stale, Reply::Rejected(Rejection::StaleIncarnation(life)));
    let Some(life) = w.state.node(node).unwrap().head.status.incarnation() else {
        panic!("it has registered")
    };
    w.apply(Command::Lost { node, incarnation: life, silent_ms: 0 });
    again(&mut w, node, "other", None);
    assert_eq!(state(&w), NodeState::Up, "the other one is left");
    w.check();
}

#[test]
fn a_node_takes_no_work_while_its_agent_cannot_run_any_or_is_stopping() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let incarnation = incarnation(&w, node);
    let job = w.submit(|s| s.array = array(3));
    let health =
        |unfit: Option<&str>| Command::NodeHealth { node, incarnation, unfit: unfit.map(str::to_owned) };
    w.apply(health(Some("its keeper does not answer")));
    let shown = w.state.view().node(node).unwrap().takes_work().unwrap_err().to_string();
    assert_eq!(shown, "not ready: its keeper does not answer");
    assert_eq!(w.assign(job, node, 1, false), 0);
    w.check();
    w.apply(health(None));
    assert_eq!(w.assign(job, node, 1, false), 1);
    w.apply(Command::Ending { node, incarnation });
    let shown = w.state.view().node(node).unwrap().takes_work().unwrap_err().to_string();
    assert_eq!(shown, "not ready: its agent is stopping");
    assert_eq!(w.assign(job, node, 1, false), 0);
    w.check();
}

#[test]
fn what_a_leaving_agent_did_not_report_never_started() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let incarnation = incarnation(&w, node);
    let once = w.submit(|s| {
        s.array = array(2);
        s.on_agent_lost = OnAgentLost::Fail;
    });
    w.assign(once, node, 1, false);
    w.assign(once, node, 1, true);
    w.apply(Command::Left { node, incarnation });
    for index in 0..2 {
        let record = record(&w, once, index);
        assert_eq!((record.phase, record.attempt, record.outcome()), (Phase::Pending, 0, None), "{index}");
    }
    assert_eq!(w.state.job(once).unwrap().eligible(), 2, "at once");
    w.check();
}

#[test]
fn what_the_infrastructure_ends_is_tried_again_later_and_later_and_not_for_ever() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let job = w.submit(|s| s.retry.max = 0);
    let mut waits = Vec::new();
    for attempt in 1..=INFRASTRUCTURE_RETRIES_MAX + 1 {
        assert_eq!(w.assign(job, node, 1, false), 1, "attempt {attempt}");
        let held = w.agents.get_mut(&node).unwrap().held.remove(0);
        match attempt % 3 {
            0 => lose(&mut w, node, 0),
            1 => drop(w.report(node, vec![finished(held, Outcome::KeeperLost)])),
            _ => drop(w.report(node, vec![finished(held, Outcome::LeaseLost)])),
        }
        if w.agents[&node].held.is_empty() && !w.state.is_alive(node, incarnation(&w, node)) {
            w.register("a", 1);
        }
        let Some(due) = w.state.next_deadline().filter(|_| !w.state.job(job).unwrap().is_finished()) else {
            break;
        };
        assert_eq!(w.assign(job, node, 1, false), 0, "not before its time");
        waits.push(due - w.now_ms);
        w.now_ms = due;
        w.apply(Command::Pulse);
        w.check();
    }
    assert_eq!(waits.len() as u32, INFRASTRUCTURE_RETRIES_MAX);
    assert_eq!(waits[..3], [1, 2, 4].map(|n| n * INFRASTRUCTURE_BACKOFF_MS));
    assert_eq!(waits.last(), Some(&INFRASTRUCTURE_BACKOFF_MS_MAX));
    assert!(waits.is_sorted());
    assert_eq!(w.phase(job, 0), Phase::Failed);
}

#[test]
fn an_attempt_that_nobody_saw_end_ran_until_its_agent_was_last_heard_of() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| s.array = array(4));
    w.now_ms = 1_000;
    w.assign(job, node, 3, false);
    w.now_ms = 5_000;
    let held: Vec<Held> = w.agents[&node].held.clone();
    held[..2].iter().for_each(|held| began(&mut w, node, *held));
    // The keeper died at 9 s; nobody saw how this one ended.
    w.now_ms = 9_000;
    let end = AttemptEnd {
        outcome: Outcome::KeeperLost,
        code: 0,
        started_wall_ms: 0,
        ran_ms: 0,
        cpu_ms: 0,
        max_rss_kib: 0,
        limit_ms: 0,
        cut: CutOutput::default(),
    };
    w.report(node, vec![Item::Finished(Finish { task: held[1].task, fence: held[1].fence, end })]);
    // The agent is declared lost at 29 s, 17 s after its last heartbeat.
    w.now_ms = 29_000;
    lose(&mut w, node, 17_000);
    let end = |index| record(&w, job, index).end().unwrap();
    let times = |end: AttemptEnd| (end.started_wall_ms, end.ran_ms, end.code);
    assert_eq!(times(end(0)), (1_005_000, 7_000, AttemptEnd::NOT_SEEN));
    assert_eq!(times(end(1)), (1_005_000, 4_000, AttemptEnd::NOT_SEEN));
    let unseen = end(2);
    assert_eq!((unseen.started_wall_ms, unseen.ran_ms), (0, 0), "its start was never heard of");
    w.check();
}

#[test]
fn what_came_back_unstarted_waits_for_nothing() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| s.array = array(1));
    w.assign(job, node, 1, false);
    let held = w.agents.get_mut(&node).unwrap().held.remove(0);
    began(&mut w, node, held);
    w.report(node, vec![Item::Returned(Returned { task: held.task, fence: held.fence })]);
    assert_eq!((record(&w, job, 0).attempt, w.state.job(job).unwrap().eligible()), (0, 1));
    assert_eq!(w.assign(job, node, 1, false), 1);
    w.check();
}
