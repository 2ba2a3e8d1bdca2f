//! Arguments of commands about queues and pools, with their examples.

use super::value;
use clap::{Args, Subcommand};

/// Of `queues`.
pub const QUEUES: &str = "\
Examples:
  taskyard queues
  taskyard queues --output json              all settings of each";

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

The word none takes a limit, a pool or nodes away. Jobs that are in the queue already stay there.";

/// Of `queue create`.
pub const QUEUE_CREATE: &str = "\
Examples:
  taskyard queue create night --max-tasks 1000 --nodes '!interactive'
  taskyard queue create small --max-limit 15m --max-cpus 1 --tier 5";

/// Of `queue delete`.
pub const QUEUE_DELETE: &str = "\
Examples:
  taskyard queue delete night

Jobs that are not finished keep a queue from it. Cancel them, wait for them, or move them with
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
  taskyard queue set default --pool gpu      then the queue's jobs run there
  taskyard queue set default --pool none     and now in the default pool again

Who may start before a job that is ahead and has no room yet:
  strict        nobody
  greedy        everybody who fits
  easy          who does not delay the first that has no room
  easy-sjf      the same, the shortest first
  conservative  who delays nobody ahead

A node belongs to the oldest pool that selects it; the default one has the rest.";

/// Of `pool delete`.
pub const POOL_DELETE: &str = "\
Examples:
  taskyard pool delete fast

Give the queues that use it another one first, with `taskyard queue set QUEUE --pool OTHER`.";

/// What can be done to a queue.
#[derive(Subcommand, Clone, Debug)]
pub enum QueueCommand {
    /// Make a queue, or change it while it is in use
    #[command(after_help = QUEUE_SET)]
    Set(QueueOptions),
    /// Make a queue; an error if it exists
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
    /// Order of its jobs: fcfs, sjf, saf, soft-area, f1, priority, multi-factor, fair-share or drf
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
    /// A job that has waited longer goes before all younger ones
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_wait: Option<String>,
    /// Points of multi-factor for each hour of waiting
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub age: Option<i32>,
    /// Points of multi-factor for each point of a job's priority
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub priority: Option<i32>,
    /// Points of multi-factor for each core of a task; less than 0 puts small ones first
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub size: Option<i32>,
    /// Points of multi-factor for a user without recent usage; half at their fair share
    #[arg(long, value_name = "POINTS", value_parser = value::number, allow_hyphen_values = true)]
    pub fair_share: Option<i32>,
    /// The pool on whose nodes its jobs run, or none for the default one
    #[arg(long)]
    pub pool: Option<String>,
    /// Time limit of jobs that bring none, or none
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub default_limit: Option<String>,
    /// Longest time limit of its jobs, or none; also given to jobs without a limit
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
    /// Highest priority that submitters may give, or none for 1000; operators may give more
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_priority: Option<String>,
    /// Which nodes of its pool run its jobs, as in --constraint of submit, or none
    #[arg(long, value_name = "CONSTRAINT")]
    pub nodes: Option<String>,
}

/// What can be done to a pool.
#[derive(Subcommand, Clone, Debug)]
pub enum PoolCommand {
    /// Make a pool, or change it while it is in use
    #[command(after_help = POOL_SET)]
    Set {
        /// Name of the pool
        #[arg(value_name = "POOL")]
        name: String,
        /// Who may pass a job that has no room: strict, greedy, easy, easy-sjf or conservative
        #[arg(long)]
        discipline: Option<String>,
        /// Where a task goes: least-loaded, bin-pack, round-robin, spread, random-of-two or hash
        #[arg(long)]
        placement: Option<String>,
        /// The label over which the placement spread spreads, or none for each node by itself
        #[arg(long, value_name = "LABEL")]
        spread: Option<String>,
        /// Which nodes belong to it, as in --constraint of submit
        #[arg(long, value_name = "CONSTRAINT")]
        nodes: Option<String>,
        /// When to keep a node for the first job that has no room, if running jobs have no time limit: after such a wait, or none
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
