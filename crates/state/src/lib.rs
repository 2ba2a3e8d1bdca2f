//! The replicated state machine. `apply(entry) -> reply + events` is the only way anything changes; live, replay, restore and follower all
//! go through it.
//!
//! Pure: no clock, no I/O, no randomness, no hash-map order, no float. A command that cannot be done is a [`Reply::Rejected`]; a state that
//! cannot be is a panic.

mod access;
mod apply;
mod command;
mod fold;
mod index;
mod job;
mod ledger;
mod node;
mod outcome;
mod phase;
mod read;
mod record;
mod server;
mod shares;
mod snapshot;
mod stored;
mod suppose;
mod usage;

pub use access::{NamespaceHead, Token, TokenUse};
pub use apply::{NotBefore, Prospect};
pub use command::{
    AccountChange, Change, Command, Entry, KeepChange, Maintenance, NewToken, Register, Submit,
};
pub use job::{Head, Job, PastAttempt, Skip};
pub use node::{Node, NodeHead, Order};
pub use outcome::{Applied, Event, Rejection, Reply};
pub use phase::Phase;
pub use read::{AssignedRun, Forgotten, Kept, OrderDue};
pub use record::TaskRecord;
pub use server::{Impostor, ServerRecord, ServerRole, ServerStarted};
pub use snapshot::{Frozen, Holds, SnapshotError};
pub use stored::{Source, Stored, Whole, Written};
pub use usage::{UsageBook, Used, UsedBy};

use ledger::Ledger;
use minicbor::{Decode, Encode};
use shares::Shares;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use taskyard_model::{
    AccountId, ClassId, Constraint, JobId, Namespace, NodeId, PartyId, PoolConfig, QueueConfig, QueueId,
    Request, Retention, Siting, Span, TaskIndex, View,
};
use usage::{Taken, Whose};

/// Everything a server knows: a function of the log alone.
#[derive(Debug)]
pub struct State {
    pub(crate) core: Core,
    /// What the planner sees; derived from `core` and kept up to date with it.
    pub(crate) view: View,
    /// Where to find things in `core`; derived likewise.
    pub(crate) lookup: Lookup,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    pub(crate) class_ids: BTreeMap<Class, ClassId>,
    pub(crate) free_classes: BTreeSet<u32>,
    pub(crate) accounts: BTreeMap<String, AccountId>,
    pub(crate) parties: BTreeMap<(AccountId, String), PartyId>,
    /// Jobs that wait for the end of a job.
    pub(crate) dependants: BTreeMap<JobId, BTreeSet<JobId>>,
    /// Jobs that wait for an instant of the wall clock.
    pub(crate) instants: BTreeSet<JobId>,
    /// Tasks of finished jobs.
    pub(crate) finished_tasks: u64,
    /// What all jobs take of memory, but for inputs of finished ones.
    pub(crate) job_bytes: u64,
    /// Inputs of finished jobs.
    pub(crate) finished_bytes: u64,
    /// Of these, what is in memory all the same, on this server, because no snapshot has it yet.
    pub(crate) unstored_bytes: u64,
    /// What runs, by whose it is.
    pub(crate) taken: BTreeMap<Whose, Taken>,
    /// What was counted while an entry is applied; nothing between two.
    pub(crate) counted: BTreeMap<Whose, Used>,
}

