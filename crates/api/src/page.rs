//! Query parameters and pages of lists.

use crate::begin::SubmittedSince;
use crate::{JobState, Ranges, TaskState};
use serde::{Deserialize, Serialize};
use taskyard_model::{Invalid, limits};
use utoipa::{IntoParams, ToSchema};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass this as `after` to get the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Rows of a page when nothing else is asked.
pub const PAGE_ROWS: usize = 100;

/// Checks how many rows a page shall have.
pub fn rows(limit: Option<usize>) -> Result<usize, Invalid> {
    match limit.unwrap_or(PAGE_ROWS) {
        n if n == 0 || n > limits::PAGE_ROWS_MAX => {
            Err(Invalid::new("limit", n, format!("between 1 and {}", limits::PAGE_ROWS_MAX)))
        }
        n => Ok(n),
    }
}

/// Query of `GET /v1/jobs`. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct JobsQuery {
    /// Only these states, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only names that start with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
    /// Only this owner's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only this queue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only this namespace's. Default: all that you may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only those submitted since: a duration ago, as in `2h`, or an instant with its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only these ids: `12-15,20`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Rows of the page, 1 to 10000. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl JobsQuery {
    /// The states asked for; empty for all.
    pub fn states(&self) -> Result<Vec<JobState>, Invalid> {
        words(&self.state).map(|w| JobState::parse("state", w)).collect()
    }

    /// Since when the jobs shall have been submitted; none for any time.
    pub fn since(&self) -> Result<Option<SubmittedSince>, Invalid> {
        self.since.as_deref().map(|text| SubmittedSince::parse("since", text)).transpose()
    }

    /// The ids asked for; none for all.
    pub fn id_ranges(&self) -> Result<Option<Ranges>, Invalid> {
        self.ids.as_deref().map(|text| Ranges::parse("ids", text)).transpose()
    }
}

/// Query of `GET /v1/jobs/{job}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct JobQuery {
    /// Answer when the job has finished, or after this time; at most 60000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Whether to include the specification. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<bool>,
}

/// Longest wait of one request, below what proxies cut.
pub const WAIT_MS_MAX: u64 = 60_000;

/// Query of `GET /v1/jobs/{job}/tasks`. Lowest number first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct TasksQuery {
    /// Only these states, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only these numbers: `1-5,7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<String>,
    /// Rows of the page, 1 to 10000. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl TasksQuery {
    /// The states asked for; empty for all.
    pub fn states(&self) -> Result<Vec<TaskState>, Invalid> {
        words(&self.state).map(|w| TaskState::parse("state", w)).collect()
    }

    /// The numbers asked for; none for all.
    pub fn task_ranges(&self) -> Result<Option<Ranges>, Invalid> {
        self.tasks.as_deref().map(|text| Ranges::parse("tasks", text)).transpose()
    }
}

fn words(list: &Option<String>) -> impl Iterator<Item = &str> {
    list.as_deref().unwrap_or("").split(',').map(str::trim).filter(|w| !w.is_empty())
}

/// Which output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// Query of `GET /v1/jobs/{job}/tasks/{task}/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct LogQuery {
    /// Which output. Default: standard output.
    #[param(inline)]
    pub stream: Stream,
    /// Which attempt. Default: the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Number of bytes to skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Number of last lines to return; not with `offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u64>,
    /// Continue until the attempt has ended; also wait for its start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

/// Query of `GET /v1/jobs/{job}/explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainQuery {
    /// Number of the task. Default: the job's next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
}

/// Query of `DELETE /v1/nodes/{node}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct RemoveQuery {
    /// Also remove a node that is up and not drained, or a name that never registered.
    pub force: bool,
}

/// Query of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct EventQuery {
    /// First position (`index` or `index.seq`, inclusive). Default: only new events. `Last-Event-ID` (exclusive)
    /// takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only events of jobs of this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only events of this job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
}
