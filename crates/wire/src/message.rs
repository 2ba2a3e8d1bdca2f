//! What an agent and a server say to each other.
//!
//! Either side may lose the connection at any time. Each session starts from what both sides hold: the server sends
//! every assignment of the incarnation that has not ended, the agent every report that is not acknowledged; each
//! ignores what it already has.
//!
//! Only the leader has sessions. Beside its session an agent keeps a connection to another server that *stands by*:
//! there it hears who leads, and when that server itself comes to lead, the connection becomes the session.

use minicbor::{Decode, Encode};
use taskyard_model::report::Item;
use taskyard_model::{
    Capacity, Fence, Incarnation, JobId, JobSpec, NodeId, TaskIndex, TaskRef, constraint::Labels,
};

/// From an agent.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum ToServer {
    /// Who is calling. First message of each connection; on one that stands by, a second one makes a session of it.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// Still alive. On a connection that stands by it only says that, and is answered by [`ToAgent::Alive`].
    #[n(1)]
    Heartbeat {
        /// The agent's CLOCK_BOOTTIME before sending, in milliseconds; echoed in [`Granted`].
        #[n(0)]
        sent_boot_ms: u64,
        /// How busy the machine is.
        #[n(1)]
        load: Load,
    },
    /// What happened, in order. Numbers count from 1 in each life of the agent process and have no gaps; a report
    /// that is not acknowledged is sent again in the next session.
    #[n(2)]
    Report {
        /// Number of this report.
        #[n(0)]
        seq: u64,
        /// What happened.
        #[n(1)]
        items: Vec<Item>,
    },
    /// Answer to [`ToAgent::ReadLog`].
    #[n(3)]
    Log(#[n(0)] LogChunk),
    /// The agent stops, nothing runs, and all that ever ran is reported and acknowledged: what else it was given
    /// never started.
    #[n(4)]
    Goodbye,
    /// Whether the agent takes work: first message of each session, and again when it changes.
    #[n(5)]
    Health(#[n(0)] Health),
}

/// Whether an agent takes work. The default is that it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Health {
    /// Why it cannot run tasks, for people.
    #[n(0)]
    pub unfit: Option<String>,
    /// It was told to stop: it takes nothing more, gives back what never started, and says goodbye when the rest has
    /// ended.
    #[n(1)]
    pub stopping: bool,
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Hello {
    /// Version of the program.
    #[n(0)]
    pub version: String,
    /// Name of the node.
    #[n(1)]
    pub node: String,
    /// Random identity of the agent's data directory, so that two machines of one name are told apart.
    #[n(2)]
    pub agent_uuid: String,
    /// Boot id of the kernel.
    #[n(3)]
    pub boot_id: String,
    /// The registered life this process goes on with, or reports the end of if it is the one in `replaces`; `None`
    /// asks for a new one, and says that nothing of an older life is left running.
    #[n(4)]
    pub incarnation: Option<Incarnation>,
    /// Highest term of a server this agent has seen.
    #[n(5)]
    pub term: u64,
    /// What the node offers.
    #[n(6)]
    pub capacity: Capacity,
    /// Its labels.
    #[n(7)]
    pub labels: Labels,
    /// Random identity of this process: report numbers count from 1 in each.
    #[n(8)]
    pub process: u64,
    /// How tasks are contained on this node: `pid-namespace` or `process-group`.
    #[n(9)]
    pub isolation: String,
    /// The cluster that the agent's data directory belongs to: that of its first welcome. Another cluster refuses it,
    /// since the two give the same ids to different jobs.
    #[n(11)]
    pub cluster: Option<String>,
    /// No session is asked for: the connection stands by, and hears who leads (see [`Servers`]).
    #[n(12)]
    #[cbor(default)]
    pub standby: bool,
    /// The life whose processes this agent knows to be dead: that of the process before it on this very directory, in
    /// this boot of the machine. Any other life that has not ended must be waited for.
    #[n(13)]
    #[cbor(default)]
    pub replaces: Option<Incarnation>,
    /// Why the agent cannot run tasks now.
    #[n(14)]
    #[cbor(default)]
    pub unfit: Option<String>,
}

impl Hello {
    /// This process is a new one and names the life of the one before it only to report what that left; it registers
    /// again afterwards.
    pub fn reports_end(&self) -> bool {
        self.incarnation.is_some() && self.incarnation == self.replaces
    }
}

/// How busy a machine is. The default says nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Load {
    /// Load average of one minute, in thousandths.
    #[n(0)]
    pub load1_milli: u64,
    /// Available memory in bytes.
    #[n(1)]
    pub memory_available: u64,
    /// Processors of the machine; 0 if the agent is too old to say.
    #[n(2)]
    #[cbor(default)]
    pub processors: u32,
}

