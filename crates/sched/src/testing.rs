//! Views in a line or two, and plans as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use taskyard_model::party::{HALF_LIFE_MS_DEFAULT, WEIGHT_DEFAULT};
use taskyard_model::policy::Orderable;
use taskyard_model::resources::place_gpus;
use taskyard_model::view::OnNode;
use taskyard_model::{
    AccountId, AccountView, Affinity, Amounts, Assignment, Capacity, ClassId, ClassView, Constraint, Drain,
    Gate, Incarnation, JobId, JobView, NodeId, NodeStatus, NodeView, PartyId, PartyView, Plan, PoolConfig,
    PoolId, PoolView, PrefetchedJob, QueueConfig, QueueId, QueueView, Request, SmallSet, Span, Usage, View,
    policy,
};

pub(crate) const GIB: u64 = 1 << 30;

/// A job to be.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) tasks: u32,
    pub(crate) request: Request,
    pub(crate) affinity: Affinity,
    pub(crate) constraint: String,
    pub(crate) queue: u32,
    pub(crate) owner: String,
    pub(crate) account: String,
    pub(crate) priority: i32,
    pub(crate) estimate_ms: Option<u64>,
    pub(crate) limit_ms: Option<u64>,
    pub(crate) submitted_ms: u64,
    pub(crate) max_running: Option<u32>,
    pub(crate) stopped: bool,
    pub(crate) gate: Gate,
    pub(crate) typical_us: Option<u64>,
}

/// Builds a view. Things that follow `node`, `queue` or `job` are about the last one.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now_ms: u64,
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) pools: Vec<PoolView>,
    pub(crate) queues: Vec<QueueView>,
    pub(crate) jobs: Vec<Job>,
    /// Node, job, count, held.
    assigned: Vec<(String, u64, u32, bool)>,
    recalled: Vec<(String, u64)>,
    /// Classes are numbered from the last job on.
    pub(crate) backwards: bool,
}

pub(crate) fn cluster() -> Cluster {
    Cluster {
        now_ms: 1_000,
        nodes: Vec::new(),
        pools: vec![pool_view(1, "default")],
        queues: vec![queue_view(1, "default")],
        jobs: Vec::new(),
        assigned: Vec::new(),
        recalled: Vec::new(),
        backwards: false,
    }
}

fn queue_view(id: u32, name: &str) -> QueueView {
    let pool = PoolId(1);
    QueueView {
        id: QueueId(id),
        name: name.into(),
        config: QueueConfig::default(),
        pool,
        running_cpu_milli: 0,
        heads: BTreeMap::new(),
        ages: BTreeMap::new(),
        deleted: false,
    }
}

fn pool_view(id: u32, name: &str) -> PoolView {
    PoolView { id: PoolId(id), name: name.into(), config: PoolConfig::default(), deleted: false }
}

/// The status of a node whose agent can run tasks.
pub(crate) fn alive(incarnation: Incarnation) -> NodeStatus {
    let mut status = NodeStatus::default();
    status.register(incarnation, None, false);
    status
}

impl Cluster {
    /// A node with `cpus` cores, and 2 GiB for each.
    pub(crate) fn node(mut self, name: &str, cpus: u64) -> Self {
        let amounts = Amounts { cpu_milli: cpus * 1_000, memory: cpus * 2 * GIB, named: BTreeMap::new() };
        let id = u32::try_from(self.nodes.len()).unwrap() + 1;
        self.nodes.push(NodeView {
            id: NodeId(id),
            name: name.into(),
            status: alive(Incarnation(u64::from(id))),
            pool: PoolId(1),
            alone: false,
            given: 0,
            maintenance: Vec::new(),
            free: amounts.clone(),
            capacity: Capacity { amounts, gpus: 0 },
            gpu_free: Vec::new(),
            labels: BTreeMap::new(),
            running: 0,
            prefetched: 0,
            by_class: BTreeMap::new(),
            prefetched_jobs: BTreeMap::new(),
            ends: BTreeMap::new(),
        });
        self
    }

