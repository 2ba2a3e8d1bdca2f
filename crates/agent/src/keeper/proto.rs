//! What the agent and its keeper say to each other, over a socketpair, in the framing of `wire`. Both are always the same build: the agent
//! starts its keeper from its own executable, so nothing here needs to be compatible with another version.

use minicbor::{Decode, Encode};
use taskyard_model::Outcome;

/// From the agent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum ToKeeper {
    /// First message.
    #[n(0)]
    Setup(#[n(0)] Setup),
    /// A job's body; before its first attempt.
    #[n(1)]
    Job(#[n(0)] Box<JobBody>),
    /// Nothing more of this job for now.
    #[n(2)]
    DropJob(#[n(0)] u64),
    /// Attempts to start now (`run`) or in the place of one of the same group that ends.
    #[n(3)]
    Prepare(#[n(0)] Vec<Order>),
    /// Start these now, if they did not start already.
    #[n(4)]
    Go(#[n(0)] Vec<u64>),
    /// Give these back, if they did not start.
    #[n(5)]
    Unprepare(#[n(0)] Vec<u64>),
    /// Stop this attempt; one that did not start is given back.
    #[n(6)]
    Kill {
        #[n(0)]
        key: u64,
        #[n(1)]
        why: Outcome,
    },
    /// Kill this attempt, which was asked to stop, without waiting for the end of its grace.
    #[n(11)]
    EndGrace(#[n(0)] u64),
    /// Until when (CLOCK_BOOTTIME) tasks may live.
    #[n(7)]
    Lease(#[n(0)] Lease),
    /// Where is the output of this running attempt? Gives its files their final names.
    #[n(8)]
    Publish(#[n(0)] u64),
    /// To be answered by [`Event::Pong`]. Nothing is started long after the last one was sent.
    #[n(9)]
    Ping {
        /// CLOCK_BOOTTIME in milliseconds.
        #[n(0)]
        sent_ms: u64,
    },
    /// Kill what runs, without grace. Why each is to end was said before.
    #[n(10)]
    KillNow,
    /// The agent could not do its part in preparing a job, for this error number.
    #[n(14)]
    Unprepared {
        #[n(0)]
        job: u64,
        #[n(1)]
        errno: i32,
    },
    /// The files of this job are removed.
    #[n(13)]
    Forgotten(#[n(0)] u64),
    /// A job's limits are others now, also for what runs.
    #[n(12)]
    Limits {
        #[n(0)]
        job: u64,
        #[n(1)]
        limits: Limits,
    },
}

/// How long each attempt of a job may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Limits {
    /// From its start until it is asked to stop.
    #[n(0)]
    pub(crate) time_limit_ms: Option<u64>,
    /// From then until it is killed.
    #[n(1)]
    pub(crate) grace_ms: u64,
}

/// The lease as the keeper enforces it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Lease {
    /// End, milliseconds of CLOCK_BOOTTIME.
    #[n(0)]
    pub(crate) deadline_ms: u64,
    /// Length (D), milliseconds.
    #[n(1)]
    pub(crate) length_ms: u64,
}

impl Lease {
    /// With less than this left nothing new starts: 5 s, or a third of a short lease.
    pub(crate) fn may_start(&self, boot_ms: u64) -> bool {
        self.deadline_ms.saturating_sub(boot_ms) > (self.length_ms / 3).min(5_000)
    }

    /// From here on tasks are asked to stop, given the longest grace among them. A third of the lease at most: the rest is what servers may be
    /// away without a task noticing.
    pub(crate) fn term_at(&self, grace_ms: u64) -> u64 {
        self.deadline_ms.saturating_sub((grace_ms + 2_000).min(self.length_ms / 3))
    }

    /// Here they are killed.
    pub(crate) fn kill_at(&self) -> u64 {
        self.deadline_ms.saturating_sub((self.length_ms / 4).min(1_000))
    }
}

/// What a keeper must know of its agent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Setup {
    /// The agent's data directory.
    #[n(0)]
    pub(crate) data_dir: String,
    /// Name of the node.
    #[n(1)]
    pub(crate) node: String,
    /// Threads that start tasks and wait for them.
    #[n(2)]
    pub(crate) workers: u32,
    /// Captured output that is kept of one stream of one attempt, in bytes.
    #[n(3)]
    pub(crate) output_bytes_max: u64,
    /// Captured output that is kept in all, in bytes.
    #[n(4)]
    pub(crate) output_of_node_bytes_max: u64,
}

/// How to run the tasks of a job.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct JobBody {
    #[n(0)]
    pub(crate) job: u64,
    #[n(1)]
    pub(crate) name: String,
    #[n(2)]
    pub(crate) argv: Vec<String>,
    /// The whole environment but for what differs from task to task.
    #[n(3)]
    pub(crate) env: Vec<(String, String)>,
    #[n(4)]
    pub(crate) cwd: Option<String>,
    #[n(5)]
    pub(crate) stdin: Option<String>,
    #[n(6)]
    pub(crate) stdout: Option<String>,
    #[n(7)]
    pub(crate) stderr: Option<String>,
    #[n(8)]
    pub(crate) limits: Limits,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Order {
    /// The agent's name for it.
    #[n(0)]
    pub(crate) key: u64,
    #[n(1)]
    pub(crate) job: u64,
    #[n(2)]
    pub(crate) number: u64,
    #[n(3)]
    pub(crate) attempt: u32,
    #[n(4)]
    pub(crate) fence: u64,
    #[n(5)]
    pub(crate) group: u32,
    /// Start now, rather than in the place of another.
    #[n(6)]
    pub(crate) run: bool,
    /// Position of the task in its job: what its files are named after.
    #[n(9)]
    pub(crate) index: u32,
    #[n(7)]
    pub(crate) entry: Option<String>,
    #[n(8)]
    pub(crate) gpus: Vec<u16>,
}

/// From the keeper: what happened, in order.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct FromKeeper(#[n(0)] pub(crate) Vec<Event>);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum Event {
    /// An attempt ended (or could not start), and `next` took its place.
    #[n(0)]
    Ended(#[n(0)] Ended),
    /// An attempt will never start.
    #[n(1)]
    Unprepared(#[n(0)] u64),
    /// The output of a running attempt has its final names now.
    #[n(2)]
    Published(#[n(0)] u64),
    /// The keeper takes orders.
    #[n(3)]
    Pong,
    /// The node cannot start tasks, or can again (`None`). What was prepared is given back.
    #[n(4)]
    Health(#[n(0)] Option<Fault>),
}

/// What keeps the node from starting tasks.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Fault {
    /// The error number.
    #[n(0)]
    pub(crate) errno: i32,
    /// For people: what is wrong and how to mend it.
    #[n(1)]
    pub(crate) reason: String,
}

/// See [`Event::Ended`].
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Ended {
    #[n(0)]
    pub(crate) key: u64,
    #[n(1)]
    pub(crate) outcome: Outcome,
    #[n(2)]
    pub(crate) code: i32,
    #[n(3)]
    pub(crate) started_wall_ms: u64,
    #[n(4)]
    pub(crate) ran_ms: u64,
    #[n(5)]
    pub(crate) cpu_ms: u64,
    #[n(6)]
    pub(crate) max_rss_kib: u64,
    /// The time limit that stopped it; 0 if none did.
    #[n(8)]
    pub(crate) limit_ms: u64,
    /// The held attempt of the same group that was started in its place.
    #[n(7)]
    pub(crate) next: Option<u64>,
}
