//! Tasks and their attempts.

use serde::{Deserialize, Serialize};
use taskyard_model::Invalid;
use utoipa::ToSchema;

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not assigned: it waits, is held, or waits for its next try.
    Pending,
    /// Sent to a node ahead of need; starts there when a like one ends.
    Prefetched,
    /// On a node.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Failed, with no retry left.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Never ran, because a job that its job had to wait for did not end as needed.
    Skipped,
}

impl TaskState {
    /// All states.
    pub const ALL: [TaskState; 7] = [
        TaskState::Pending,
        TaskState::Prefetched,
        TaskState::Running,
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::Cancelled,
        TaskState::Skipped,
    ];

    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Prefetched => "prefetched",
            TaskState::Running => "running",
            TaskState::Succeeded => "succeeded",
            TaskState::Failed => "failed",
            TaskState::Cancelled => "cancelled",
            TaskState::Skipped => "skipped",
        }
    }

    /// Whether it is terminal.
    pub fn is_finished(self) -> bool {
        !matches!(self, TaskState::Pending | TaskState::Prefetched | TaskState::Running)
    }

    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<TaskState, Invalid> {
        TaskState::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            Invalid::new(
                field,
                text,
                "task states are pending, prefetched, running, succeeded, failed, cancelled and skipped",
            )
        })
    }
}

/// One task, with what is known of its last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its job.
    pub job: u64,
    /// Its number, as in `TASKYARD_TASK`.
    pub task: u64,
    /// Its position in the job, from 0.
    pub index: u32,
    /// Its state.
    pub state: TaskState,
    /// Why it is not running, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// While its attempt is being stopped: it runs on until it ends by itself, or until its grace is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<BeingStopped>,
    /// Its line of `entries`, if its job has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Its last attempt; 0 before the first.
    pub attempt: u32,
    /// What is known of the last attempt.
    #[serde(flatten)]
    pub last: Attempt,
    /// Attempts that are still known, oldest first; only in the answer about a single task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// Why an attempt is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A user cancelled it.
    Cancelled,
    /// More tasks of its job failed than `max_fails` allows.
    MaxFails,
    /// It reached its time limit.
    TimeLimit,
}

/// Why an attempt is being stopped, and how long it has to end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeingStopped {
    /// Why.
    pub cause: StopReason,
    /// The time limit that it reached. The job's may be another by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Time until what is left of it is killed; 0 once that has begun.
    pub kill_in_ms: u64,
    /// Wall clock at that time.
    pub kill_at_ms: u64,
    /// The same in one sentence.
    pub sentence: String,
}

/// One attempt to run a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Number of the attempt, from 1; only within `attempts`.
    #[serde(default, rename = "number", skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Its fence: rises with each attempt, so that stores can refuse an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// Name of its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How it ended: `succeeded`, `exited`, `signalled`, `time_limit`, `cancelled`, `lease_lost`, `agent_lost`,
    /// `no_program`, `no_cwd`, `no_file`, `start_failed`, `agent_stopped` or `keeper_lost`.
    #[serde(default, rename = "outcome", skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Error number of a start that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// The node's wall clock at its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// The node's wall clock at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// How long it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
    /// CPU time, user and system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Largest resident set, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss_kib: Option<u64>,
    /// The time limit that stopped it. The job's may have changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Bytes that it wrote to its captured streams, if the node did not keep them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// How many of them were dropped, past the node's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_dropped_bytes: Option<u64>,
    /// Why not all of its output is there: `limit` (see `output_dropped_bytes`), or `disk_full`: the node's disk was
    /// full while it ran, so that some of what it wrote may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_incomplete: Option<String>,
}

impl Task {
    /// What people read: its state, or that it is being stopped.
    pub fn shown_state(&self) -> &'static str {
        if self.stopping.is_some() { "stopping" } else { self.state.name() }
    }
}

impl Attempt {
    /// `output_incomplete`: it passed the node's limit.
    pub const LIMIT: &str = "limit";
    /// `output_incomplete`: the node's disk was full.
    pub const DISK_FULL: &str = "disk_full";

    /// Takes over how an attempt ended.
    #[must_use]
    pub fn ended(mut self, end: &taskyard_model::AttemptEnd) -> Attempt {
        use taskyard_model::{AttemptEnd, Outcome};
        self.result = Some(end.outcome.name().to_owned());
        match end.outcome {
            Outcome::Succeeded | Outcome::Exited => self.exit_code = Some(end.code),
            Outcome::NoProgram
            | Outcome::NoCwd
            | Outcome::NoFile
            | Outcome::StartFailed
            | Outcome::NodeFault => self.errno = Some(end.code),
            Outcome::Signalled => self.signal = Some(end.code),
            // It was stopped. One that never started ended in no way of its own.
            _ if end.started_wall_ms == 0 || end.code == AttemptEnd::NOT_SEEN => {}
            _ if end.code < 0 => self.signal = Some(-end.code),
            _ => self.exit_code = Some(end.code),
        }
        if end.started_wall_ms > 0 {
            self.started_at_ms = Some(end.started_wall_ms);
            self.ended_at_ms = Some(end.started_wall_ms + end.ran_ms);
            self.ran_ms = Some(end.ran_ms);
            self.cpu_ms = Some(end.cpu_ms);
            self.max_rss_kib = Some(end.max_rss_kib);
        }
        self.time_limit_ms = Some(end.limit_ms).filter(|limit| *limit > 0);
        if end.cut.dropped_bytes > 0 {
            self.output_bytes = Some(end.cut.written_bytes);
            self.output_dropped_bytes = Some(end.cut.dropped_bytes);
            self.output_incomplete = Some(Attempt::LIMIT.to_owned());
        }
        if end.cut.disk_full {
            self.output_incomplete = Some(Attempt::DISK_FULL.to_owned());
        }
        self
    }
}