/// The part that snapshots hold. Cloning it is cheap: everything large is shared until it changes.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) jobs: imbl::OrdMap<JobId, Arc<Job>>,
    pub(crate) requests: imbl::OrdMap<RequestKey, JobId>,
    pub(crate) classes: imbl::Vector<Option<Arc<Class>>>,
    pub(crate) nodes: imbl::Vector<Arc<Node>>,
    pub(crate) pools: imbl::Vector<Arc<Pool>>,
    pub(crate) shares: Shares,
    pub(crate) ledger: Ledger,
    pub(crate) maintenance: imbl::OrdMap<String, Maintenance>,
    pub(crate) queues: imbl::Vector<Arc<Queue>>,
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
pub(crate) struct Clock {
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

/// What makes waiting work alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct Class {
    #[n(0)]
    pub(crate) queue: QueueId,
    #[n(1)]
    pub(crate) owner: String,
    #[n(2)]
    pub(crate) request: Request,
    #[n(3)]
    pub(crate) constraint: Constraint,
    #[n(4)]
    #[cbor(default)]
    pub(crate) span: Span,
    #[n(5)]
    #[cbor(default)]
    pub(crate) party: PartyId,
    #[n(6)]
    #[cbor(default)]
    pub(crate) siting: Siting,
    /// Its only job, where tasks of one are to run apart: then tasks of the class are tasks of the job.
    #[n(7)]
    pub(crate) only: Option<JobId>,
}

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

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl State {
    /// The state before the first entry: one queue and one namespace, both `default`.
    pub fn new() -> State {
        let namespace = NamespaceHead { name: Namespace::DEFAULT.into(), created_wall_ms: 0 };
        let queue = Queue { name: "default".into(), config: QueueConfig::default(), deleted: false };
        let pool = Pool { name: PoolConfig::DEFAULT.into(), config: PoolConfig::default(), deleted: false };
        let core = Core {
            clock: Clock::default(),
            jobs: imbl::OrdMap::new(),
            requests: imbl::OrdMap::new(),
            classes: imbl::Vector::new(),
            nodes: imbl::Vector::new(),
            pools: imbl::Vector::unit(Arc::new(pool)),
            shares: Shares::default(),
            ledger: Ledger::default(),
            maintenance: imbl::OrdMap::new(),
            queues: imbl::Vector::unit(Arc::new(queue)),
            deadlines: imbl::OrdSet::new(),
            finished: imbl::OrdSet::new(),
            servers: BTreeMap::new(),
            namespaces: imbl::OrdMap::unit(namespace.name.clone(), namespace),
            tokens: imbl::OrdMap::new(),
            removed_nodes: imbl::OrdMap::new(),
            retention: Retention::default(),
        };
        State::from_core(core)
    }

    /// Does what an entry says. `index` is its place in the log, one past the last.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        self.skip(index);
        let clock = &mut self.core.clock;
        clock.now_ms = clock.now_ms.max(entry.now_ms);
        clock.wall_ms = entry.wall_ms;
        self.view.now_ms = clock.now_ms;
        self.view.wall_ms = clock.wall_ms;
        let mut events = Vec::new();
        let reply = self.command(&entry.command, &mut events);
        self.put_down_counted();
        Applied { reply, events }
    }

    /// An entry of the log that is not for the state.
    pub fn skip(&mut self, index: u64) {
        assert!(index > self.core.clock.index, "entry {index} after {}", self.core.clock.index);
        self.core.clock.index = index;
    }

    /// Index of the last entry.
    pub fn index(&self) -> u64 {
        self.core.clock.index
    }

    /// State time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.core.clock.now_ms
    }

    /// The leader's wall clock at the last entry.
    pub fn wall_ms(&self) -> u64 {
        self.core.clock.wall_ms
    }

    /// Whether a life of an agent began in another cluster, from whose backup this one was made. It cannot go on here, though it counts as
    /// alive until its lease has surely ended.
    pub fn is_of_another_cluster(&self, incarnation: taskyard_model::Incarnation) -> bool {
        self.core.clock.restored.is_some_and(|at| incarnation.0 < at)
    }

    /// What the planner sees.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// State time at which something is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadline = self.core.deadlines.get_min().map(|(at, _)| *at);
        deadline.into_iter().chain(self.forget_at()).min()
    }

    pub(crate) fn fence(&self) -> taskyard_model::Fence {
        taskyard_model::Fence(self.core.clock.index)
    }

    pub(crate) fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.core.jobs.get_mut(&id).map(Arc::make_mut)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.core.nodes.get_mut((id.0 as usize).checked_sub(1)?).map(Arc::make_mut)
    }
}
