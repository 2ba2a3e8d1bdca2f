//! What comes out of `apply`.

use crate::phase::Phase;
use crate::server::Impostor;
use taskyard_model::{Incarnation, Invalid, JobId, NodeChange, NodeId, TaskIndex};

/// Result of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Answer to whoever proposed it.
    pub reply: Reply,
    /// What changed, in order. Only to be shown; nothing may depend on having seen them.
    pub events: Vec<Event>,
}

/// Answer to a proposer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// The job stands.
    Submitted {
        /// Its id.
        job: JobId,
        /// Its tasks.
        tasks: u32,
        /// It stood before: this request id was seen already.
        duplicate: bool,
    },
    /// The agent's life has begun.
    Registered {
        /// Its node.
        node: NodeId,
        /// The life.
        incarnation: Incarnation,
    },
    /// How much of a plan stood the second check.
    Planned {
        /// Tasks assigned.
        accepted: u64,
        /// Tasks that were refused and stay pending.
        refused: u64,
    },
    /// So many tasks were affected.
    Changed {
        /// Tasks.
        tasks: u64,
    },
    /// The server's number.
    Server {
        /// It.
        id: u64,
    },
    /// The token is used.
    Used {
        /// Log index of its first use.
        at: u64,
    },
    /// Nothing changed.
    Rejected(Rejection),
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No such job.
    NoJob(JobId),
    /// A job that another was to wait for is not there.
    NoPredecessor {
        /// The job.
        job: JobId,
        /// It was there once, and has been forgotten since it ended.
        was_there: bool,
    },
    /// No such queue.
    NoQueue(String),
    /// No such pool.
    NoPool(String),
    /// No such time of maintenance.
    NoMaintenance(String),
    /// The queue does not take such a job.
    Unfit(Invalid),
    /// The queue cannot be deleted: it is the default one, or has jobs that are not finished.
    QueueBusy {
        /// The queue.
        queue: String,
        /// How many.
        jobs: u64,
    },
    /// The pool cannot be deleted: it is the default one, or queues use it.
    PoolBusy {
        /// The pool.
        pool: String,
        /// Which.
        queues: Vec<String>,
    },
    /// No such node.
    NoNode(NodeId),
    /// The job has ended.
    JobFinished(JobId),
    /// The job has tasks on nodes, so it cannot change its queue.
    JobBusy(JobId),
    /// The report or loss concerns another life of the agent.
    StaleIncarnation(Incarnation),
    /// A named limit was reached.
    Limit(&'static str, u64),
    /// The state would take more memory than it may.
    StateFull {
        /// What it takes now.
        bytes: u64,
        /// What it may.
        limit: u64,
    },
    /// Another machine already lives under this name.
    NameTaken(String),
    /// An older life of the same agent may not have ended.
    StillAlive(String),
    /// No node ever registered under this name.
    NoNodeNamed(String),
    /// The node is up, and not drained.
    NodeBusy(String),
    /// The node was removed since it joined.
    NodeRemoved(String),
    /// No such server, or it has left.
    NoServer(u64),
    /// Without it nothing could be decided.
    LastVoter(u64),
    /// This process is not the server it says it is.
    Impostor(u64, Impostor),
    /// No such namespace.
    NoNamespace(String),
    /// No such token.
    NoToken(String),
    /// Another key got the one certificate that this token is good for.
    TokenUsed(String),
    /// A token has this id already.
    TokenExists(String),
    /// There was a token before.
    NotFirstToken,
}

/// Something that changed, for event streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new job.
    JobSubmitted {
        /// The job.
        job: JobId,
        /// How many tasks.
        tasks: u32,
    },
    /// Held, released, cancelled, skipped or updated.
    JobChanged {
        /// The job.
        job: JobId,
        /// What was done to it.
        what: &'static str,
    },
    /// Tasks moved to a phase.
    Tasks {
        /// Their job.
        job: JobId,
        /// The first task.
        first: TaskIndex,
        /// How many.
        count: u32,
        /// Where they are now.
        phase: Phase,
    },
    /// All tasks of a job have ended.
    JobFinished {
        /// The job.
        job: JobId,
        /// How the job ended: `Succeeded`, `Failed`, `Cancelled` or `Skipped`.
        phase: Phase,
    },
    /// A node moved on in its life.
    NodeChanged {
        /// The node.
        node: NodeId,
        /// What happened.
        change: NodeChange,
        /// Why, if somebody said so.
        why: String,
    },
    /// A pool was made or changed.
    PoolChanged {
        /// Its name.
        pool: String,
    },
    /// A time of maintenance was planned, changed or called off.
    MaintenanceChanged {
        /// Its name.
        window: String,
    },
    /// A share of an account or user was changed, or how fast past use is forgotten.
    SharesChanged,
    /// A queue was made or changed.
    QueueChanged {
        /// Its name.
        queue: String,
    },
    /// A queue was deleted.
    QueueDeleted {
        /// Its name.
        queue: String,
    },
    /// A pool was deleted.
    PoolDeleted {
        /// Its name.
        pool: String,
    },
    /// The rule of retention was changed.
    RetentionChanged,
}