/// From a server.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum ToAgent {
    /// The session stands.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// It does not.
    #[n(1)]
    Refused(#[n(0)] Refused),
    /// Answer to a heartbeat: the lease goes on.
    #[n(2)]
    Granted(#[n(0)] Granted),
    /// A job's body: once per session before its first attempt, and again when it changes. New limits hold for what
    /// runs too.
    #[n(3)]
    Job {
        /// The job.
        #[n(0)]
        job: JobId,
        /// What was asked for.
        #[n(1)]
        spec: Box<JobSpec>,
        /// Whose job it is.
        #[n(2)]
        owner: String,
    },
    /// Attempts to run or to hold.
    #[n(4)]
    Start {
        /// Term of the sending leader: refused when below the highest seen.
        #[n(0)]
        term: u64,
        /// Session, from [`Welcome`].
        #[n(1)]
        session: u64,
        /// The attempts, in order of fence.
        #[n(2)]
        runs: Vec<StartRun>,
    },
    /// Stop these attempts: SIGTERM, then SIGKILL after the job's grace; a prefetched one never starts.
    #[n(5)]
    Cancel {
        /// The task.
        #[n(0)]
        task: TaskRef,
        /// Up to and including this fence.
        #[n(1)]
        fence: Fence,
        /// SIGKILL at once, also to what was asked to stop before.
        #[n(2)]
        now: bool,
    },
    /// Give back every prefetched attempt of the job up to this fence: answered with `Returned` items.
    #[n(6)]
    Recall {
        /// The job.
        #[n(0)]
        job: JobId,
        /// Up to and including this fence.
        #[n(1)]
        fence: Fence,
    },
    /// Reports up to this number are in the log: the agent forgets them.
    #[n(7)]
    Ack {
        /// Number of the last one.
        #[n(0)]
        seq: u64,
    },
    /// Read captured output.
    #[n(8)]
    ReadLog(#[n(0)] LogRead),
    /// These jobs are forgotten: drop their bodies and their captured output.
    #[n(9)]
    Forget {
        /// The oldest job that is kept.
        #[n(0)]
        before: JobId,
        /// Younger ones that are forgotten too, from the first to the last.
        #[n(1)]
        #[cbor(default)]
        gaps: Vec<(JobId, JobId)>,
    },
    /// Who leads, and which servers there are: first message on a connection that stands by, second in a session, and
    /// again when it changes.
    #[n(10)]
    Servers(#[n(0)] Servers),
    /// Answer to a heartbeat on a connection that stands by.
    #[n(11)]
    Alive,
}

/// The cluster as one of its servers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Servers {
    /// Number of the server that says this.
    #[n(0)]
    pub from: u64,
    /// Its term.
    #[n(1)]
    pub term: u64,
    /// It leads, and takes sessions.
    #[n(2)]
    pub leads: bool,
    /// Where the leader is reached, if another server leads and this one knows it.
    #[n(3)]
    pub leader: Option<String>,
    /// Where every server is reached that has not left.
    #[n(4)]
    pub all: Vec<String>,
    /// Log index at which those were the servers: of two lists the one with the higher index is the newer.
    #[n(5)]
    pub as_of: u64,
    /// On a connection that stands by: heartbeats at least this often, milliseconds.
    #[n(6)]
    pub heartbeat_ms: u64,
}

/// The session stands.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Welcome {
    /// The node's id.
    #[n(0)]
    pub node: NodeId,
    /// The agent's registered life: the one it asked to go on with, or a new one.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Term of the leader.
    #[n(2)]
    pub term: u64,
    /// This connection.
    #[n(3)]
    pub session: u64,
    /// Length of a lease (D), milliseconds.
    #[n(4)]
    pub lease_ms: u64,
    /// Heartbeats at least this often, milliseconds.
    #[n(5)]
    pub heartbeat_ms: u64,
    /// The cluster; servers before version 0.2 do not say it.
    #[n(6)]
    pub cluster: Option<String>,
}

/// Why there is no session, or none any more. Always the last message of a connection.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Refused {
    /// The incarnation was declared lost: kill what runs, report it, then call again with `incarnation: None`.
    #[n(0)]
    pub lost: bool,
    /// For people: what is wrong and how to mend it.
    #[n(1)]
    pub message: String,
    /// Try again after this time; 0 when that is of no use.
    #[n(2)]
    pub retry_after_ms: u64,
    /// Where the leader is reached, if another server leads: to be tried at once.
    #[n(3)]
    pub leader: Option<String>,
}

