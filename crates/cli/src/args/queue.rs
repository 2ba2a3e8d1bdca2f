//! Arguments of commands about queues and pools, with their examples.

use super::value;
use clap::{Args, Subcommand};

/// Of `queues`.
pub const QUEUES: &str = "\
Examples:
  taskyard queues
  taskyard queues --output json              all settings";

/// Of `queue`.
pub const QUEUE: &str = "\
Examples:
  taskyard queue set default --policy sjf
  taskyard queue create short --max-limit 1h --max-cpus 4
  taskyard queue delete short";

/// Of `queue set`.
pub const QUEUE_SET: &str = "\
Examples:
  taskyard queue set default --policy sjf
  taskyard queue set urgent --policy priority --tier 10 --aging 5m
  taskyard queue set mixed --policy multi-factor --age 10 --fair-share 2000 --size -1
  taskyard queue set mixed --default-limit 1h --max-limit 1d --max-mem 64GiB
  taskyard queue set mixed --max-limit none --default-limit none

The value none removes a limit, a pool or nodes. Jobs already in the queue stay there.";

/// Of `queue create`.
pub const QUEUE_CREATE: &str = "\
Examples:
  taskyard queue create night --max-tasks 1000 --nodes '!interactive'
  taskyard queue create small --max-limit 15m --max-cpus 1 --tier 5";

/// Of `queue delete`.
pub const QUEUE_DELETE: &str = "\
Examples:
  taskyard queue delete night

A queue with unfinished jobs cannot be deleted. Cancel them, wait for them, or move them with
`taskyard update JOB --queue OTHER`.";

/// Of `pools`.
pub const POOLS: &str = "\
Examples:
  taskyard pools
  taskyard pools --output json";

/// Of `pool`.
pub const POOL: &str = "\
Examples:
  taskyard pool set default --discipline conservative
  taskyard pool set fast --nodes 'zone == a' --placement bin-pack
  taskyard pool delete fast";

/// Of `pool set`.
pub const POOL_SET: &str = "\
Examples:
  taskyard pool set default --discipline easy --placement spread --spread rack
  taskyard pool set fast --nodes 'zone == a' --placement bin-pack
  taskyard pool set gpu --nodes 'gpu.model in (a100,h100)' --discipline greedy
  taskyard queue set default --pool gpu      the queue's jobs now run there
  taskyard queue set default --pool none     and now in the default pool again

Which jobs may start before an earlier job that does not fit yet:
  strict        none
  greedy        every job that fits
  easy          jobs that do not delay the first job that does not fit
  easy-sjf      the same, shortest first
  conservative  jobs that delay no earlier job

A node belongs to the oldest pool that selects it; the default pool has the rest.";

/// Of `pool delete`.
pub const POOL_DELETE: &str = "\
Examples:
  taskyard pool delete fast

First give its queues another pool with `taskyard queue set QUEUE --pool OTHER`.";

/// What can be done to a queue.
#[derive(Subcommand, Clone, Debug)]
pub enum QueueCommand {
    /// Create a queue, or change it while in use
    #[command(after_help = QUEUE_SET)]
    Set(QueueOptions),
    /// Create a queue; fails if it exists
    #[command(after_help = QUEUE_CREATE)]
    Create(QueueOptions),
    /// Delete a queue in which every job has finished
    #[command(after_help = QUEUE_DELETE)]
    Delete {
        /// Name of the queue
        #[arg(value_name = "QUEUE")]
        name: String,
    },
}

/// A queue with its settings.
#[derive(Args, Clone, Debug)]
pub struct QueueOptions {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    pub name: String,
    /// Policy, the order of its jobs: fcfs, sjf, saf, soft-area, f1, priority, multi-factor, fair-share or drf
    #[arg(long)]
    pub policy: Option<String>,
    /// Queues of a higher tier are served first
    #[arg(long, value_name = "N", value_parser = value::number, allow_hyphen_values = true)]
    pub tier: Option<i32>,
    /// Share among queues of one tier
    #[arg(long, value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub weight: Option<u32>,
    /// Under priority, fair-share and drf: waiting this long is worth one point of priority
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub aging: Option<String>,
    /// Let a job that has waited longer go before all younger jobs
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_wait: Option<String>,
    /// For multi-factor: points per hour of waiting
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub age: Option<i32>,
    /// For multi-factor: points per point of a job's priority
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub priority: Option<i32>,
    /// For multi-factor: points per core of a task; a negative number puts small tasks first
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub size: Option<i32>,
    /// For multi-factor: points of a user without recent usage; at the fair share it is half
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub fair_share: Option<i32>,
    /// Pool whose nodes run its jobs, or none for the default pool
    #[arg(long)]
    pub pool: Option<String>,
    /// Time limit of jobs without one, or none
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub default_limit: Option<String>,
    /// Longest time limit of its jobs, or none; jobs without a limit get it
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_limit: Option<String>,
    /// Most cores of one task, or none
    #[arg(long, value_name = "CORES", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_cpus: Option<String>,
    /// Most memory of one task, or none
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_mem: Option<String>,
    /// Most GPUs of one task, or none
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_gpus: Option<String>,
    /// Most tasks of one job, or none
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_tasks: Option<String>,
    /// Longest grace of its jobs, or none for 10m
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_grace: Option<String>,
    /// Highest priority that submitters may set, or none for 1000; operators may set more
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_priority: Option<String>,
    /// Nodes of its pool that run its jobs, as in --constraint of submit, or none
    #[arg(long, value_name = "CONSTRAINT")]
    pub nodes: Option<String>,
}

/// What can be done to a pool.
#[derive(Subcommand, Clone, Debug)]
pub enum PoolCommand {
    /// Create a pool, or change it while in use
    #[command(after_help = POOL_SET)]
    Set {
        /// Name of the pool
        #[arg(value_name = "POOL")]
        name: String,
        /// Which jobs may pass a job that does not fit yet: strict, greedy, easy, easy-sjf or conservative
        #[arg(long)]
        discipline: Option<String>,
        /// Where a task goes: least-loaded, bin-pack, round-robin, spread, random-of-two or hash
        #[arg(long)]
        placement: Option<String>,
        /// Label whose values the placement spread balances, or none to balance nodes
        #[arg(long, value_name = "LABEL")]
        spread: Option<String>,
        /// Nodes of the pool, as in --constraint of submit
        #[arg(long, value_name = "CONSTRAINT")]
        nodes: Option<String>,
        /// Wait after which a node is reserved for the first job that does not fit, if running jobs have no time
        /// limit; or none
        #[arg(long, value_name = "DURATION")]
        reserve_after: Option<String>,
    },
    /// Delete a pool that no queue uses
    #[command(after_help = POOL_DELETE)]
    Delete {
        /// Name of the pool
        #[arg(value_name = "POOL")]
        name: String,
    },
}
