//! What the planner sees: dense, and kept up to date by the state with each entry.

mod waiting;

pub use waiting::{ClassHead, Stand};

use crate::resources::{Short, gpus_there, place_gpus};
use crate::{
    AccountId, AccountView, Affinity, Amounts, Capacity, ClassId, Constraint, IdTable, JobId, NodeId,
    NodeStatus, OrderKey, PartyId, PartyView, PoolConfig, PoolId, QueueConfig, QueueId, Request, Rule,
    SmallSet, Span, TaskIndex, constraint, limits,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything a scheduling pass may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// State time.
    pub now_ms: u64,
    /// The leader's wall clock at that time: maintenance is planned by it.
    pub wall_ms: u64,
    /// All nodes ever registered.
    pub nodes: IdTable<NodeId, NodeView>,
    /// All pools.
    pub pools: IdTable<PoolId, PoolView>,
    /// All accounts.
    pub accounts: IdTable<AccountId, AccountView>,
    /// All users on accounts.
    pub parties: IdTable<PartyId, PartyView>,
    /// Time in which past use counts half, in milliseconds.
    pub half_life_ms: u64,
    /// All queues.
    pub queues: IdTable<QueueId, QueueView>,
    /// All classes. One without waiting or assigned work is empty and is used again for a new class.
    pub classes: IdTable<ClassId, ClassView>,
    /// Jobs that are not finished.
    pub jobs: imbl::OrdMap<JobId, JobView>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Its name, by which users and labels know it.
    pub name: String,
    /// Where it is in its life.
    pub status: NodeStatus,
    /// Its pool.
    pub pool: PoolId,
    /// What runs there runs alone.
    pub alone: bool,
    /// Index of the entry that last gave it something.
    pub given: u64,
    /// Times in which it is to be maintained, in order of begin.
    pub maintenance: Vec<Window>,
    /// What it offers.
    pub capacity: Capacity,
    /// What is not taken by running attempts.
    pub free: Amounts,
    /// Free thousandths of each GPU.
    pub gpu_free: Vec<u32>,
    /// Its labels.
    pub labels: constraint::Labels,
    /// Running attempts.
    pub running: u32,
    /// Prefetched attempts.
    pub prefetched: u32,
    /// Both, by class; only classes that have any.
    pub by_class: BTreeMap<ClassId, OnNode>,
    /// The prefetched ones by job; only jobs that have any.
    pub prefetched_jobs: BTreeMap<JobId, PrefetchedJob>,
    /// Running attempts by the state time at which they were expected to end when they began; without those of which nobody knows.
    pub ends: BTreeMap<(u64, ClassId), Ending>,
}

/// A time in which a node is to be maintained: no task starts there that is not sure to have ended by its begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// Wall clock of its begin.
    pub from_wall_ms: u64,
    /// Wall clock of its end.
    pub until_wall_ms: u64,
}

/// Attempts of one class on one node that are expected to end together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// How many.
    pub count: u32,
    /// What they have of GPUs: device and thousandths, in order of device.
    pub gpus: BTreeMap<u16, u32>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Its id.
    pub id: PoolId,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub config: PoolConfig,
    /// It was deleted: it has no nodes and no queues.
    pub deleted: bool,
}

/// Prefetched attempts of one job on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefetchedJob {
    /// How many.
    pub count: u32,
    /// Asked back already (recalled or cancelled) and not yet confirmed: not to be asked again, and nothing is added before it is settled.
    pub recalled: bool,
}

/// What is left on a node: as the view says, or after what a pass has already placed there.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// What is not taken.
    pub free: &'a Amounts,
    /// Free thousandths of each GPU.
    pub gpu_free: &'a [u32],
    /// Running attempts.
    pub running: u32,
    /// With so many running, none starts that asks for no CPU.
    pub without_cpu_max: u32,
    /// One of them runs alone.
    pub alone: bool,
}

/// Attempts of one class on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnNode {
    /// Taking resources.
    pub running: u32,
    /// Prefetched.
    pub prefetched: u32,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its id.
    pub id: QueueId,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub config: QueueConfig,
    /// It was deleted, and takes no more jobs.
    pub deleted: bool,
    /// The pool whose nodes its jobs run on.
    pub pool: PoolId,
    /// Thousandths of cores its attempts run on now.
    pub running_cpu_milli: u64,
    /// The first waiting job of each of its classes, in its order: see [`View::set_waiting`].
    pub heads: BTreeMap<OrderKey, ClassHead>,
    /// The one of each class that has waited longest, likewise; empty if nothing ages here.
    pub ages: BTreeMap<(u64, JobId), ClassId>,
}

