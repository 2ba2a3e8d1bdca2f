//! Acts on jobs and nodes: their bodies and how they become settings of the model.

use crate::{JobSummary, Node, Quantity, Ranges, begin};
use serde::{Deserialize, Serialize};
use taskyard_model::{Begin, Constraint, Invalid, limits, quantity, validate};
use utoipa::ToSchema;

/// Body of `cancel`, `hold` and `release`. May be missing, which means the whole job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActRequest {
    /// Only these tasks, by number: `1-5,7`. Only for `cancel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1-5,7")]
    pub tasks: Option<Ranges>,
    /// Kill running tasks at once, without their grace, even if already cancelled. Only for `cancel`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// Body of `retry`, which submits a new job with tasks of a finished one, under their old numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    /// Only these tasks, by number: `1-5,7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1-5,7")]
    pub tasks: Option<Ranges>,
    /// Only tasks that failed. Default: all that have ended, including cancelled and succeeded ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed_only: bool,
    /// Only tasks that failed, were cancelled or were skipped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsuccessful_only: bool,
    /// Makes it safe to repeat this request, as in a submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Body of `drain`; may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainRequest {
    /// Reason, shown with the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "kernel upgrade")]
    pub reason: Option<String>,
}

impl DrainRequest {
    /// The reason, checked; empty if none was given.
    pub fn reason(&self) -> Result<&str, Invalid> {
        let reason = self.reason.as_deref().unwrap_or_default();
        if !reason.is_empty() {
            validate::title("reason", reason)?;
        }
        Ok(reason)
    }
}

/// Result of an action on a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActResponse {
    /// The job after it.
    pub job: JobSummary,
    /// Number of tasks affected; 0 if there was nothing to do.
    pub tasks: u64,
    /// Tasks on nodes that are being stopped: no change reaches them but one of their grace.
    #[serde(default)]
    pub stopping: u64,
    /// Warnings, such as a priority in a queue whose policy ignores priorities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What `drain` or `resume` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAct {
    /// The node after it.
    pub node: Node,
}

/// What the removal of a node did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeRemoved {
    /// Its name.
    pub name: String,
    /// The node right after the removal, if it was up: its tasks end with its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
}

/// Body of `PATCH /v1/jobs/{job}`: what to change. `none` removes a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateJob {
    /// New priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Move it to this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// New time limit, also for running tasks (counted from the start of each attempt), or `none`: then the
    /// queue's, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2h")]
    pub time_limit: Option<Quantity>,
    /// New grace, also for running tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30s")]
    pub grace: Option<Quantity>,
    /// New estimate, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10m")]
    pub estimate: Option<Quantity>,
    /// Maximum tasks running at once, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<Quantity>,
    /// Retries of each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Not before this time (an instant with its zone, or a delay from now), or `none`. Running tasks continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "+2h")]
    pub begin: Option<String>,
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New number of cores per task. Like memory, gpus, constraint and queue, it can change only while none of its
    /// tasks is on a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2")]
    pub cpus: Option<Quantity>,
    /// New memory of each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "4GiB")]
    pub memory: Option<Quantity>,
    /// New number of GPUs of each task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1")]
    pub gpus: Option<Quantity>,
    /// New constraint, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Accept the change although no node could then hold a task of the job, and wait for such a node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wait_for_nodes: bool,
}

/// A checked [`UpdateJob`]. Outer `None`: leave it. Inner `None`: take the limit away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New priority.
    pub priority: Option<i32>,
    /// New queue.
    pub queue: Option<String>,
    /// New time limit in milliseconds.
    pub time_limit_ms: Option<Option<u64>>,
    /// New estimate in milliseconds.
    pub estimate_ms: Option<Option<u64>>,
    /// New cap of tasks at once.
    pub max_running: Option<Option<u32>>,
    /// New number of retries.
    pub retries: Option<u32>,
    /// New time before which it does not start.
    pub begin: Option<Option<Begin>>,
    /// New grace in milliseconds.
    pub grace_ms: Option<u64>,
    /// New name.
    pub name: Option<String>,
    /// New number of cores in thousandths.
    pub cpu_milli: Option<u64>,
    /// New memory in bytes.
    pub memory: Option<u64>,
    /// New number of GPUs in thousandths.
    pub gpu_milli: Option<u32>,
    /// New constraint; without terms: none.
    pub constraint: Option<Constraint>,
}