    pub(crate) fn on_node(mut self, change: impl FnOnce(&mut NodeView)) -> Self {
        change(self.nodes.last_mut().unwrap());
        self
    }

    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        self.on_node(|n| drop(n.labels.insert(key.into(), value.into())))
    }

    pub(crate) fn gpus(self, gpus: u32) -> Self {
        self.on_node(|n| {
            n.capacity.gpus = gpus;
            n.gpu_free = vec![1_000; gpus as usize];
        })
    }

    pub(crate) fn resource(self, name: &str, count: u64) -> Self {
        self.on_node(|n| {
            n.capacity.amounts.named.insert(name.into(), count);
            n.free.named.insert(name.into(), count);
        })
    }

    pub(crate) fn draining(self) -> Self {
        self.on_node(|n| n.status.drain(Drain::default()))
    }

    pub(crate) fn down(self) -> Self {
        self.on_node(|n| n.status.lose())
    }

    /// Changes the default queue.
    pub(crate) fn default_queue(mut self, change: impl FnOnce(&mut QueueConfig)) -> Self {
        change(&mut self.queues[0].config);
        self
    }

    /// Changes the default pool.
    pub(crate) fn default_pool(mut self, change: impl FnOnce(&mut PoolConfig)) -> Self {
        change(&mut self.pools[0].config);
        self
    }

    /// One more pool, 2 and up.
    pub(crate) fn pool(mut self, change: impl FnOnce(&mut PoolConfig)) -> Self {
        let id = u32::try_from(self.pools.len()).unwrap() + 1;
        self.pools.push(pool_view(id, &format!("p{id}")));
        change(&mut self.pools.last_mut().unwrap().config);
        self
    }

    /// One more queue, 2 and up.
    pub(crate) fn queue(mut self, change: impl FnOnce(&mut QueueConfig)) -> Self {
        let id = u32::try_from(self.queues.len()).unwrap() + 1;
        self.queues.push(queue_view(id, &format!("q{id}")));
        change(&mut self.queues.last_mut().unwrap().config);
        self
    }

    /// A job of tasks of one core, submitted a millisecond after the one before.
    pub(crate) fn job(mut self, tasks: u32) -> Self {
        let amounts = Amounts { cpu_milli: 1_000, ..Amounts::default() };
        self.jobs.push(Job {
            tasks,
            request: Request { amounts, ..Request::default() },
            affinity: Affinity::default(),
            constraint: String::new(),
            queue: 1,
            owner: "ann".into(),
            account: String::new(),
            priority: 0,
            estimate_ms: None,
            limit_ms: None,
            submitted_ms: self.jobs.len() as u64,
            max_running: None,
            stopped: false,
            gate: Gate::Open,
            typical_us: None,
        });
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Job)) -> Self {
        change(self.jobs.last_mut().unwrap());
        self
    }

    pub(crate) fn cpu_milli(self, cpu_milli: u64) -> Self {
        self.with(|j| j.request.amounts.cpu_milli = cpu_milli)
    }

    /// The last job is expected to run for `ms`, and is stopped then.
    pub(crate) fn takes(self, ms: u64) -> Self {
        self.with(|j| (j.estimate_ms, j.limit_ms) = (Some(ms), Some(ms)))
    }

    /// The last job runs alone on its node.
    pub(crate) fn exclusive(self) -> Self {
        self.with(|j| j.request.exclusive = true)
    }

    pub(crate) fn memory(self, memory: u64) -> Self {
        self.with(|j| j.request.amounts.memory = memory)
    }

    pub(crate) fn gpu_milli(self, gpu_milli: u32) -> Self {
        self.with(|j| j.request.gpu_milli = gpu_milli)
    }

    pub(crate) fn asks(self, name: &str, count: u64) -> Self {
        self.with(|j| *j.request.amounts.named.entry(name.into()).or_default() = count)
    }

    pub(crate) fn constraint(self, text: &str) -> Self {
        self.with(|j| j.constraint = text.into())
    }

    pub(crate) fn in_queue(self, queue: u32) -> Self {
        self.with(|j| j.queue = queue)
    }

    pub(crate) fn owner(self, owner: &str) -> Self {
        self.with(|j| j.owner = owner.into())
    }

    pub(crate) fn account(self, account: &str) -> Self {
        self.with(|j| j.account = account.into())
    }

    pub(crate) fn submitted(self, submitted_ms: u64) -> Self {
        self.with(|j| j.submitted_ms = submitted_ms)
    }

    pub(crate) fn typical_ms(self, typical_ms: u64) -> Self {
        self.with(|j| j.typical_us = Some(typical_ms * 1_000))
    }

    /// The last job also runs `count` tasks on a node.
    pub(crate) fn runs(mut self, node: &str, count: u32) -> Self {
        self.assigned.push((node.into(), self.jobs.len() as u64, count, false));
        self
    }

    /// The last job also has `count` tasks held on a node.
    pub(crate) fn prefetched(mut self, node: &str, count: u32) -> Self {
        self.assigned.push((node.into(), self.jobs.len() as u64, count, true));
        self
    }

    /// They were asked back.
    pub(crate) fn recalled(mut self, node: &str) -> Self {
        self.recalled.push((node.into(), self.jobs.len() as u64));
        self
    }

    pub(crate) fn view(self) -> View {
        let mut view = View {
            now_ms: self.now_ms,
            nodes: self.nodes.into(),
            pools: self.pools.into(),
            half_life_ms: HALF_LIFE_MS_DEFAULT,
            queues: self.queues.into(),
            ..View::default()
        };
        let mut numbered: Vec<_> = (1u64..).zip(self.jobs).collect();
        if self.backwards {
            numbered.reverse();
        }
        for (id, job) in numbered {
            add_job(&mut view, JobId(id), &job);
        }
        for (name, job, count, prefetch) in self.assigned {
            let node = view.nodes.iter().find(|n| n.name == name).unwrap();
            let (node, incarnation) = (node.id, node.status.incarnation().unwrap());
            change_job(&mut view, JobId(job), |j| j.eligible += count);
            apply_one(&mut view, &Assignment { job: JobId(job), count, node, incarnation, prefetch });
        }
        for (name, job) in self.recalled {
            let node = view.nodes.iter_mut().find(|n| n.name == name).unwrap();
            node.prefetched_jobs.get_mut(&JobId(job)).unwrap().recalled = true;
        }
        view
    }
}