impl Refused {
    /// No server of the cluster would answer otherwise, now or later.
    pub fn is_final(&self) -> bool {
        !self.lost && self.leader.is_none() && self.retry_after_ms == 0
    }
}

/// The lease goes on (semantics: deadline = max(deadline, sent_boot_ms + remaining_ms)).
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Granted {
    /// Echo of the heartbeat.
    #[n(0)]
    pub sent_boot_ms: u64,
    /// What is left of the lease, counted from `sent_boot_ms`; 0 grants nothing.
    #[n(1)]
    pub remaining_ms: u64,
    /// Whose lease.
    #[n(2)]
    pub incarnation: Incarnation,
    /// Term of the leader.
    #[n(3)]
    pub term: u64,
    /// This connection.
    #[n(4)]
    pub session: u64,
}

/// Attempts of consecutive tasks that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StartRun {
    /// Their job.
    #[n(0)]
    pub job: JobId,
    /// The first task.
    #[n(1)]
    pub first: TaskIndex,
    /// How many.
    #[n(2)]
    pub count: u32,
    /// Which attempt of each it is, from 1.
    #[n(3)]
    pub attempt: u32,
    /// Their fence.
    #[n(4)]
    pub fence: Fence,
    /// Prefetched: starts only in the place of an attempt of the same group that ended here.
    #[n(5)]
    pub prefetched: bool,
    /// Attempts of equal group may take over each other's place.
    #[n(6)]
    pub group: u32,
    /// GPU devices and thousandths of each (then `count` is 1).
    #[n(7)]
    pub gpus: Vec<(u16, u32)>,
}

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Stream {
    /// Standard output.
    #[n(0)]
    Stdout,
    /// Standard error.
    #[n(1)]
    Stderr,
}

/// Read captured output of one attempt.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct LogRead {
    /// Echoed in the answer.
    #[n(0)]
    pub request: u64,
    /// The task.
    #[n(1)]
    pub task: TaskRef,
    /// The attempt, from 1.
    #[n(2)]
    pub attempt: u32,
    /// Which output.
    #[n(3)]
    pub stream: Stream,
    /// From this byte; `None` reads from `tail_lines` lines before the end.
    #[n(4)]
    pub offset: Option<u64>,
    /// With `offset: None`: this many last lines.
    #[n(5)]
    pub tail_lines: u64,
    /// At most this many bytes.
    #[n(6)]
    pub max: u32,
    /// If nothing is there yet and the attempt goes on, wait this long for more.
    #[n(7)]
    pub wait_ms: u32,
    /// `offset` counts what readers are shown (see [`LogChunk::offset`]); else it is the [`LogChunk::next`] of the
    /// chunk before.
    #[n(8)]
    pub shown: bool,
}

/// Why output cannot be read, in words that name the file and the cause.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Unread {
    /// It is not captured: the job names a file for it.
    #[n(0)]
    Elsewhere(#[n(0)] String),
    /// It was captured, and was dropped since or is damaged.
    #[n(1)]
    Lost(#[n(0)] String),
    /// The node lacks something that reading takes, such as descriptors; the output may be whole.
    #[n(2)]
    NotNow(#[n(0)] String),
}

/// Part of captured output.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct LogChunk {
    /// Which read.
    #[n(0)]
    pub request: u64,
    /// Where it begins in what readers are shown: a line that tells of dropped bytes counts, the dropped bytes do not.
    #[n(1)]
    pub offset: u64,
    /// The bytes.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub data: Vec<u8>,
    /// The attempt has ended and nothing follows.
    #[n(3)]
    pub end: bool,
    /// Why it cannot be read.
    #[n(4)]
    pub error: Option<Unread>,
    /// Bytes dropped because the output passed its limit.
    #[n(5)]
    pub dropped: u64,
    /// Where the next one begins in the output as it was written.
    #[n(6)]
    pub next: u64,
}
