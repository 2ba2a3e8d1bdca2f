//! The core against a driver and a server that are as simple as can be, both of which may lag behind.

mod scripts;

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::spec::ArraySpec;

const GROUPS: u32 = 2;

#[derive(Default)]
struct Driver {
    /// Orders not read yet.
    inbox: VecDeque<Action>,
    held: BTreeMap<u32, VecDeque<Order>>,
    running: BTreeMap<u64, Order>,
    events: Vec<DriverEvent>,
}

impl Driver {
    fn take(&mut self, action: Action) {
        match action {
            Action::Prepare(_, order) if order.run => self.start(order),
            Action::Prepare(_, order) => self.held.entry(order.group).or_default().push_back(order),
            Action::Start(_, key) => {
                if let Some(order) = self.take_held(key) {
                    self.start(order);
                }
            }
            Action::Recall(_, key) if self.take_held(key).is_some() => {
                self.events.push(DriverEvent::Returned(key));
            }
            Action::Stop(_, key, why) => {
                if self.take_held(key).is_some() {
                    self.events.push(DriverEvent::Returned(key));
                } else if self.running.contains_key(&key) {
                    self.end(key, why, true);
                }
            }
            _ => {}
        }
    }

    fn take_held(&mut self, key: u64) -> Option<Order> {
        self.held.values_mut().find_map(|queue| {
            let at = queue.iter().position(|o| o.key == key)?;
            queue.remove(at)
        })
    }

    fn start(&mut self, order: Order) {
        let same = |o: &Order| (o.job, o.index) == (order.job, order.index);
        assert!(!self.running.values().any(same), "two live attempts of {order:?}");
        self.running.insert(order.key, order);
    }

    fn end(&mut self, key: u64, outcome: Outcome, chain: bool) {
        let order = self.running.remove(&key).unwrap();
        let next = if chain { self.held.get_mut(&order.group).and_then(VecDeque::pop_front) } else { None };
        self.events.push(DriverEvent::Ended(ended(key, outcome, next.as_ref().map(|n| n.key))));
        next.into_iter().for_each(|next| self.start(next));
    }
}

fn ended(key: u64, outcome: Outcome, next: Option<u64>) -> crate::orders::Ended {
    crate::orders::Ended {
        key,
        outcome,
        code: 0,
        started_wall_ms: 0,
        ran_ms: 0,
        cpu_ms: 0,
        max_rss_kib: 0,
        limit_ms: 0,
        cut: Default::default(),
        next,
    }
}

/// What `apply` does with assignments and reports.
#[derive(Default)]
struct Server {
    /// Fence, group, and whether it has a place.
    live: BTreeMap<TaskRef, (Fence, u32, bool)>,
    places: BTreeMap<u32, u32>,
    applied_seq: u64,
    over: BTreeMap<(TaskRef, Fence), u32>,
    fence: u64,
    next: u32,
}

impl Server {
    fn apply(&mut self, seq: u64, items: &[Item]) {
        if seq <= self.applied_seq {
            return;
        }
        assert_eq!(seq, self.applied_seq + 1, "reports have no gaps");
        self.applied_seq = seq;
        let mut vacant: BTreeMap<u32, u32> = BTreeMap::new();
        for item in items {
            match item {
                Item::Started(start) => {
                    let (fence, group, placed) =
                        self.live.get_mut(&start.task).expect("a live attempt starts");
                    assert_eq!(*fence, start.fence);
                    if !*placed {
                        let free = vacant.get_mut(group).filter(|n| **n > 0);
                        *free.expect("a successor starts in the report of the end before it") -= 1;
                        *placed = true;
                    }
                }
                Item::Finished(Finish { task, fence, .. }) | Item::Returned(Returned { task, fence }) => {
                    *self.over.entry((*task, *fence)).or_default() += 1;
                    let Some((live, group, placed)) = self.live.remove(task) else { continue };
                    assert_eq!(live, *fence);
                    if placed {
                        *vacant.entry(group).or_default() += 1;
                    }
                }
            }
        }
        for (group, count) in vacant {
            *self.places.get_mut(&group).unwrap() -= count;
        }
    }
}