impl UpdateJob {
    /// Whether it names nothing to change.
    pub fn changes_nothing(&self) -> bool {
        *self == UpdateJob { wait_for_nodes: self.wait_for_nodes, ..UpdateJob::default() }
    }

    /// Checks everything that does not depend on the cluster.
    pub fn check(&self) -> Result<Changes, Invalid> {
        if self.changes_nothing() {
            let remedy = "name a setting to change: priority, queue, time_limit, grace, estimate, max_running, retries, begin, name, cpus, memory, gpus or constraint";
            return Err(Invalid::new("update", "", remedy));
        }
        if let Some(priority) =
            self.priority.filter(|p| p.unsigned_abs() > limits::PRIORITY_MAX.unsigned_abs())
        {
            return Err(Invalid::new(
                "priority",
                priority,
                format!("between -{0} and {0}", limits::PRIORITY_MAX),
            ));
        }
        if let Some(retries) = self.retries.filter(|r| *r > limits::RETRIES_MAX) {
            return Err(Invalid::new("retries", retries, format!("at most {}", limits::RETRIES_MAX)));
        }
        self.queue.as_deref().map_or(Ok(()), |queue| validate::name("queue", queue))?;
        self.name.as_deref().map_or(Ok(()), |name| validate::title("name", name))?;
        Ok(Changes {
            priority: self.priority,
            queue: self.queue.clone(),
            time_limit_ms: or_none("time_limit", &self.time_limit, positive_duration)?,
            estimate_ms: or_none("estimate", &self.estimate, positive_duration)?,
            max_running: or_none("max_running", &self.max_running, at_least_one)?,
            retries: self.retries,
            begin: match self.begin.as_deref() {
                None => None,
                Some("none") => Some(None),
                Some(text) => Some(Some(begin::parse("begin", text)?)),
            },
            grace_ms: read("grace", &self.grace, quantity::duration_ms)?,
            name: self.name.clone(),
            cpu_milli: read("cpus", &self.cpus, quantity::thousandths)?,
            memory: read("memory", &self.memory, quantity::size_bytes)?,
            gpu_milli: read("gpus", &self.gpus, gpu_milli)?,
            constraint: match self.constraint.as_deref() {
                None => None,
                Some("none" | "") => Some(Constraint::default()),
                Some(text) => Some(Constraint::parse("constraint", text)?),
            },
        })
    }
}

fn read<T>(field: &str, text: &Option<Quantity>, reader: Reader<T>) -> Result<Option<T>, Invalid> {
    text.as_ref().map(|Quantity(text)| reader(field, text)).transpose()
}

/// GPUs in thousandths; how many one may ask for is checked with the rest of the job.
pub(crate) fn gpu_milli(field: &str, text: &str) -> Result<u32, Invalid> {
    Ok(u32::try_from(quantity::thousandths(field, text)?).unwrap_or(u32::MAX))
}

pub(crate) type Reader<T> = fn(&str, &str) -> Result<T, Invalid>;

/// A setting that the word `none` takes away. Outer `None`: it is left as it is.
pub(crate) fn or_none<T>(
    field: &str,
    text: &Option<Quantity>,
    read: Reader<T>,
) -> Result<Option<Option<T>>, Invalid> {
    match text {
        None => Ok(None),
        Some(Quantity(text)) if text == "none" => Ok(Some(None)),
        Some(Quantity(text)) => Ok(Some(Some(read(field, text)?))),
    }
}

/// A duration of more than nothing.
pub(crate) fn positive_duration(field: &str, text: &str) -> Result<u64, Invalid> {
    match quantity::duration_ms(field, text)? {
        0 => Err(Invalid::new(field, text, "more than zero, or leave it out")),
        ms => Ok(ms),
    }
}

fn at_least_one(field: &str, text: &str) -> Result<u32, Invalid> {
    match text.parse().map_err(|_| Invalid::new(field, text, "write a whole number, or none"))? {
        0 => Err(Invalid::new(field, text, "at least 1, or none; to stop a job, hold it")),
        n => Ok(n),
    }
}
