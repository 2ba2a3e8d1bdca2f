//! What snapshots hold: everything that a server knows, without what follows from it.

use crate::access::{NamespaceHead, Token};
use crate::accounts::Accounts;
use crate::class::Class;
use crate::command::Maintenance;
use crate::job::Job;
use crate::ledger::Ledger;
use crate::node::Node;
use crate::server::ServerRecord;
use crate::table::SharedTable;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;
use taskyard_model::constraint::Labels;
use taskyard_model::view::Window;
use taskyard_model::{
    ClassId, Constraint, Fence, JobId, JobSpec, Namespace, NodeId, PoolConfig, PoolId, QueueConfig, QueueId,
    Retention, TaskIndex,
};

/// The part that snapshots hold. Cloning it is cheap: everything large is shared until it changes.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) clock: StateClock,
    pub(crate) jobs: imbl::OrdMap<JobId, Arc<Job>>,
    pub(crate) requests: imbl::OrdMap<RequestKey, JobId>,
    pub(crate) classes: SharedTable<ClassId, Option<Arc<Class>>>,
    pub(crate) nodes: SharedTable<NodeId, Arc<Node>>,
    pub(crate) pools: SharedTable<PoolId, Arc<Pool>>,
    pub(crate) accounts: Accounts,
    pub(crate) ledger: Ledger,
    pub(crate) maintenance: imbl::OrdMap<String, Maintenance>,
    pub(crate) queues: SharedTable<QueueId, Arc<Queue>>,
    pub(crate) deadlines: imbl::OrdSet<(u64, Due)>,
    /// Finished jobs, oldest end first.
    pub(crate) finished: imbl::OrdSet<(u64, JobId)>,
    /// Every server there ever was, by number.
    pub(crate) servers: BTreeMap<u64, ServerRecord>,
    pub(crate) namespaces: imbl::OrdMap<String, NamespaceHead>,
    pub(crate) tokens: imbl::OrdMap<String, Arc<Token>>,
    /// Log index of the last removal of each name of a node.
    pub(crate) removed_nodes: imbl::OrdMap<String, u64>,
    /// How long they are kept.
    pub(crate) retention: Retention,
}

/// Time and counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StateClock {
    /// Index of the last entry.
    #[n(0)]
    pub(crate) index: u64,
    /// State time.
    #[n(1)]
    pub(crate) now_ms: u64,
    /// The leader's wall clock at that entry.
    #[n(2)]
    pub(crate) wall_ms: u64,
    /// The last job's id.
    #[n(3)]
    pub(crate) last_job: u64,
    /// State time of the last `LeaderStart`: what has been heard from agents since counts for leases.
    #[n(4)]
    pub(crate) leader_since_ms: u64,
    /// Log index of the last `LeaderStart`.
    #[n(5)]
    pub(crate) leader_since: u64,
    /// How many tokens were ever made: the first one is made without one.
    #[n(10)]
    #[cbor(default)]
    pub(crate) tokens_made: u64,
    /// Log index of the last `Restored`.
    #[n(6)]
    pub(crate) restored: Option<u64>,
}

/// An idempotency key: (owner, key). Outside the default namespace the namespace and a space go before the owner.
pub(crate) type RequestKey = (String, String);

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Pool {
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) config: PoolConfig,
    #[n(2)]
    #[cbor(default)]
    pub(crate) deleted: bool,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Queue {
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) config: QueueConfig,
    /// Nothing is left of it but the name in old jobs.
    #[n(2)]
    #[cbor(default)]
    pub(crate) deleted: bool,
}

