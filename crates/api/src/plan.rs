//! What would come of a job if it were submitted now.

use crate::Explanation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer to "what if I submitted this". Nothing was submitted or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobPlan {
    /// Whether it would start.
    pub verdict: PlanVerdict,
    /// How many tasks it would have.
    pub tasks: u64,
    /// How many of them would start at once.
    pub starts_now: u64,
    /// Why it would wait, where it would stand and when it would start, as if it were there. `job` is the id that it
    /// would have got.
    pub explanation: Explanation,
    /// Jobs that would start later because of it, the most delayed first; at most twenty, without those that you
    /// may not see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<DelayedJob>,
    /// Number of jobs that would start later, including those not named.
    pub delayed: u64,
    /// Whether the list is complete; if not, more jobs wait than are planned ahead.
    pub delays_complete: bool,
    /// Warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Whether a job would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanVerdict {
    /// A task of it would start at once.
    Starts,
    /// It would wait.
    Waits,
    /// As things are it would never start.
    Never,
}

/// A job that would start later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelayedJob {
    /// The job.
    pub job: u64,
    /// Time until the start of that of its tasks which is delayed most.
    pub in_ms: u64,
    /// How much later that would be; missing if its start would be unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_ms: Option<u64>,
}
