//! Queues, and what they hold.

use serde::{Deserialize, Serialize};
use taskyard_model::{Policy, PoolConfig, QueueConfig};
use utoipa::{IntoParams, ToSchema};

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Order of its jobs: `fcfs`, `sjf`, `saf`, `soft-area`, `f1`, `priority`, `multi-factor`, `fair-share` or `drf`.
    pub policy: String,
    /// Points of each factor; only under `multi-factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Factors>,
    /// Queues of a higher tier are served first.
    pub tier: i32,
    /// Share among queues of one tier.
    pub weight: u32,
    /// Under `priority`, `fair-share` and `drf`: waiting this long is worth one point of priority.
    pub aging_ms: u64,
    /// A job that has waited longer goes before all younger jobs.
    pub max_wait_ms: u64,
    /// The pool on whose nodes its jobs run.
    #[serde(default)]
    pub pool: String,
    /// Time limit of jobs without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_limit_ms: Option<u64>,
    /// Longest time limit of its jobs; jobs without one get this, or the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_limit_ms: Option<u64>,
    /// Most cores of one task, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_milli: Option<u64>,
    /// Most memory of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// Most GPUs of one task, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gpu_milli: Option<u32>,
    /// Most tasks of one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u32>,
    /// Longest grace of its jobs.
    pub max_grace_ms: u64,
    /// Highest priority that submitters may give.
    pub max_priority: i32,
    /// Which nodes of its pool run its jobs; all when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
    /// Jobs with a waiting task.
    pub waiting_jobs: u64,
    /// Waiting tasks.
    pub waiting_tasks: u64,
    /// Running tasks.
    pub running_tasks: u64,
}

/// Points of each factor under `multi-factor`. The job with the most points goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Factors {
    /// For each hour of waiting.
    pub age: i32,
    /// For each point of the job's priority.
    pub priority: i32,
    /// For each core of a task; a negative number puts small tasks first.
    pub size: i32,
    /// For a user without recent usage; half of it at the fair share, and less above.
    pub fair_share: i32,
}

impl Queue {
    /// A queue with its settings and no work.
    pub fn new(name: &str, config: &QueueConfig) -> Queue {
        let factors = config.factors.unwrap_or_default();
        let factors = Factors {
            age: factors.age,
            priority: factors.priority,
            size: factors.size,
            fair_share: factors.fair_share,
        };
        Queue {
            name: name.to_owned(),
            policy: config.policy.name().to_owned(),
            factors: Some(factors).filter(|_| config.policy == Policy::MultiFactor),
            tier: config.tier,
            weight: config.weight,
            aging_ms: config.aging_ms,
            max_wait_ms: config.max_wait_ms,
            pool: config.pool.clone().unwrap_or_else(|| PoolConfig::DEFAULT.to_owned()),
            default_limit_ms: config.default_limit_ms,
            max_limit_ms: config.max_limit_ms,
            max_cpu_milli: config.max_cpu_milli,
            max_memory_bytes: config.max_memory,
            max_gpu_milli: config.max_gpu_milli,
            max_tasks: config.max_tasks,
            max_grace_ms: config.grace_max_ms(),
            max_priority: config.priority_max(),
            nodes: config.nodes.as_ref().map(ToString::to_string),
            waiting_jobs: 0,
            waiting_tasks: 0,
            running_tasks: 0,
        }
    }
}

/// Query of `PUT /v1/queues/{queue}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct QueueQuery {
    /// Refuse (409) if a queue of this name exists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}
