//! Queues, pools and shares: what they let in, what can be deleted, and what changes for jobs that wait.

use crate::world::{World, array};
use taskyard_model::{Constraint, Discipline, PoolConfig, PoolId, QueueConfig};
use taskyard_state::{Change, Command, Rejection, Reply};

fn set_queue(w: &mut World, name: &str, config: QueueConfig) -> Reply {
    w.apply(Command::SetQueue { name: name.into(), config })
}

fn set_pool(w: &mut World, name: &str, nodes: &str) -> Reply {
    let nodes =
        if nodes.is_empty() { Constraint::default() } else { Constraint::parse("nodes", nodes).unwrap() };
    let config = PoolConfig { discipline: Discipline::Strict, nodes, ..PoolConfig::default() };
    w.apply(Command::SetPool { name: name.into(), config })
}

#[test]
fn a_queue_limits_its_jobs() {
    let mut w = World::default();
    let config = QueueConfig {
        default_limit_ms: Some(5_000),
        max_limit_ms: Some(9_000),
        max_cpu_milli: Some(2_000),
        ..QueueConfig::default()
    };
    set_queue(&mut w, "default", config);
    let job = w.submit(|_| {});
    assert_eq!(w.state.job(job).unwrap().spec.time_limit_ms, Some(5_000));
    let refused = |w: &mut World, change: &dyn Fn(&mut taskyard_model::JobSpec)| match w.try_submit(change) {
        Reply::Rejected(Rejection::Unfit(invalid)) => invalid.field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut w, &|s| s.time_limit_ms = Some(9_001)), "time_limit");
    assert_eq!(refused(&mut w, &|s| s.request.amounts.cpu_milli = 2_001), "cpus");
    let change = Change { time_limit_ms: Some(10_000), ..Change::default() };
    let Reply::Rejected(Rejection::Unfit(invalid)) = w.apply(Command::Update { job, change }) else {
        panic!()
    };
    assert_eq!(invalid.field, "time_limit");
    assert_eq!(w.state.job(job).unwrap().spec.time_limit_ms, Some(5_000), "nothing is half-applied");
    w.check();
}

#[test]
fn a_queue_without_jobs_can_be_deleted_and_made_again() {
    let mut w = World::default();
    let delete = |w: &mut World, name: &str| w.apply(Command::DeleteQueue { name: name.into() });
    set_queue(&mut w, "gpu", QueueConfig::default());
    let job = w.submit(|s| s.queue = "gpu".into());
    assert_eq!(delete(&mut w, "gpu"), Reply::Rejected(Rejection::QueueBusy { queue: "gpu".into(), jobs: 1 }));
    assert_eq!(
        delete(&mut w, "default"),
        Reply::Rejected(Rejection::QueueBusy { queue: "default".into(), jobs: 0 })
    );
    w.apply(Command::Cancel { job, tasks: Vec::new(), now: false });
    assert_eq!(delete(&mut w, "gpu"), Reply::Done);
    assert_eq!(w.try_submit(|s| s.queue = "gpu".into()), Reply::Rejected(Rejection::NoQueue("gpu".into())));
    assert_eq!(
        w.state.queue_name(w.state.job(job).unwrap().head.queue),
        "gpu",
        "what it was called is remembered"
    );
    w.check();
    set_queue(&mut w, "gpu", QueueConfig { tier: 3, ..QueueConfig::default() });
    w.submit(|s| s.queue = "gpu".into());
    assert_eq!(w.state.view().queues.len(), 2);
    w.check();
}

#[test]
fn nodes_belong_to_the_pool_that_selects_them() {
    let mut w = World::default();
    let (a, b) = (w.register("a", 2), w.register("b", 2));
    let pools = |w: &World| [a, b].map(|n| w.state.view().node(n).unwrap().pool);
    assert_eq!(set_pool(&mut w, "fast", "name == b"), Reply::Done);
    w.check();
    assert_eq!(pools(&w), [PoolId(1), PoolId(2)]);
    let config = QueueConfig { pool: Some("fast".into()), ..QueueConfig::default() };
    assert_eq!(set_queue(&mut w, "q", config.clone()), Reply::Done);
    let unknown = QueueConfig { pool: Some("slow".into()), ..config };
    assert_eq!(set_queue(&mut w, "q", unknown), Reply::Rejected(Rejection::NoPool("slow".into())));
    let delete = |w: &mut World| w.apply(Command::DeletePool { name: "fast".into() });
    let busy = Rejection::PoolBusy { pool: "fast".into(), queues: vec!["q".into()] };
    assert_eq!(delete(&mut w), Reply::Rejected(busy));
    set_queue(&mut w, "q", QueueConfig::default());
    assert_eq!(delete(&mut w), Reply::Done);
    assert_eq!(pools(&w), [PoolId(1), PoolId(1)]);
    w.check();
}