/// What is due at some state time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum Due {
    /// A failed task may be tried again.
    #[n(0)]
    Retry(#[n(0)] JobId, #[n(1)] TaskIndex),
    /// An idempotency key is old enough to be forgotten.
    #[n(1)]
    ForgetRequest(#[n(0)] String, #[n(1)] String),
    /// A token that is no longer good was listed for long enough.
    #[n(20)]
    ForgetToken(#[n(0)] String),
    /// A job may begin.
    #[n(2)]
    Begin(#[n(0)] JobId),
}

impl Core {
    /// Nothing but what was always there: one queue, one pool and one namespace, all called `default`.
    pub(crate) fn new() -> Core {
        let namespace = NamespaceHead { name: Namespace::DEFAULT.into(), created_wall_ms: 0 };
        let queue = Queue { name: Queue::DEFAULT.into(), config: QueueConfig::default(), deleted: false };
        let pool = Pool { name: PoolConfig::DEFAULT.into(), config: PoolConfig::default(), deleted: false };
        Core {
            clock: StateClock::default(),
            jobs: imbl::OrdMap::new(),
            requests: imbl::OrdMap::new(),
            classes: SharedTable::default(),
            nodes: SharedTable::default(),
            pools: SharedTable::unit(Arc::new(pool)),
            accounts: Accounts::default(),
            ledger: Ledger::default(),
            maintenance: imbl::OrdMap::new(),
            queues: SharedTable::unit(Arc::new(queue)),
            deadlines: imbl::OrdSet::new(),
            finished: imbl::OrdSet::new(),
            servers: BTreeMap::new(),
            namespaces: imbl::OrdMap::unit(namespace.name.clone(), namespace),
            tokens: imbl::OrdMap::new(),
            removed_nodes: imbl::OrdMap::new(),
            retention: Retention::default(),
        }
    }

    pub(crate) fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(&id).map(Arc::make_mut)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id).map(Arc::make_mut)
    }

    /// The class of an unfinished job.
    pub(crate) fn class(&self, id: ClassId) -> &Arc<Class> {
        self.classes.get(id).and_then(Option::as_ref).expect("an unfinished job has its class")
    }

    /// Where a job of a queue may run: its own constraint and the queue's nodes.
    pub(crate) fn constraint(&self, queue: QueueId, spec: &JobSpec) -> Constraint {
        let mut constraint = spec.constraint.clone();
        let nodes = self.queues[queue].config.nodes.as_ref();
        constraint.0.extend(nodes.into_iter().flat_map(|nodes| nodes.0.iter().cloned()));
        constraint
    }

    /// The queue of a name.
    pub(crate) fn queue_named(&self, name: &str) -> Option<QueueId> {
        self.queues.find(|queue| queue.name == name && !queue.deleted)
    }

    /// The pool of a name.
    pub(crate) fn pool_named(&self, name: &str) -> Option<PoolId> {
        self.pools.find(|pool| pool.name == name && !pool.deleted)
    }

    /// The pool of a node with these labels: the first that selects it, else the default one.
    pub(crate) fn pool_of(&self, labels: &Labels) -> PoolId {
        let selects = |pool: &Pool| !pool.deleted && pool.config.nodes.broken(labels).is_none();
        // The default pool takes what no other one selects.
        let ids = self.pools.ids().filter(|id| *id != Pool::DEFAULT_ID);
        ids.into_iter().find(|id| selects(&self.pools[*id])).unwrap_or(Pool::DEFAULT_ID)
    }

    /// When a node with these labels is to be maintained, in order of begin.
    pub(crate) fn maintenance_of(&self, labels: &Labels) -> Vec<Window> {
        let of_node = self.maintenance.iter().filter(|(_, window)| window.nodes.broken(labels).is_none());
        let mut windows: Vec<Window> = of_node
            .map(|(name, window)| Window {
                name: name.clone(),
                from_wall_ms: window.from_wall_ms,
                until_wall_ms: window.until_wall_ms,
            })
            .collect();
        windows.sort_by_key(|window| window.from_wall_ms);
        windows
    }

    /// Log index of the entry that is applied, as the fence of what it assigns.
    pub(crate) fn fence(&self) -> Fence {
        Fence(self.clock.index)
    }
}

impl Queue {
    /// The queue that is always there.
    pub(crate) const DEFAULT: &'static str = "default";
}

impl Pool {
    /// The pool that is always there.
    pub(crate) const DEFAULT_ID: PoolId = PoolId(1);
}