/// The user on the account, new if need be. A name that ends in a digit has ten times that as its weight.
fn party_of(view: &mut View, job: &Job) -> PartyId {
    let weight = |name: &str| match name.chars().last().and_then(|c| c.to_digit(10)) {
        Some(digit) => digit * 10,
        None => WEIGHT_DEFAULT,
    };
    let known = view.accounts.iter().find(|account| account.name == job.account).map(|account| account.id);
    let account = known.unwrap_or_else(|| {
        let id = AccountId(u32::try_from(view.accounts.len()).unwrap() + 1);
        let (name, weight) = (job.account.clone(), weight(&job.account));
        view.accounts.push(AccountView { id, name, weight, weights: 0, usage: Usage::default() });
        id
    });
    let known = view.parties.iter().find(|party| party.account == account && party.owner == job.owner);
    if let Some(party) = known {
        return party.id;
    }
    let id = PartyId(u32::try_from(view.parties.len()).unwrap() + 1);
    let (owner, weight) = (job.owner.clone(), weight(&job.owner));
    let (usage, running, running_gpu_milli) = (Usage::default(), Amounts::default(), 0);
    view.parties.push(PartyView { id, account, owner, weight, usage, running, running_gpu_milli });
    view.accounts[account].weights += u64::from(weight);
    id
}

fn add_job(view: &mut View, id: JobId, job: &Job) {
    let party = party_of(view, job);
    let queue = QueueId(job.queue);
    let constraint = match job.constraint.as_str() {
        "" => Constraint::default(),
        text => Constraint::parse("constraint", text).unwrap(),
    };
    let span = Span { estimate_ms: job.estimate_ms, limit_ms: job.limit_ms };
    let same = |c: &ClassView| {
        !job.affinity.is_apart()
            && (c.queue, c.party, &c.request, &c.constraint, c.span, &c.affinity)
                == (queue, party, &job.request, &constraint, span, &job.affinity)
    };
    let class = view.classes.iter().position(same).unwrap_or_else(|| {
        view.classes.push(ClassView {
            id: ClassId(u32::try_from(view.classes.len()).unwrap()),
            queue,
            party,
            request: job.request.clone(),
            constraint: constraint.clone(),
            span,
            affinity: job.affinity.clone(),
            targets: None,
            waiting: SmallSet::default(),
            by_age: SmallSet::default(),
            jobs: 0,
            running: 0,
            typical_us: None,
        });
        view.classes.len() - 1
    });
    let orderable = Orderable {
        job: id,
        submitted_ms: job.submitted_ms,
        priority: job.priority,
        estimate_ms: span.expected_ms(),
        size: policy::size(&job.request),
    };
    let class = &mut view.classes[class];
    class.jobs += 1;
    class.typical_us = job.typical_us.max(class.typical_us);
    let job = JobView {
        class: class.id,
        key: view.queues[queue].config.key(&orderable),
        submitted_ms: job.submitted_ms,
        priority: job.priority,
        eligible: job.tasks,
        assigned: 0,
        prefetched: 0,
        max_running: job.max_running,
        stopped: job.stopped,
        gate: job.gate,
    };
    view.jobs.insert(id, job);
    change_job(view, id, |_| ());
}

/// Changes a job and its place in its class, as `apply` does.
pub(crate) fn change_job(view: &mut View, id: JobId, change: impl FnOnce(&mut JobView)) {
    let job = view.jobs.get_mut(&id).unwrap();
    change(job);
    let (stand, waits) = (job.stand(), job.placeable() > 0);
    view.set_waiting(stand, waits);
}