use taskyard_model::report::{Finish, Returned};

struct World {
    core: AgentCore,
    driver: Driver,
    server: Server,
    now: Now,
    connected: bool,
    sessions: u64,
}

impl World {
    fn new() -> World {
        let mut world = World {
            core: AgentCore::new(0),
            driver: Driver::default(),
            server: Server::default(),
            now: Now { boot_ms: 1_000, wall_ms: 5 },
            connected: false,
            sessions: 0,
        };
        world.connect();
        world
    }

    fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.core.step(self.now, input, &mut actions);
        for action in actions {
            match action {
                Action::Report { seq, items } if self.connected => self.server.apply(seq, &items),
                Action::Report { .. } => panic!("a report without a session"),
                Action::Journal(_) => {}
                action => self.driver.inbox.push_back(action),
            }
        }
        let owned: BTreeMap<u32, u32> =
            self.core.groups.all.iter().map(|(number, group)| (*number, group.places)).collect();
        for (group, places) in owned {
            let assigned = self.server.places.get(&group).copied().unwrap_or(0);
            assert!(places <= assigned, "group {group} owns {places} of {assigned} places");
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        self.sessions += 1;
        self.step(Input::Welcome(Welcome {
            node: taskyard_model::NodeId(1),
            incarnation: Incarnation(1),
            term: 1,
            session: self.sessions,
            lease_ms: 15_000,
            heartbeat_ms: 3_000,
            cluster: None,
        }));
        let mut all: Vec<_> = self.server.live.iter().map(|(t, l)| (l.0, *t, l.1, l.2)).collect();
        all.sort_unstable_by_key(|(fence, task, ..)| (*fence, *task));
        for (fence, task, group, placed) in all {
            self.send(task.job, task.index, 1, fence, group, !placed);
        }
    }

    fn send(&mut self, job: JobId, first: u32, count: u32, fence: Fence, group: u32, prefetched: bool) {
        let mut spec = JobSpec::command(vec!["x".into()]);
        spec.array = ArraySpec { count: u32::MAX, ..ArraySpec::single() };
        self.step(Input::Job { job, spec: Arc::new(spec) });
        let run = StartRun { job, first, count, attempt: 1, fence, prefetched, group, gpus: vec![] };
        self.step(Input::Start { term: 1, session: self.sessions, runs: vec![run] });
    }

    fn assign(&mut self, group: u32, count: u32, prefetched: bool) {
        if !self.connected || (prefetched && self.server.places.get(&group).is_none_or(|n| *n == 0)) {
            return;
        }
        self.server.fence += 1;
        let (first, fence) = (self.server.next, Fence(self.server.fence));
        self.server.next += count;
        let job = JobId(u64::from(group) + 1);
        for index in first..first + count {
            self.server.live.insert(TaskRef { job, index }, (fence, group, !prefetched));
        }
        if !prefetched {
            *self.server.places.entry(group).or_default() += count;
        }
        self.send(job, first, count, fence, group, prefetched);
    }

    fn grant(&mut self) {
        let granted = Granted {
            sent_boot_ms: self.now.boot_ms,
            remaining_ms: 15_000,
            incarnation: Incarnation(1),
            term: 1,
            session: self.sessions,
        };
        self.step(Input::Granted(granted));
    }

    fn drive(&mut self, orders: usize) {
        for _ in 0..orders {
            let Some(action) = self.driver.inbox.pop_front() else { return };
            self.driver.take(action);
        }
    }

    fn deliver(&mut self) {
        let events = std::mem::take(&mut self.driver.events);
        self.step(Input::Happened(DriverKind::Process, events));
    }

    fn any_live(&self, pick: u32) -> Option<(TaskRef, Fence)> {
        let count = self.server.live.len().max(1);
        self.server.live.iter().nth(pick as usize % count).map(|(task, live)| (*task, live.0))
    }
}

