//! Nodes that are shut out, and come back by joining anew.

use crate::world::{World, array};
use taskyard_model::{Outcome, limits};
use taskyard_state::{Command, Phase, Rejection, Reply};

fn remove(w: &mut World, name: &str, force: bool) -> Reply {
    let reply = w.apply(Command::RemoveNode { name: name.into(), force });
    w.check();
    reply
}

#[test]
fn only_what_is_down_or_drained_is_removed_unasked() {
    let mut w = World::default();
    let busy = |name: &str| Reply::Rejected(Rejection::NodeBusy(name.into()));
    assert_eq!(remove(&mut w, "a", false), Reply::Rejected(Rejection::NoNodeNamed("a".into())));
    let a = w.register("a", 4);
    assert_eq!(remove(&mut w, "a", false), busy("a"));
    let job = w.submit(|_| {});
    assert_eq!(w.assign(job, a, 1, false), 1);
    w.apply(Command::Drain { node: a, draining: true, reason: String::new(), by: "op".into() });
    assert_eq!(remove(&mut w, "a", false), busy("a"), "something runs there");
    w.finish(a, 0, Outcome::Succeeded);
    assert_eq!(remove(&mut w, "a", false), Reply::Done);

    let b = w.register("b", 4);
    let incarnation = w.agents[&b].incarnation;
    w.apply(Command::Lost { node: b, incarnation, silent_ms: 0 });
    assert_eq!(remove(&mut w, "b", false), Reply::Done, "it is down");
    assert_eq!(remove(&mut w, "b", false), Reply::Done, "once more is no mistake");
    assert_eq!(remove(&mut w, "never-came", true), Reply::Done, "its certificate may be on its way");
    assert!(w.state.is_node_removed("never-came", w.index - 1));
}

#[test]
fn what_runs_on_a_removed_node_ends_with_its_lease_and_not_before() {
    let mut w = World::default();
    let a = w.register("a", 4);
    let job = w.submit(|spec| spec.array = array(8));
    assert_eq!(w.assign(job, a, 2, false), 2);
    assert_eq!(remove(&mut w, "a", true), Reply::Done);
    assert_eq!((w.phase(job, 0), w.assign(job, a, 1, false)), (Phase::Running, 0), "it gets nothing more");
    let incarnation = w.agents[&a].incarnation;
    assert!(w.state.is_alive(a, incarnation), "it may still run them");
    w.apply(Command::Lost { node: a, incarnation, silent_ms: 0 });
    w.check();
    assert_eq!(w.phase(job, 0), Phase::Pending);
}

#[test]
fn who_joins_after_the_removal_is_another() {
    let mut w = World::default();
    w.apply(Command::Tick);
    let joined = w.index;
    assert!(matches!(w.try_register("a", 4, Some(joined)), Reply::Registered { .. }));
    let node = w.state.node_named("a").expect("known").head.id;
    w.apply(Command::Drain { node, draining: true, reason: String::new(), by: "op".into() });
    assert_eq!(remove(&mut w, "a", false), Reply::Done);
    for before in [0, joined, w.index - 1] {
        let refused = Reply::Rejected(Rejection::NodeRemoved("a".into()));
        assert_eq!(w.try_register("a", 4, Some(before)), refused);
    }
    assert!(w.state.node_named("a").expect("known").head.status.is_removed());
    w.apply(Command::Tick);
    assert!(matches!(w.try_register("a", 4, Some(w.index)), Reply::Registered { .. }));
    w.check();
    let head = &w.state.node_named("a").expect("known").head;
    assert!(!head.status.is_removed() && head.status.drained().is_none(), "another machine has its name");
    assert!(w.state.is_node_removed("a", joined), "the old key is as bad as before");
    assert!(!w.state.is_node_removed("b", 0));
}

#[test]
fn names_that_were_removed_are_bounded() {
    let mut w = World::default();
    for n in 0..limits::NODES_REMOVED_MAX {
        w.apply(Command::RemoveNode { name: format!("n{n}"), force: true });
    }
    let most = limits::NODES_REMOVED_MAX as u64;
    assert_eq!(remove(&mut w, "one-more", true), Reply::Rejected(Rejection::Limit("removed nodes", most)));
    assert_eq!(remove(&mut w, "n7", true), Reply::Done);
}