/// Applies a plan to the view, checking each part as `apply` does. A recall is confirmed at once.
pub(crate) fn apply(view: &mut View, plan: &Plan) {
    for assignment in &plan.assignments {
        apply_one(view, assignment);
    }
    for recall in &plan.recalls {
        let node = &mut view.nodes[recall.node];
        let PrefetchedJob { count, recalled } = node.prefetched_jobs.remove(&recall.job).unwrap();
        assert!(!recalled, "asked back twice");
        node.prefetched -= count;
        let class = view.jobs[&recall.job].class;
        node.by_class.get_mut(&class).unwrap().prefetched -= count;
        change_job(view, recall.job, |job| {
            job.eligible += count;
            job.assigned -= count;
            job.prefetched -= count;
        });
    }
}

fn apply_one(view: &mut View, assignment: &Assignment) {
    let Assignment { job: id, count, prefetch, .. } = *assignment;
    assert!(count > 0);
    let job = &view.jobs[&id];
    assert!(job.placeable() >= count, "more of job {id} assigned than there is");
    let class = &view.classes[job.class];
    let at = assignment.node.0 as usize - 1;
    let node = &mut view.nodes[at];
    assert_eq!(node.status.incarnation(), Some(assignment.incarnation));
    if prefetch {
        assert!(node.prefetch_room(class.id, &class.request, u32::MAX) >= count, "too much held");
        node.prefetched += count;
        node.prefetched_jobs.entry(id).or_default().count += count;
    } else {
        for _ in 0..count {
            view.fits(&view.nodes[at], class).unwrap();
            let queue = &mut view.queues[class.queue];
            let node = &mut view.nodes[at];
            node.free.take(&class.request.amounts);
            node.alone |= class.request.exclusive;
            let gpus = place_gpus(&node.gpu_free, class.request.gpu_milli).unwrap();
            for &(device, part) in &gpus {
                node.gpu_free[usize::from(device)] -= part;
            }
            if let Some(expected) = class.span.expected_ms() {
                let ending = node.ends.entry((view.now_ms + expected, class.id)).or_default();
                ending.count += 1;
                for (device, part) in gpus {
                    *ending.gpus.entry(device).or_default() += part;
                }
            }
            node.running += 1;
            let party = &mut view.parties[class.party];
            let account = &mut view.accounts[party.account].usage;
            account.settle(view.now_ms, view.half_life_ms);
            account.size += policy::size(&class.request);
            party.usage.settle(view.now_ms, view.half_life_ms);
            party.takes(&class.request);
            queue.running_cpu_milli += class.request.amounts.cpu_milli;
        }
    }
    let here: &mut OnNode = view.nodes[at].by_class.entry(class.id).or_default();
    *(if prefetch { &mut here.prefetched } else { &mut here.running }) += count;
    view.classes[job.class].running += if prefetch { 0 } else { count };
    change_job(view, id, |job| {
        job.eligible -= count;
        job.assigned += count;
        job.prefetched += if prefetch { count } else { 0 };
    });
}

/// Ends a running attempt of a class without GPUs on a node (an index), the one that was expected to end first.
pub(crate) fn end_on(view: &mut View, node: usize, class: ClassId) {
    let node = &mut view.nodes[node];
    let of_class = &view.classes[class];
    node.by_class.get_mut(&class).unwrap().running -= 1;
    node.running -= 1;
    node.free.give(&of_class.request.amounts);
    node.alone &= !of_class.request.exclusive;
    let party = &mut view.parties[of_class.party];
    let account = &mut view.accounts[party.account].usage;
    account.settle(view.now_ms, view.half_life_ms);
    account.size -= policy::size(&of_class.request);
    party.usage.settle(view.now_ms, view.half_life_ms);
    party.gives(&of_class.request);
    if let Some(ending) = node.ends.iter_mut().find(|(key, _)| key.1 == class).map(|(_, ending)| ending) {
        ending.count -= 1;
        node.ends.retain(|_, ending| ending.count > 0);
    }
    view.queues[of_class.queue].running_cpu_milli -= of_class.request.amounts.cpu_milli;
    view.classes[class].running -= 1;
}

/// A plan as `run 1 a x3, prefetch 1 a x200, recall 2 b`.
pub(crate) fn show(view: &View, plan: &Plan) -> String {
    let mut text = String::new();
    for a in &plan.assignments {
        let verb = if a.prefetch { "prefetch" } else { "run" };
        let node = &view.node(a.node).unwrap().name;
        write!(text, ", {verb} {} {node}", a.job).unwrap();
        if a.count > 1 {
            write!(text, " x{}", a.count).unwrap();
        }
    }
    for r in &plan.recalls {
        write!(text, ", recall {} {}", r.job, view.node(r.node).unwrap().name).unwrap();
    }
    text.trim_start_matches(", ").to_owned()
}