/// Waiting work that is alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassView {
    /// Its ordinal.
    pub id: ClassId,
    /// Its queue.
    pub queue: QueueId,
    /// Whose work it is.
    pub party: PartyId,
    /// What a task needs.
    pub request: Request,
    /// Which nodes may run it.
    pub constraint: Constraint,
    /// How long a task takes.
    pub span: Span,
    /// Where its tasks like to be.
    pub affinity: Affinity,
    /// For a broadcast: which nodes its tasks wait for.
    pub targets: Option<Targets>,
    /// Jobs with a task that could be placed now, in the queue's order.
    pub waiting: SmallSet<OrderKey>,
    /// The same jobs by the time since which they wait, for `max_wait`.
    pub by_age: SmallSet<(u64, JobId)>,
    /// Unfinished jobs of this class.
    pub jobs: u32,
    /// Attempts of it that run, on all nodes.
    pub running: u32,
    /// Smoothed run time of its attempts in microseconds; `None` before the first end.
    pub typical_us: Option<u64>,
}

/// The nodes of a broadcast: its task number `i` (from 0) is for `nodes[i]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// In order of id.
    pub nodes: Arc<Vec<NodeId>>,
    /// Tasks that may be placed now.
    pub waiting: imbl::OrdSet<TaskIndex>,
}

impl Targets {
    /// The task that waits for a node.
    pub fn task_for(&self, node: NodeId) -> Option<TaskIndex> {
        let at = TaskIndex::try_from(self.nodes.binary_search(&node).ok()?).ok()?;
        self.waiting.contains(&at).then_some(at)
    }
}

/// One unfinished job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its class.
    pub class: ClassId,
    /// Its place in its queue.
    pub key: OrderKey,
    /// State time since which it waits for a place: its submit, or when the last of what it had to wait for was there.
    pub submitted_ms: u64,
    /// Its priority. The key has it already; who asks what another key would be needs it by itself.
    pub priority: i32,
    /// Tasks that could be placed now, not counting `max_running`.
    pub eligible: u32,
    /// Assigned attempts, running and prefetched.
    pub assigned: u32,
    /// Of these, the prefetched ones.
    pub prefetched: u32,
    /// At most so many assigned at once.
    pub max_running: Option<u32>,
    /// A user holds it, or cancelled it.
    pub stopped: bool,
    /// What must come first.
    pub gate: Gate,
}

/// What must come before any task of a job may be placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Nothing any more.
    #[default]
    Open,
    /// The end of other jobs.
    After {
        /// The first of them.
        job: JobId,
        /// How many there are besides.
        more: u32,
    },
    /// A time.
    Begin {
        /// State time at which it has come.
        at_ms: u64,
    },
}

impl JobView {
    /// How many of its tasks may be assigned now.
    pub fn placeable(&self) -> u32 {
        if self.stopped || self.gate != Gate::Open {
            return 0;
        }
        let room = self.max_running.map_or(u32::MAX, |max| max.saturating_sub(self.assigned));
        self.eligible.min(room)
    }
}

impl NodeView {
    /// Whether a task of this request and constraint could run here with the node empty. Draining and lost nodes could: that passes.
    pub fn could_hold(&self, request: &Request, constraint: &Constraint) -> Result<(), Rule> {
        if let Some(term) = constraint.broken(&self.labels) {
            return Err(Rule::Constraint(term.to_string()));
        }
        self.capacity.could_hold(request).map_err(Rule::Capacity)
    }

    /// Whether a task of a class runs here or is prefetched.
    pub fn has(&self, class: ClassId) -> bool {
        self.by_class.get(&class).is_some_and(|here| here.running + here.prefetched > 0)
    }

    /// What is left here.
    pub fn room(&self) -> Room<'_> {
        Room {
            free: &self.free,
            gpu_free: &self.gpu_free,
            running: self.running,
            without_cpu_max: self.capacity.without_cpu_max(),
            alone: self.alone,
        }
    }

    /// Whether this room, on this node, has place for one more task of a request.
    fn fits_room(&self, room: Room<'_>, request: &Request) -> Result<(), Rule> {
        self.takes_work()?;
        if room.running >= limits::RUNNING_PER_NODE_MAX {
            return Err(Rule::TooMany);
        }
        if room.running >= request.running_max(room.without_cpu_max) {
            return Err(Rule::TooManyForNoCpu(room.without_cpu_max));
        }
        if room.alone {
            return Err(Rule::Exclusive);
        }
        if request.exclusive && room.running > 0 {
            return Err(Rule::NotEmpty);
        }
        room.free.covers(&request.amounts).map_err(Rule::Free)?;
        if place_gpus(room.gpu_free, request.gpu_milli).is_none() {
            let there = gpus_there(room.gpu_free, request.gpu_milli);
            return Err(Rule::Free(Short { resource: "gpu".into(), asked: request.gpu_milli.into(), there }));
        }
        Ok(())
    }

    /// Whether the node takes new work at all.
    pub fn takes_work(&self) -> Result<(), Rule> {
        Ok(self.status.takes_work()?)
    }

    /// How many more attempts of a class may be prefetched here: at most `depth` for each running one, within the node's cap. Attempts with GPUs are
    /// not prefetched: a successor would have to inherit the very devices.
    pub fn prefetch_room(&self, class: ClassId, request: &Request, depth: u32) -> u32 {
        self.prefetch_room_after(0, class, request, depth)
    }

    /// [`NodeView::prefetch_room`] after `placed` more attempts of the class have been set to run here.
    pub fn prefetch_room_after(&self, placed: u32, class: ClassId, request: &Request, depth: u32) -> u32 {
        if request.gpu_milli > 0 || self.takes_work().is_err() || !self.maintenance.is_empty() {
            return 0;
        }
        let here = self.by_class.get(&class).copied().unwrap_or_default();
        let running = here.running.saturating_add(placed);
        let wanted = running.saturating_mul(depth).saturating_sub(here.prefetched);
        wanted.min(limits::PREFETCHED_PER_NODE_MAX.saturating_sub(self.prefetched))
    }
}

