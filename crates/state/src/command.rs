//! What goes into the log.

use crate::server::{ServerRole, ServerStarted};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use taskyard_model::{
    Begin, Capacity, Constraint, CredentialKind, Grant, Incarnation, JobId, JobSpec, NodeId, Plan,
    PoolConfig, QueueConfig, Report, TaskIndex, constraint::Labels,
};

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

/// What [`Command::SetAccount`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccountChange {
    /// Whether everybody who may submit may charge it; with `false`, those who were named.
    #[n(0)]
    pub everyone: Option<bool>,
    /// Users who may charge it from now on, and only those who are named so.
    #[n(1)]
    pub grant: Vec<String>,
    /// Users who may no longer.
    #[n(2)]
    pub revoke: Vec<String>,
}

/// See [`Command::SetMaintenance`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Maintenance {
    /// Which nodes; without terms, all of them.
    #[n(0)]
    pub nodes: Constraint,
    /// Wall clock of its begin.
    #[n(1)]
    pub from_wall_ms: u64,
    /// Wall clock of its end.
    #[n(2)]
    pub until_wall_ms: u64,
}

/// See [`Command::CreateToken`]. What its holder will know is hashed before it comes here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewToken {
    /// Its id, drawn at random.
    #[n(0)]
    pub id: String,
    /// Hash of what its holder knows.
    #[n(1)]
    pub hash: ByteArray<32>,
    /// In whose name it speaks.
    #[n(2)]
    pub user: String,
    /// What people write about it; may be empty.
    #[n(3)]
    pub label: String,
    /// What may hold it.
    #[n(4)]
    pub kind: CredentialKind,
    /// What it may do, already checked.
    #[n(5)]
    pub grants: Vec<Grant>,
    /// How long it is good, in milliseconds of state time; for ever if that is missing.
    #[n(6)]
    pub life_ms: Option<u64>,
    /// Who makes it; empty for the first one.
    #[n(7)]
    pub created_by: String,
    /// Make it only if there never was one: the first one is made without a credential.
    #[n(8)]
    #[cbor(default)]
    pub only_first: bool,
    /// It is good for certificates and nothing else.
    #[n(9)]
    #[cbor(default)]
    pub join: bool,
    /// For how many of them, each for another machine.
    #[n(10)]
    pub uses: u32,
}

/// What [`Command::SetRetention`] changes; `None` leaves as it is. See [`taskyard_model::Retention`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct KeepChange {
    /// New time after the end.
    #[n(0)]
    pub keep_ms: Option<u64>,
    /// New number of jobs.
    #[n(1)]
    pub max_jobs: Option<u64>,
    /// New number of tasks.
    #[n(2)]
    pub max_tasks: Option<u64>,
    /// New bytes of inputs.
    #[n(3)]
    pub max_bytes: Option<u64>,
    /// New bytes of the state.
    #[n(4)]
    pub state_bytes: Option<u64>,
}

/// See [`Command::Submit`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Submit {
    /// What is asked for, already checked.
    #[n(0)]
    pub spec: JobSpec,
    /// Whose job.
    #[n(1)]
    pub owner: String,
    /// The client's key: the same key of the same owner makes one job, however often it is sent. Empty: none.
    #[n(2)]
    pub request_id: String,
    /// The job whose tasks it runs again.
    #[n(3)]
    pub retry_of: Option<JobId>,
}

/// See [`Command::Register`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Register {
    /// Name of the node.
    #[n(0)]
    pub name: String,
    /// Random identity of the agent's data directory.
    #[n(1)]
    pub agent_uuid: String,
    /// Boot id of its kernel.
    #[n(2)]
    pub boot_id: String,
    /// What it offers.
    #[n(3)]
    pub capacity: Capacity,
    /// Its labels.
    #[n(4)]
    pub labels: Labels,
    /// How its tasks are contained, for people.
    #[n(5)]
    pub isolation: String,
    /// Length of a lease, kept for this incarnation.
    #[n(6)]
    pub lease_ms: u64,
    /// Log index of the entry by which its certificate was first gotten; `None` where agents show none.
    #[n(7)]
    pub joined: Option<u64>,
    /// The life of this name that has surely ended, because the agent saw all of its processes dead: it need not be waited for.
    #[n(8)]
    pub replaces: Option<Incarnation>,
    /// Why the agent cannot run tasks yet.
    #[n(9)]
    pub unfit: Option<String>,
}

/// What [`Command::Update`] changes; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// New priority.
    #[n(0)]
    pub priority: Option<i32>,
    /// New queue.
    #[n(1)]
    pub queue: Option<String>,
    /// New time limit, also of what runs; 0 removes it.
    #[n(2)]
    pub time_limit_ms: Option<u64>,
    /// New estimate; 0 removes it.
    #[n(3)]
    pub estimate_ms: Option<u64>,
    /// New number of tasks at once; 0 removes it.
    #[n(4)]
    pub max_running: Option<u32>,
    /// New number of retries.
    #[n(5)]
    pub retries: Option<u32>,
    /// New time before which nothing of it starts; a delay of 0 removes it.
    #[n(6)]
    pub begin: Option<Begin>,
    /// New grace, also of what runs.
    #[n(7)]
    pub grace_ms: Option<u64>,
    /// New name.
    #[n(8)]
    pub name: Option<String>,
    /// New number of cores of a task, in thousandths.
    #[n(9)]
    pub cpu_milli: Option<u64>,
    /// New memory of a task, in bytes.
    #[n(10)]
    pub memory: Option<u64>,
    /// New number of GPUs of a task, in thousandths.
    #[n(11)]
    pub gpu_milli: Option<u32>,
    /// New constraint; one without terms removes it.
    #[n(12)]
    pub constraint: Option<Constraint>,
}
