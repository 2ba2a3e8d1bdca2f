//! What is ahead of a job that waits: its planned start, what would help it, and why it has waited so far.

use crate::ReasonCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When the next task of a job is planned to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStart {
    /// How certain that is.
    pub kind: StartKind,
    /// Time until then; missing when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_ms: Option<u64>,
    /// Wall clock of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Ends on that node that it counts on, the latest first; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts_on: Vec<ExpectedEnd>,
    /// Number of further ends it counts on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// Nodes that are reserved for it if its start is unknown: nothing else starts there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<String>,
    /// Time until a first node is reserved for it: a second after it was submitted, or the pool's `reserve_after_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_in_ms: Option<u64>,
}

/// How certain a planned start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartKind {
    /// The next pass of the planner starts it.
    Now,
    /// The pool's discipline has planned it: nothing may start that delays it, whatever is submitted.
    Planned,
    /// The pool's discipline has planned it, but the queue's order or another queue lets a job that is submitted
    /// later go first.
    PlannedByRank,
    /// What waits was planned ahead in order; nothing protects it.
    Forecast,
    /// Running work in its way has neither an estimate nor a time limit.
    EndsUnknown,
    /// Tasks of the job itself have neither, and it runs apart from them.
    OwnEndsUnknown,
    /// Work that waits ahead of it has neither.
    LengthsUnknown,
    /// The nodes that could run it are drained or down.
    NodesAway,
    /// There is too much ahead of it to look so far.
    TooFarAhead,
    /// No node could ever run it.
    Never,
}

/// Work that is expected to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedEnd {
    /// Whether it runs already.
    pub work: WorkState,
    /// Its jobs, without those that you may not see.
    pub jobs: Vec<u64>,
    /// How many tasks.
    pub tasks: u64,
    /// Time until its end.
    pub in_ms: u64,
    /// Wall clock of its end.
    pub at_ms: u64,
    /// Why it is expected then.
    pub by: EndBasis,
}

/// Whether work that is expected to end runs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// It runs.
    Running,
    /// It is about to start.
    Starting,
    /// It is planned to start before.
    Planned,
    /// It is no work: the node is being maintained.
    Maintenance,
}

/// Basis of an expected end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndBasis {
    /// Its estimate.
    Estimate,
    /// Its time limit, at which it is stopped.
    Limit,
    /// It has outlived its estimate: the estimate with a small correction that grows each time it is outlived too.
    Overrun,
    /// A time that was set for it.
    Schedule,
}

/// Effect of changing one thing about a waiting job. Found by asking the planner; true of the state at `index`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counterfactual {
    /// What is changed.
    pub dimension: Dimension,
    /// The resource, for `resource`; the term that is dropped, for `constraint`; the queue, the node or the
    /// maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What comes of it.
    pub outcome: CounterfactualOutcome,
    /// What the job requests now: bytes, thousandths, units, milliseconds, points or tasks. Missing if the job does
    /// not say, or if it is not an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<i64>,
    /// What it would have to request instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<i64>,
    /// The node on which it would start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// No smaller change is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub smallest: bool,
    /// The same in words.
    pub sentence: String,
}

/// What a counterfactual changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Memory, in steps of 1 MiB.
    Memory,
    /// Cores, in steps of a tenth.
    Cpu,
    /// GPUs, in steps of 0.001 of one, or of whole ones.
    Gpu,
    /// A named resource, in units.
    Resource,
    /// Estimate and time limit together, in steps of a minute.
    Time,
    /// The time limit alone, not below the estimate, in steps of a minute.
    TimeLimit,
    /// A term of the constraint, which is dropped.
    Constraint,
    /// The priority, in points.
    Priority,
    /// The most tasks of it at once.
    MaxRunning,
    /// Its tasks may share nodes.
    Apart,
    /// It stands in another queue.
    Queue,
    /// An operator resumes a node that is drained.
    Resume,
    /// A node that is down or not ready comes back.
    Return,
    /// An operator deletes a maintenance.
    Maintenance,
}

/// What comes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CounterfactualOutcome {
    /// A task of it would start now.
    Starts,
    /// No change of this alone is enough.
    NothingHelps,
    /// Finding out took more work than one question may.
    Unknown,
}

/// Why a job waited at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastReason {
    /// Wall clock at which it was first seen.
    pub at_ms: u64,
    /// How long ago that was.
    pub ago_ms: u64,
    /// The kind of reason.
    pub reason: ReasonCode,
    /// The reason in one sentence.
    pub sentence: String,
}

/// A planned start that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replan {
    /// Wall clock at which it was seen.
    pub at_ms: u64,
    /// How long ago that was.
    pub ago_ms: u64,
    /// Its previous planned start, by wall clock.
    pub from_at_ms: u64,
    /// Its new planned start, by wall clock; missing if it was no longer planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_at_ms: Option<u64>,
    /// The node of its new planned start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why.
    pub cause: ReplanCause,
    /// The job that goes first, if that is why and it may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// The change in one sentence.
    pub sentence: String,
}

/// Why a planned start changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplanCause {
    /// Work that it counted on ended early.
    EarlyEnd,
    /// Work that it counted on runs longer than expected.
    LateEnd,
    /// Another job goes first.
    Outranked,
    /// Work started on the node.
    Taken,
    /// The node is gone, or takes no work.
    NodeLost,
    /// There is room elsewhere.
    OtherRoom,
    /// It is unknown when there is room.
    Unknown,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
