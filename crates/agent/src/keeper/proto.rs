//! The messages between the agent and its keeper, over a socketpair, in the framing of `wire`. Both are always the same
//! build, since the agent starts its keeper from its own executable: nothing here needs to be compatible with another
//! version.

use crate::orders::{DriverEvent, Lease, Limits, Order};
use minicbor::{Decode, Encode};
use taskyard_model::Outcome;

/// From the agent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum ToKeeper {
    /// First message.
    #[n(0)]
    Setup(#[n(0)] KeeperSetup),
    /// A job's body; before its first attempt.
    #[n(1)]
    Job(#[n(0)] Box<JobBody>),
    /// Nothing more of this job for now.
    #[n(2)]
    DropJob(#[n(0)] u64),
    /// Attempts to start now (`run`) or in the place of one of the same group that ends.
    #[n(3)]
    Prepare(#[n(0)] Vec<Order>),
    /// Start this one now, if it did not start already.
    #[n(4)]
    Start(#[n(0)] u64),
    /// Give this one back, if it did not start.
    #[n(5)]
    Recall(#[n(0)] u64),
    /// Stop this attempt: a request to end, then its grace, then a kill. One that did not start is given back.
    #[n(6)]
    Stop {
        #[n(0)]
        key: u64,
        #[n(1)]
        why: Outcome,
    },
    /// Kill this attempt, which was told to stop, without waiting for the end of its grace.
    #[n(11)]
    Kill(#[n(0)] u64),
    /// Until when (CLOCK_BOOTTIME) tasks may live.
    #[n(7)]
    Lease(#[n(0)] Lease),
    /// Where is the output of this running attempt? Gives its files their final names.
    #[n(8)]
    Publish(#[n(0)] u64),
    /// To be answered (see [`FromKeeper`]). Nothing is started long after the last one was sent.
    #[n(9)]
    Ping {
        /// CLOCK_BOOTTIME in milliseconds.
        #[n(0)]
        sent_ms: u64,
    },
    /// The agent could not do its part in preparing a job, for this error number.
    #[n(14)]
    CannotPrepare {
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

/// What a keeper must know of its agent.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct KeeperSetup {
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

/// From the keeper.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct FromKeeper {
    /// What happened, in order.
    #[n(0)]
    pub(crate) events: Vec<DriverEvent>,
    /// The answer to a ping.
    #[n(1)]
    pub(crate) pong: bool,
}
