//! What goes into the log: [`Command`] names everything that can change the state, and the files here say what the larger ones carry.

mod access;
mod job;
mod node;
mod settings;

pub use access::NewToken;
pub use job::{Change, Submit};
pub use node::{Maintenance, Register};
pub use settings::{AccountChange, KeepChange};

use crate::server::{ServerRole, ServerStarted};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use taskyard_model::{Incarnation, JobId, NodeId, Plan, PoolConfig, QueueConfig, Report, TaskIndex};

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Entry {
    /// State time in milliseconds: last applied time plus what has passed on the leader's CLOCK_BOOTTIME. Made monotone by `apply`.
    #[n(0)]
    pub now_ms: u64,
    /// The leader's wall clock, milliseconds since 1970. For display and cron, never for safety.
    #[n(1)]
    pub wall_ms: u64,
    /// What is to be done.
    #[n(2)]
    pub command: Command,
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Command {
    /// A leadership begins in this process. Until it is applied the leader grants and starts nothing.
    #[n(0)]
    LeaderStart {
        /// The server.
        #[n(0)]
        server: u64,
        /// Random per process.
        #[n(1)]
        nonce: u64,
    },
    /// Nothing: proves the leadership and moves time.
    #[n(1)]
    Tick,
    /// A new job.
    #[n(2)]
    Submit(#[n(0)] Box<Submit>),
    /// Decisions of the planner; each is checked again here.
    #[n(3)]
    CommitPlan(#[n(0)] Plan),
    /// An agent begins a life. An older one of the same name must have ended, or be the one that it replaces.
    #[n(4)]
    Register(#[n(0)] Box<Register>),
    /// What an agent reports.
    #[n(5)]
    Report(#[n(0)] Report),
    /// An agent's lease has surely ended: its attempts are dead.
    #[n(6)]
    Lost {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// The life that ended.
        #[n(1)]
        incarnation: Incarnation,
        /// How long the agent had not been heard of by then, in milliseconds: what ran surely ran until that.
        #[n(2)]
        silent_ms: u64,
    },
    /// End a job, or some of its tasks.
    #[n(7)]
    Cancel {
        /// The job.
        #[n(0)]
        job: JobId,
        /// Runs of (first index, how many); empty means the whole job.
        #[n(1)]
        tasks: Vec<(TaskIndex, u32)>,
        /// What runs is killed at once, without its grace; also what was cancelled before.
        #[n(2)]
        now: bool,
    },
    /// Nothing more of the job is assigned until it is released.
    #[n(8)]
    Hold {
        /// The job.
        #[n(0)]
        job: JobId,
    },
    /// The opposite of `Hold`.
    #[n(9)]
    Release {
        /// The job.
        #[n(0)]
        job: JobId,
    },
    /// Change a job that is not finished.
    #[n(10)]
    Update {
        /// The job.
        #[n(0)]
        job: JobId,
        /// What changes.
        #[n(1)]
        change: Change,
    },
    /// Make a queue, or change its settings.
    #[n(11)]
    SetQueue {
        /// Its name.
        #[n(0)]
        name: String,
        /// All its settings.
        #[n(1)]
        config: QueueConfig,
    },
    /// Let a node take no new work, or take it again.
    #[n(12)]
    Drain {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// Whether it takes no new work.
        #[n(1)]
        draining: bool,
        /// Why, for people; may be empty.
        #[n(2)]
        reason: String,
        /// Who asks for it.
        #[n(3)]
        by: String,
    },
    /// Something is due: retries, retention.
    #[n(13)]
    Pulse,
    /// The process of an agent ended; a new one reports what it left under this life, and then registers anew.
    #[n(14)]
    Ending {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// The life that is about to end.
        #[n(1)]
        incarnation: Incarnation,
    },
    /// An agent says whether it can run tasks.
    #[n(36)]
    NodeHealth {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// The life of its agent.
        #[n(1)]
        incarnation: Incarnation,
        /// Why it cannot; `None` if it can.
        #[n(2)]
        unfit: Option<String>,
    },
    /// Two machines run agents with one identity: neither gets more work until one of them is gone.
    #[n(37)]
    Quarantine {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// The life that was registered first.
        #[n(1)]
        incarnation: Incarnation,
        /// Boot id of the other machine's kernel; `None` if only one is left.
        #[n(2)]
        rival: Option<String>,
    },
    /// An agent has ended in an orderly way: what it reported is all that ever ran there.
    #[n(38)]
    Left {
        /// The node.
        #[n(0)]
        node: NodeId,
        /// The life that ended.
        #[n(1)]
        incarnation: Incarnation,
    },
    /// Change how long finished jobs are remembered.
    #[n(15)]
    SetRetention(#[n(0)] KeepChange),
    /// Make a pool, or change its settings.
    #[n(16)]
    SetPool {
        /// Its name.
        #[n(0)]
        name: String,
        /// All its settings.
        #[n(1)]
        config: PoolConfig,
    },
    /// Delete a queue without jobs.
    #[n(19)]
    DeleteQueue {
        /// Its name.
        #[n(0)]
        name: String,
    },
    /// Delete a pool that no queue uses.
    #[n(25)]
    DeletePool {
        /// Its name.
        #[n(0)]
        name: String,
    },
    /// Plan a time in which nodes are to be maintained, or change it.
    #[n(26)]
    SetMaintenance {
        /// Its name.
        #[n(0)]
        name: String,
        /// When and where.
        #[n(1)]
        window: Maintenance,
    },
    /// Call a time of maintenance off.
    #[n(27)]
    DeleteMaintenance {
        /// Its name.
        #[n(0)]
        name: String,
    },
    /// Set the share of an account, or of a user on it.
    #[n(17)]
    SetShare {
        /// The account; empty for work that names none.
        #[n(0)]
        account: String,
        /// The user, or the account as a whole.
        #[n(1)]
        user: Option<String>,
        /// Its weight among its like.
        #[n(2)]
        weight: u32,
    },
    /// Say who may charge an account.
    #[n(28)]
    SetAccount {
        /// Its name.
        #[n(0)]
        name: String,
        /// What changes.
        #[n(1)]
        change: AccountChange,
    },
    /// Set the time in which past use counts half.
    #[n(18)]
    SetHalfLife {
        /// In milliseconds of state time.
        #[n(0)]
        ms: u64,
    },
    /// Make a namespace.
    #[n(20)]
    CreateNamespace {
        /// Its name.
        #[n(0)]
        name: String,
    },
    /// Make a token.
    #[n(21)]
    CreateToken(#[n(0)] Box<NewToken>),
    /// Make a token worthless.
    #[n(22)]
    RevokeToken {
        /// Its id.
        #[n(0)]
        id: String,
    },
    /// Use a token that is good for one certificate.
    #[n(23)]
    UseToken {
        /// Its id.
        #[n(0)]
        id: String,
        /// Hash of the key and the name that get the certificate: the same may ask again.
        #[n(1)]
        key: ByteArray<32>,
    },
    /// Shut a node out: what joined under its name before this entry is not good any more, and what runs there ends with its lease.
    #[n(24)]
    RemoveNode {
        /// Its name.
        #[n(0)]
        name: String,
        /// Also if it is up and not drained, or no node of the name ever registered.
        #[n(1)]
        force: bool,
    },
    /// A new server asks for a number.
    #[n(30)]
    AdmitServer {
        /// Random number of its data directory.
        #[n(0)]
        directory: u64,
        /// Where others reach it.
        #[n(1)]
        url: String,
        /// What it is meant to be.
        #[n(2)]
        role: ServerRole,
    },
    /// A server's process has started.
    #[n(31)]
    ServerStarted(#[n(0)] Box<ServerStarted>),
    /// Changes what a server is meant to be.
    #[n(32)]
    SetServer {
        /// The server.
        #[n(0)]
        id: u64,
        /// What it is meant to be.
        #[n(1)]
        role: ServerRole,
    },
    /// First entry of a cluster that was made from a backup: no life of an agent from before goes on.
    #[n(40)]
    Restored {
        /// The new cluster.
        #[n(0)]
        cluster: String,
        /// Log index of the backup, in the cluster that made it.
        #[n(1)]
        at: u64,
    },
}