impl View {
    /// The one definition of "fits": whether one more task of a class may start on a node now.
    pub fn fits(&self, node: &NodeView, class: &ClassView) -> Result<(), Rule> {
        self.fits_room(node, node.room(), class)?;
        if class.affinity.is_apart() && node.has(class.id) {
            return Err(Rule::Apart);
        }
        match class.affinity.domain(&node.labels) {
            Some(domain) if self.domains(class).any(|taken| taken == domain) => {
                Err(class.affinity.apart_from(domain))
            }
            _ => Ok(()),
        }
    }

    /// Values of the label by which the tasks of a class are to run apart, where one is; maybe repeatedly.
    pub fn domains<'a>(&'a self, class: &'a ClassView) -> impl Iterator<Item = &'a str> {
        let there = self.nodes.iter().filter(|node| node.has(class.id));
        there.filter_map(|node| class.affinity.domain(&node.labels))
    }

    /// [`View::fits`] with another room than the node has by the view: the planner's, which has placed something since, and looks itself after
    /// tasks that are to run apart.
    pub fn fits_room(&self, node: &NodeView, room: Room<'_>, class: &ClassView) -> Result<(), Rule> {
        self.could_hold(node, class)?;
        node.fits_room(room, &class.request)?;
        self.open_at(node, class.span, self.now_ms)
    }

    /// Whether a class could run on a node if that were empty.
    pub fn could_hold(&self, node: &NodeView, class: &ClassView) -> Result<(), Rule> {
        let pool = self.pool_of(class);
        if node.pool != pool {
            let name = |id| self.pool(id).map_or("", |pool| pool.name.as_str()).to_owned();
            return Err(Rule::OtherPool { pool: name(node.pool), asked: name(pool) });
        }
        if class.targets.as_ref().is_some_and(|targets| targets.task_for(node.id).is_none()) {
            return Err(Rule::NotATarget);
        }
        node.could_hold(&class.request, &class.constraint)
    }

    /// Whether a task that starts on a node at a state time is sure to end before the node is to be maintained.
    pub fn open_at(&self, node: &NodeView, span: Span, at_ms: u64) -> Result<(), Rule> {
        if node.maintenance.is_empty() {
            return Ok(());
        }
        let begins = self.wall_ms.saturating_add(at_ms.saturating_sub(self.now_ms));
        let ends = span.limit_ms.map_or(u64::MAX, |limit| begins.saturating_add(limit));
        let overlaps = |window: &&Window| ends > window.from_wall_ms && begins < window.until_wall_ms;
        match node.maintenance.iter().find(overlaps) {
            Some(Window { name, from_wall_ms, .. }) => {
                let begun = *from_wall_ms <= self.wall_ms;
                Err(Rule::Maintenance { window: name.clone(), from_wall_ms: *from_wall_ms, begun })
            }
            None => Ok(()),
        }
    }

    /// The node of an id.
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.get(id)
    }

    /// The pool of an id.
    pub fn pool(&self, id: PoolId) -> Option<&PoolView> {
        self.pools.get(id)
    }

    /// The party of an id.
    pub fn party(&self, id: PartyId) -> Option<&PartyView> {
        self.parties.get(id)
    }

    /// The pool whose nodes a class may run on.
    pub fn pool_of(&self, class: &ClassView) -> PoolId {
        self.queue(class.queue).map_or(PoolId(1), |queue| queue.pool)
    }

    /// The queue of an id.
    pub fn queue(&self, id: QueueId) -> Option<&QueueView> {
        self.queues.get(id)
    }

    /// The class of an ordinal.
    pub fn class(&self, id: ClassId) -> Option<&ClassView> {
        self.classes.get(id)
    }
}
