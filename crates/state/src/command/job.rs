//! What commands about jobs carry.

use minicbor::{Decode, Encode};
use taskyard_model::{Begin, Constraint, JobId, JobSpec};

/// See [`crate::Command::Submit`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Submit {
    /// What is asked for, already checked.
    #[n(0)]
    pub spec: JobSpec,
    /// Whose job.
    #[n(1)]
    pub owner: String,
    /// The client's key: the same key of the same owner makes one job, however often it is sent. Empty: none.
    #[n(2)]
    pub request_id: String,
    /// The job whose tasks it runs again.
    #[n(3)]
    pub retry_of: Option<JobId>,
}

/// What [`crate::Command::Update`] changes; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// New priority.
    #[n(0)]
    pub priority: Option<i32>,
    /// New queue.
    #[n(1)]
    pub queue: Option<String>,
    /// New time limit, also of what runs; 0 removes it.
    #[n(2)]
    pub time_limit_ms: Option<u64>,
    /// New estimate; 0 removes it.
    #[n(3)]
    pub estimate_ms: Option<u64>,
    /// New number of tasks at once; 0 removes it.
    #[n(4)]
    pub max_running: Option<u32>,
    /// New number of retries.
    #[n(5)]
    pub retries: Option<u32>,
    /// New time before which nothing of it starts; a delay of 0 removes it.
    #[n(6)]
    pub begin: Option<Begin>,
    /// New grace, also of what runs.
    #[n(7)]
    pub grace_ms: Option<u64>,
    /// New name.
    #[n(8)]
    pub name: Option<String>,
    /// New number of cores of a task, in thousandths.
    #[n(9)]
    pub cpu_milli: Option<u64>,
    /// New memory of a task, in bytes.
    #[n(10)]
    pub memory: Option<u64>,
    /// New number of GPUs of a task, in thousandths.
    #[n(11)]
    pub gpu_milli: Option<u32>,
    /// New constraint; one without terms removes it.
    #[n(12)]
    pub constraint: Option<Constraint>,
}