#[derive(Debug, Clone)]
enum Op {
    Assign(u32, u32, bool),
    Grant,
    Drive(usize),
    End(u32, bool),
    Deliver,
    Time(u64),
    Cancel(u32),
    Recall(u32),
    Cut,
    Connect,
    Ack,
    KeeperLost,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..GROUPS, 1..4u32, any::<bool>()).prop_map(|(g, n, a)| Op::Assign(g, n, a)),
        2 => Just(Op::Grant),
        4 => (1..6usize).prop_map(Op::Drive),
        6 => (any::<u32>(), prop::bool::weighted(0.9)).prop_map(|(n, chain)| Op::End(n, chain)),
        4 => Just(Op::Deliver),
        3 => prop_oneof![Just(1u64), Just(6), Just(12_000)].prop_map(Op::Time),
        1 => any::<u32>().prop_map(Op::Cancel),
        1 => (0..GROUPS).prop_map(Op::Recall),
        1 => Just(Op::Cut),
        2 => Just(Op::Connect),
        2 => Just(Op::Ack),
        1 => Just(Op::KeeperLost),
    ]
}

fn run(world: &mut World, op: Op) {
    match op {
        Op::Assign(group, count, prefetched) => world.assign(group, count, prefetched),
        Op::Grant if world.connected => world.grant(),
        Op::Drive(orders) => world.drive(orders),
        Op::End(pick, chain) => {
            let keys: Vec<u64> = world.driver.running.keys().copied().collect();
            if let Some(key) = keys.get(pick as usize % keys.len().max(1)) {
                world.driver.end(*key, Outcome::Succeeded, chain);
            }
        }
        Op::Deliver => world.deliver(),
        Op::Time(ms) => {
            world.now.boot_ms += ms;
            world.step(Input::Tick);
        }
        Op::Cancel(pick) if world.connected => {
            if let Some((task, fence)) = world.any_live(pick) {
                world.step(Input::Cancel { task, fence, now: false });
            }
        }
        Op::Recall(group) if world.connected => {
            world.step(Input::Recall { job: JobId(u64::from(group) + 1), fence: Fence(u64::MAX) });
        }
        Op::Cut => {
            world.connected = false;
            world.step(Input::Closed);
        }
        Op::Connect if !world.connected => world.connect(),
        Op::Ack if world.connected => world.step(Input::Ack { seq: world.server.applied_seq }),
        Op::KeeperLost => {
            world.driver = Driver::default();
            world.step(Input::Happened(DriverKind::Process, vec![DriverEvent::Lost]));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_attempt_ends_once_and_no_place_is_used_twice(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| run(&mut world, op));
        // Then all faults stop, and everything ends.
        if !world.connected {
            world.connect();
        }
        for _ in 0..200 {
            world.now.boot_ms += 10;
            world.grant();
            world.drive(usize::MAX);
            let keys: Vec<u64> = world.driver.running.keys().copied().collect();
            keys.into_iter().for_each(|key| world.driver.end(key, Outcome::Succeeded, true));
            world.deliver();
            world.step(Input::Ack { seq: world.server.applied_seq });
        }
        prop_assert!(world.server.live.is_empty(), "never ended: {:?}", world.server.live);
        prop_assert!(world.core.is_settled());
        prop_assert!(world.server.places.values().all(|n| *n == 0), "{:?}", world.server.places);
        let tasks: BTreeSet<TaskRef> = world.server.over.keys().map(|(task, _)| *task).collect();
        prop_assert_eq!(tasks.len() as u32, world.server.next);
        prop_assert!(world.server.over.values().all(|n| *n == 1), "ended twice: {:?}", world.server.over);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn a_stop_ends_everything(ops in prop::collection::vec(op(), 1..60), lost in any::<bool>()) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| run(&mut world, op));
        world.step(if lost { Input::Lost } else { Input::Stop });
        for turn in 0..100 {
            // Nothing ends by itself; the driver is slow, and its places fall vacant one by one.
            world.drive(1 + turn % 3);
            world.deliver();
        }
        prop_assert!(world.core.is_quiet(), "{} run on", world.driver.running.len());
        prop_assert!(world.driver.running.is_empty() && world.driver.held.values().all(VecDeque::is_empty));
    }
}
