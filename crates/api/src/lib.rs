//! The HTTP API `/v1` as types: what requests and responses look like in JSON, how a job as users write it becomes a
//! [`taskyard_model::JobSpec`], and the paths. Server and client share this crate, so neither can drift from the
//! other; it knows no I/O and no clock.
//!
//! JSON is in snake_case. Times end in `_ms`: `_at_ms` is wall clock since 1970, others are durations. What users
//! write with a unit (`"4GiB"`, `"1h30m"`) is a string on the way in; what the server reports is an integer in the
//! unit that the name ends in.

pub mod access;
pub mod act;
pub mod after;
pub mod array;
pub mod backup;
pub mod begin;
pub mod blob;
pub mod body;
pub mod check;
pub mod cluster;
pub mod convert;
pub mod echo;
pub mod error;
pub mod event;
pub mod explain;
pub mod forecast;
pub mod job;
pub mod json;
pub mod maintenance;
pub mod page;
pub mod plan;
pub mod pool;
pub mod quantity;
pub mod queue;
pub mod queue_settings;
pub mod reason;
pub mod retention;
pub mod routes;
pub mod schema;
pub mod script;
pub mod secret;
pub mod selector;
pub mod server;
pub mod share;
pub mod spec;
pub mod task;
pub mod usage;

pub use access::{
    Certificate, CertificateRequest, CreateToken, CreatedToken, Grant, Namespace, Token, TokenState,
    TokenWish, Whoami,
};
pub use act::{
    ActRequest, ActResponse, Changes, DrainRequest, NodeAct, NodeRemoved, RetryRequest, UpdateJob,
};
pub use backup::{
    Backup, BackupContent, BackupLine, BackupProgress, BackupQuery, BackupRequest, BackupRestored,
    BackupState,
};
pub use blob::Blob;
pub use check::{CheckAnswer, CheckRequest, RefusedJob};
pub use cluster::{ClusterStatus, Drained, Node, Resources};
pub use error::{ApiError, ErrorBody, ErrorCode};
pub use event::{Event, EventId, EventKind};
pub use explain::{Explanation, NodeGroup};
pub use forecast::{
    Counterfactual, CounterfactualOutcome, Dimension, EndBasis, ExpectedEnd, PastReason, PlannedStart,
    Replan, ReplanCause, StartKind, WorkState,
};
pub use job::{
    JobDetail, JobState, JobSummary, Predecessor, ResultCount, StoppingTasks, SubmitRequest, SubmitResponse,
    TaskCounts,
};
pub use maintenance::{Maintenance, MaintenanceSettings, MaintenanceWindow};
pub use page::{
    EventQuery, ExplainQuery, JobQuery, JobsQuery, LogQuery, Page, RemoveQuery, Stream, TasksQuery,
};
pub use plan::{DelayedJob, JobPlan, PlanVerdict};
pub use pool::{Pool, PoolSettings};
pub use quantity::Quantity;
pub use queue::{Factors, Queue, QueueQuery};
pub use queue_settings::{FactorSettings, QueueSettings};
pub use reason::ReasonCode;
pub use retention::{Keeping, RetentionSettings, RetentionStatus};
pub use secret::Secret;
pub use selector::{JobRange, Ranges, Selector};
pub use server::{JoinRequest, JoinResponse, Membership, Server, ServerChange, ServerState, TransferRequest};
pub use share::{AccountAccess, NO_ACCOUNT, Share, ShareChange, ShareSettings, Shares};
pub use spec::{DriverName, JobSpec, NullSpec, OnAgentLost};
pub use task::{Attempt, BeingStopped, StopReason, Task, TaskState};
pub use usage::{Usage, UsageBy, UsageQuery, UsageReport, UsageRow};
// What clients need of the model, so that they depend on the API alone.
pub use taskyard_model::quantity as units;
pub use taskyard_model::{EVERYWHERE, Invalid, Need, NodeState, limits, lookalike, pattern, validate};
