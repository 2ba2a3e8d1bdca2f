//! What the nodes of a queue let a job expect: that no node could ever run it, with the nearest possible, or that nobody knows the nodes yet.

use crate::world::World;
use taskyard_model::{
    Amounts, Capacity, Constraint, Invalid, JobSpec, NodeId, NodeState, PoolConfig, QueueConfig,
};
use taskyard_state::{Change, Command, Prospect, Register, Reply};

const GIB: u64 = 1 << 30;

/// A node with cpus, GiB of memory, GPUs and a zone.
fn node(w: &mut World, name: &str, (cpus, gib, gpus): (u64, u64, u32), zone: &str) -> NodeId {
    let amounts = Amounts { cpu_milli: cpus * 1_000, memory: gib * GIB, ..Amounts::default() };
    let register = Register {
        name: name.into(),
        agent_uuid: name.into(),
        boot_id: "boot".into(),
        capacity: Capacity { amounts, gpus },
        labels: [("name", name), ("zone", zone)].map(|(k, v)| (k.into(), v.into())).into(),
        isolation: String::new(),
        lease_ms: 15_000,
        joined: None,
        replaces: None,
        unfit: None,
    };
    match w.apply(Command::Register(Box::new(register))) {
        Reply::Registered { node, .. } => node,
        other => panic!("{other:?}"),
    }
}

/// Why no node could ever run such a job, if so.
fn impossible(w: &World, change: impl FnOnce(&mut JobSpec)) -> Option<Invalid> {
    let mut spec = JobSpec::command(vec!["true".into()]);
    change(&mut spec);
    match w.state.prospect(&spec).unwrap() {
        Prospect::Impossible(why) => Some(why),
        _ => None,
    }
}

fn ask(cpus: u64, gib: u64) -> impl Fn(&mut JobSpec) {
    move |s| {
        s.request.amounts.cpu_milli = cpus * 1_000;
        s.request.amounts.memory = gib * GIB;
    }
}

#[test]
fn what_no_node_could_hold_is_told_with_the_nearest() {
    let mut w = World::default();
    assert_eq!(impossible(&w, ask(900, 900)), None, "nobody knows the nodes yet");
    node(&mut w, "small", (64, 16, 0), "a");
    node(&mut w, "large", (8, 64, 2), "b");
    for fine in [ask(64, 16), ask(8, 64)] {
        assert_eq!(impossible(&w, fine), None);
    }
    let check = |change: &dyn Fn(&mut JobSpec), field: &str, value: &str, parts: &[&str]| {
        let invalid = impossible(&w, change).unwrap();
        assert_eq!((invalid.field.as_str(), invalid.value.as_str()), (field, value));
        for part in parts {
            assert!(invalid.remedy.contains(part), "{part}: {invalid}");
        }
    };
    let only =
        |text: &'static str| move |s: &mut JobSpec| s.constraint = Constraint::parse("c", text).unwrap();
    check(
        &ask(1, 900),
        "memory",
        "900GiB",
        &["pool default has", "large comes closest", "at most 64GiB of memory"],
    );
    // Each has one of them: the nearest lacks least of the other.
    check(&ask(16, 40), "cpus", "16", &["large comes closest: request at most 8 CPUs"]);
    check(&ask(128, 128), "cpus", "128", &["at most 64 CPUs, request at most 16GiB of memory"]);
    check(&|s| s.request.gpu_milli = 3_000, "gpus", "3", &["large comes closest: request at most 2 GPUs"]);
    let licence = |s: &mut JobSpec| s.request.amounts.named = [("licence".into(), 1)].into();
    check(&licence, "resources", "licence=1", &["request no licence"]);
    check(&only("zone == c"), "constraint", "zone == c", &["no node of pool default meets \"zone == c\""]);
    check(&only("zone == b && x > 3"), "constraint", "zone == b && x > 3", &["large", "without \"x > 3\""]);
    let here = |s: &mut JobSpec| {
        only("zone == a")(s);
        ask(1, 32)(s);
    };
    check(&here, "memory", "32GiB", &["that meets the constraint", "small comes closest", "16GiB"]);
}

#[test]
fn a_node_that_is_down_comes_back_and_a_removed_one_does_not() {
    let mut w = World::default();
    let a = node(&mut w, "a", (4, 4, 0), "a");
    let of = |cpus| {
        let mut spec = JobSpec::command(vec!["true".into()]);
        ask(cpus, 4)(&mut spec);
        spec
    };
    assert_eq!(w.state.prospect(&of(4)), Some(Prospect::Runs));
    let incarnation = w.state.node(a).unwrap().head.status.incarnation().unwrap();
    w.apply(Command::Lost { node: a, incarnation, silent_ms: 0 });
    assert_eq!(w.state.prospect(&of(4)), Some(Prospect::Away([NodeState::Down].into())));
    assert!(impossible(&w, ask(5, 4)).is_some());
    w.apply(Command::RemoveNode { name: "a".into(), force: true });
    assert_eq!(w.state.prospect(&of(5)), Some(Prospect::NoNodes("default".into())));
    assert_eq!(w.state.prospect(&JobSpec { queue: "none".into(), ..of(1) }), None);
}

#[test]
fn the_log_takes_what_no_node_could_hold() {
    let mut w = World::default();
    node(&mut w, "a", (4, 4, 0), "a");
    w.apply(Command::SetQueue { name: "other".into(), config: QueueConfig::default() });
    let job = w.submit(ask(8, 1));
    let change = Change { queue: Some("other".into()), ..Change::default() };
    assert_eq!(w.apply(Command::Update { job, change }), Reply::Changed { tasks: 1 });
    w.check();
}

#[test]
fn only_the_nodes_of_the_queue_count() {
    let mut w = World::default();
    node(&mut w, "a", (4, 4, 0), "a");
    let zone = |z: &str| Constraint::parse("nodes", &format!("zone == {z}")).unwrap();
    let pool = PoolConfig { nodes: zone("b"), ..PoolConfig::default() };
    w.apply(Command::SetPool { name: "pool-b".into(), config: pool });
    let queue = |pool: &str, nodes| QueueConfig { pool: Some(pool.into()), nodes, ..QueueConfig::default() };
    w.apply(Command::SetQueue { name: "b".into(), config: queue("pool-b", None) });
    w.apply(Command::SetQueue { name: "c".into(), config: queue("default", Some(zone("c"))) });
    let to = |queue: &'static str| move |s: &mut JobSpec| s.queue = queue.into();
    assert_eq!(impossible(&w, to("b")), None, "pool-b has no nodes yet");
    node(&mut w, "b", (2, 2, 0), "b");
    assert_eq!(impossible(&w, to("b")), None);
    let big = |s: &mut JobSpec| {
        to("b")(s);
        ask(4, 0)(s);
    };
    assert!(impossible(&w, big).unwrap().remedy.contains("no node of pool pool-b has that much"));
    let invalid = impossible(&w, to("c")).unwrap();
    assert!(invalid.field == "queue" && invalid.remedy.contains("\"zone == c\" only"), "{invalid}");
}
