//! Arguments of the commands that list, watch and change jobs.

use super::value;
use clap::Args;

/// Arguments of `jobs`.
#[derive(Args, Clone, Debug, Default)]
pub struct JobsArgs {
    /// Only these jobs: 12, 12-15, last, or a name or the start of one
    #[arg(value_name = "JOB|NAME")]
    pub targets: Vec<String>,
    /// Only these states, as in running,pending
    #[arg(long, value_name = "STATES")]
    pub state: Option<String>,
    /// Only this name
    #[arg(long)]
    pub name: Option<String>,
    /// Only this user's; me for your own
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only jobs submitted since: 2h (ago), 8:00, 'yesterday 18:00', 2026-11-24
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only this queue's
    #[arg(long)]
    pub queue: Option<String>,
    /// Only this namespace's; '*' for all you may see [default: TASKYARD_NAMESPACE, else that of the config file,
    /// else all]
    #[arg(long)]
    pub namespace: Option<String>,
    /// List at most N jobs [default: 50 in a table, else all]
    #[arg(long, value_name = "N", value_parser = value::count::<usize>, allow_hyphen_values = true)]
    pub limit: Option<usize>,
    /// List all jobs, in a table too
    #[arg(long, short, conflicts_with = "limit")]
    pub all: bool,
}

/// Arguments of `tasks`.
#[derive(Args, Clone, Debug)]
pub struct TasksArgs {
    /// A job, or some of its tasks: 12, 12.1-5, last
    #[arg(value_name = "JOB[.TASKS]")]
    pub target: String,
    /// Only these states, as in failed,running
    #[arg(long, value_name = "STATES")]
    pub state: Option<String>,
    /// Show all rows of the table
    #[arg(long, short)]
    pub all: bool,
}

/// Arguments of `logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// Jobs or tasks: 12, 12.5, 12.1-5, 12-15, last
    #[arg(value_name = "JOB[.TASKS]", required = true)]
    pub targets: Vec<String>,
    /// Follow the output until every task has ended, through all retries
    #[arg(long, short)]
    pub follow: bool,
    /// Only failed tasks
    #[arg(long)]
    pub failed: bool,
    /// Only the last N lines of each task
    #[arg(long, value_name = "N", value_parser = value::count::<u64>, allow_hyphen_values = true)]
    pub tail: Option<u64>,
    /// Standard error instead of standard output
    #[arg(long)]
    pub stderr: bool,
    /// This attempt instead of the last one
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
}

/// Arguments of `wait`.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    /// Jobs: 12, 12-15, last, all
    #[arg(value_name = "JOB", required = true)]
    pub targets: Vec<String>,
    /// Give up after this time, with exit code 6
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub timeout: Option<String>,
    /// Show progress even without a terminal
    #[arg(long)]
    pub progress: bool,
}

/// Arguments of `update`.
#[derive(Args, Clone, Debug)]
pub struct UpdateArgs {
    /// Jobs: 12, 12-15, last
    #[arg(value_name = "JOB", required = true)]
    pub targets: Vec<String>,
    /// New priority
    #[arg(long, value_name = "N", value_parser = value::number, allow_hyphen_values = true)]
    pub priority: Option<i32>,
    /// Move to this queue
    #[arg(long)]
    pub queue: Option<String>,
    /// New time limit, also for running tasks, or none
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub time_limit: Option<String>,
    /// New time from SIGTERM to SIGKILL, also for running tasks
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub grace: Option<String>,
    /// New estimate, or none
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub estimate: Option<String>,
    /// Maximum tasks running at once, or none
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub max_running: Option<String>,
    /// Maximum retries of a failed task
    #[arg(long, value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub retries: Option<u32>,
    /// Earliest start, as in submit, or none
    #[arg(long, value_name = "TIME")]
    pub begin: Option<String>,
    /// New name
    #[arg(long)]
    pub name: Option<String>,
    /// New number of cores per task; as --mem, --gpus, --constraint and --queue, only while no task is on a node
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub cpus: Option<String>,
    /// New memory per task
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub mem: Option<String>,
    /// New number of GPUs per task
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub gpus: Option<String>,
    /// New constraint, or none
    #[arg(long, value_name = "TERMS")]
    pub constraint: Option<String>,
    /// Accept a change that no present node could run, and wait for a node that can
    #[arg(long)]
    pub wait_for_nodes: bool,
}

/// Arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// A job or a task: 12, 12.5, last
    #[arg(value_name = "JOB[.TASK]")]
    pub target: String,
}

/// One job or task.
#[derive(Args, Clone, Debug)]
pub struct OneTarget {
    /// A job (12, last) or a task (12.5, last.5)
    #[arg(value_name = "JOB[.TASK]")]
    pub target: String,
}

/// Whole jobs.
#[derive(Args, Clone, Debug)]
pub struct JobTargets {
    /// Whole jobs: 12, 12-15, last, all
    #[arg(value_name = "JOB", required = true)]
    pub targets: Vec<String>,
}

/// Arguments of `cancel`.
#[derive(Args, Clone, Debug)]
pub struct CancelArgs {
    /// Jobs or tasks: 12, 12.5, 12.1-5, 12-15, last, all
    #[arg(value_name = "JOB[.TASKS]", required = true)]
    pub targets: Vec<String>,
    /// Kill running tasks at once, without their grace, even if they are already cancelled
    #[arg(long)]
    pub now: bool,
}

/// Arguments of `retry`.
#[derive(Args, Clone, Debug)]
pub struct RetryArgs {
    /// Jobs or tasks: 12, 12.5, 12.1-5, 12-15, last; makes one new job per job
    #[arg(value_name = "JOB[.TASKS]", required = true)]
    pub targets: Vec<String>,
    /// Only failed tasks
    #[arg(long)]
    pub failed: bool,
    /// Only tasks that did not succeed: failed, lost, cancelled or skipped
    #[arg(long, conflicts_with = "failed")]
    pub unsuccessful: bool,
    /// Print only the ids of the new jobs
    #[arg(long)]
    pub parsable: bool,
}