#[test]
fn a_queue_s_nodes_bind_jobs_that_wait() {
    let mut w = World::default();
    let job = w.submit(|_| {});
    let constraint = |w: &World| {
        let view = w.state.view();
        view.class(view.jobs[&job].class).unwrap().constraint.to_string()
    };
    assert_eq!(constraint(&w), "");
    let nodes = Some(Constraint::parse("nodes", "zone == x").unwrap());
    set_queue(&mut w, "default", QueueConfig { nodes, ..QueueConfig::default() });
    assert_eq!(constraint(&w), "zone == x");
    w.check();
    set_queue(&mut w, "default", QueueConfig::default());
    assert_eq!(constraint(&w), "");
    w.check();
}

#[test]
fn use_is_counted_for_users_and_accounts_and_halves() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let job = w.submit(|s| (s.account, s.array) = (Some("physics".into()), array(4)));
    w.assign(job, node, 2, false);
    w.apply(Command::SetHalfLife { ms: 1_000 });
    w.now_ms += 1_000;
    w.apply(Command::SetShare { account: "physics".into(), user: Some("ann".into()), weight: 7 });
    w.apply(Command::SetShare { account: "physics".into(), user: None, weight: 9 });
    w.finish(node, 0, taskyard_model::Outcome::Succeeded);
    w.check();
    let view = w.state.view();
    let (account, party) = (&view.accounts[0], &view.parties[0]);
    assert_eq!((account.weight, account.weights, party.weight), (9, 7, 7));
    assert_eq!((party.usage.level >> 30, party.usage.size), (1_000, 1_000));
    assert_eq!(account.usage, party.usage);
}

#[test]
fn a_broadcast_has_one_task_for_each_node() {
    let mut w = World::default();
    let refused = w.try_submit(|s| s.affinity.broadcast = true);
    assert!(
        matches!(&refused, Reply::Rejected(Rejection::Unfit(invalid)) if invalid.field == "broadcast"),
        "{refused:?}"
    );
    let (a, b, c) = (w.register("a", 2), w.register("b", 2), w.register("c", 1));
    let job = w.submit(|s| {
        s.affinity.broadcast = true;
        s.request.amounts.cpu_milli = 2_000;
        s.retry = taskyard_model::Retry { max: 1, backoff_ms: 0 };
    });
    assert_eq!(w.state.job(job).unwrap().tasks(), 2, "c is too small");
    assert_eq!(w.assign(job, c, 1, false), 0);
    assert_eq!(w.assign(job, b, 2, false), 1);
    w.check();
    assert_eq!(w.assign(job, b, 1, false), 0, "the other task is for a");
    w.finish(b, 0, taskyard_model::Outcome::Exited);
    w.check();
    assert_eq!(w.assign(job, b, 1, false), 1, "a failed task is tried again where it belongs");
    w.finish(b, 0, taskyard_model::Outcome::Succeeded);
    assert_eq!(w.assign(job, a, 1, false), 1);
    w.finish(a, 0, taskyard_model::Outcome::Succeeded);
    assert!(w.state.job(job).unwrap().is_finished());
    w.check();
}

#[test]
fn nothing_is_assigned_that_may_outlast_the_begin_of_maintenance() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let wall_ms = w.state.wall_ms();
    let nodes = Constraint::parse("nodes", "name == a").unwrap();
    let window =
        taskyard_state::Maintenance { nodes, from_wall_ms: wall_ms + 1_000, until_wall_ms: wall_ms + 2_000 };
    w.apply(Command::SetMaintenance { name: "disks".into(), window });
    let short = w.submit(|s| s.time_limit_ms = Some(900));
    let long = w.submit(|s| s.time_limit_ms = Some(1_100));
    assert_eq!((w.assign(short, node, 1, false), w.assign(long, node, 1, false)), (1, 0));
    w.check();
    w.now_ms += 2_000;
    assert_eq!(w.assign(long, node, 1, false), 1, "it is over");
    let gone = |w: &mut World| w.apply(Command::DeleteMaintenance { name: "disks".into() });
    assert_eq!(gone(&mut w), Reply::Done);
    assert_eq!(gone(&mut w), Reply::Rejected(Rejection::NoMaintenance("disks".into())));
    w.check();
}
