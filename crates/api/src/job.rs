//! Jobs: submit, lists and details.

use crate::JobSpec;
use serde::{Deserialize, Serialize};
use taskyard_model::{Invalid, limits};
use utoipa::ToSchema;

/// Body of `POST /v1/jobs`. The owner follows from the request's header, never from its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The job.
    pub spec: JobSpec,
    /// Makes it safe to repeat this request: the same id returns the same job for at least 24 hours. At most 64
    /// bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl SubmitRequest {
    /// Checks the request id.
    pub fn check_request_id(&self) -> Result<(), Invalid> {
        let max = limits::REQUEST_ID_BYTES_MAX;
        match &self.request_id {
            Some(id) if id.is_empty() || id.len() > max || id.chars().any(|c| c.is_control()) => {
                Err(Invalid::new("request_id", id, format!("1 to {max} bytes without control characters")))
            }
            _ => Ok(()),
        }
    }
}

/// Answer to a submit or a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitResponse {
    /// The job's id.
    pub job: u64,
    /// How many tasks it has.
    pub tasks: u64,
    /// The request id was known: this is the job of the earlier request, and nothing new was submitted.
    pub duplicate: bool,
    /// Warnings, such as that no node could run the job now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// State of a job, derived from its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A user holds it; nothing of it starts.
    Held,
    /// No task runs, and not all have ended.
    Pending,
    /// At least one task is on a node.
    Running,
    /// Every task succeeded.
    Succeeded,
    /// Every task ended, and at least one failed. With `max_fails`, the rest may have been cancelled for that.
    Failed,
    /// A user cancelled it.
    Cancelled,
    /// It never ran, because a job that it had to wait for did not end as needed.
    Skipped,
}

impl JobState {
    /// All states.
    pub const ALL: [JobState; 7] = [
        JobState::Held,
        JobState::Pending,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Skipped,
    ];

    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Held => "held",
            JobState::Pending => "pending",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Skipped => "skipped",
        }
    }

    /// Whether it is terminal.
    pub fn is_finished(self) -> bool {
        !matches!(self, JobState::Held | JobState::Pending | JobState::Running)
    }

    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<JobState, Invalid> {
        JobState::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            Invalid::new(
                field,
                text,
                "job states are held, pending, running, succeeded, failed, cancelled and skipped",
            )
        })
    }

    /// The state that counts of tasks mean.
    pub fn of(tasks: &TaskCounts, held: bool, cancelled: bool) -> JobState {
        if tasks.running + tasks.prefetched > 0 {
            JobState::Running
        } else if tasks.pending > 0 {
            if held { JobState::Held } else { JobState::Pending }
        } else if cancelled {
            JobState::Cancelled
        } else if tasks.failed > 0 {
            JobState::Failed
        } else if tasks.skipped > 0 {
            JobState::Skipped
        } else if tasks.cancelled > 0 {
            JobState::Cancelled
        } else {
            JobState::Succeeded
        }
    }
}

/// Number of tasks in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskCounts {
    /// All.
    pub total: u64,
    /// Not assigned.
    pub pending: u64,
    /// Prefetched to a node, not started.
    pub prefetched: u64,
    /// Running.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Failed, with no retry left.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Never ran, because a job that theirs waited for did not end as needed.
    #[serde(default)]
    pub skipped: u64,
}

impl TaskCounts {
    /// Tasks that have ended, either way.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled + self.skipped
    }
}

/// Of servers from before there were namespaces.
fn default_namespace() -> String {
    taskyard_model::Namespace::DEFAULT.to_owned()
}

/// One line of a list of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Who submitted it.
    pub user: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Account to charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its queue.
    pub queue: String,
    /// Its priority.
    pub priority: i32,
    /// Its state.
    pub state: JobState,
    /// Why it waits, in a few words, while tasks are pending, or why it was skipped or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Wall clock before which none of its tasks start, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_at_ms: Option<u64>,
    /// Wall clock of the submit.
    pub submitted_at_ms: u64,
    /// Wall clock of the first start of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// Wall clock of the end of the last task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at_ms: Option<u64>,
    /// Its tasks.
    pub tasks: TaskCounts,
}

/// Everything about one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobDetail {
    /// What lists show of it.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The job as it is now, with every default filled in; left out with `spec=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<JobSpec>,
    /// Ends of tasks by kind and code, the most frequent first.
    #[serde(default, rename = "outcomes")]
    pub results: Vec<ResultCount>,
    /// The first tasks that failed, by number; at most ten.
    #[serde(default)]
    pub failures: Vec<crate::Task>,
    /// The job whose tasks this one runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<u64>,
    /// The jobs that it waits for, or waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Predecessor>,
    /// A user cancelled it; tasks may still be ending.
    #[serde(default)]
    pub cancelled: bool,
    /// More of its tasks failed than `max_fails` allows, so the rest were stopped; tasks may still be ending.
    #[serde(default)]
    pub max_fails_exceeded: bool,
    /// Tasks on nodes that are being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StoppingTasks>,
}

/// Tasks of a job that are being stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoppingTasks {
    /// How many.
    pub tasks: u64,
    /// Why, and how long they have to end by themselves: of the one that is killed last.
    #[serde(flatten)]
    pub last: crate::BeingStopped,
}

/// A job that another job waits for, or waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Predecessor {
    /// The job.
    pub job: u64,
    /// How it must end: `ok`, `any` or `fail`.
    pub need: String,
    /// Its state; missing if it has been forgotten, or if you may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Whether the job still waits for it.
    pub waits: bool,
}

/// Number of tasks that ended in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultCount {
    /// The kind of end, as in a task.
    #[serde(rename = "outcome")]
    pub result: String,
    /// Exit code, signal or errno, by the kind of end. Missing for kinds without one, and if a job has more
    /// different codes than are counted separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// How many tasks.
    pub tasks: u64,
}
