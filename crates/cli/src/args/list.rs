//! Arguments of commands that list, watch and change what is there.

use super::value;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Arguments of `jobs`.
#[derive(Args, Clone, Debug, Default)]
pub struct JobsArgs {
    /// Only these: 12, 12-15, last, or a name or its beginning
    #[arg(value_name = "JOB|NAME")]
    pub targets: Vec<String>,
    /// Only these states, as in running,pending
    #[arg(long, value_name = "STATES")]
    pub state: Option<String>,
    /// Only this name
    #[arg(long)]
    pub name: Option<String>,
    /// Only this user's; me for your own
    #[arg(long, alias = "owner", alias = "of", value_name = "NAME")]
    pub user: Option<String>,
    /// Only those submitted since then: 2h (ago), 8:00, 'yesterday 18:00', 2026-11-24
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only this queue's
    #[arg(long)]
    pub queue: Option<String>,
    /// Only this namespace's; '*' for all that you may see [default: TASKYARD_NAMESPACE, else that of the config file, else all]
    #[arg(long)]
    pub namespace: Option<String>,
    /// At most N jobs [default: 50 in a table, else all]
    #[arg(long, value_name = "N", value_parser = value::count::<usize>, allow_hyphen_values = true)]
    pub limit: Option<usize>,
    /// All of them, in a table too
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
    /// A table with all rows, however many
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
    /// Show progress also when not on a terminal
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
    /// New time limit, also of what runs, or none
    #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
    pub time_limit: Option<String>,
    /// New time from SIGTERM to SIGKILL, also of what runs
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
    /// New number of cores of each task; this, --mem, --gpus, --constraint and --queue only while no task of it is on a node
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub cpus: Option<String>,
    /// New memory of each task
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub mem: Option<String>,
    /// New number of GPUs of each task
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub gpus: Option<String>,
    /// New constraint, or none
    #[arg(long, value_name = "TERMS")]
    pub constraint: Option<String>,
    /// Wait for a node to join where none could hold a task of it then; else that is refused
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

/// What can be done to a node.
#[derive(Subcommand, Clone, Debug)]
pub enum NodeCommand {
    /// Show everything about nodes
    Show {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Start no new work on a node; what runs there goes on
    Drain {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        /// Why, for those who wonder
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Start work on a drained node again
    Resume {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Remove a node permanently: its certificate is no longer valid
    ///
    /// Its session ends within seconds, and what it still runs ends with its lease. A machine that joins under the name with a new token, and with an
    /// empty data directory, is accepted.
    #[command(after_help = super::examples::NODE_REMOVE)]
    Remove {
        /// Names of nodes
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
        /// Also a node that is up and not drained, or a name under which none ever registered
        #[arg(long)]
        force: bool,
    },
}

/// What can be done to retention.
#[derive(Subcommand, Clone, Debug)]
pub enum RetentionCommand {
    /// Change how long finished jobs are kept, including those that have already finished
    #[command(after_help = super::examples::RETENTION)]
    Set {
        /// How long to keep a job after its end
        #[arg(long, value_name = "TIME")]
        keep: Option<String>,
        /// Maximum number of finished jobs
        #[arg(long, value_name = "N")]
        max_jobs: Option<u64>,
        /// Maximum number of tasks of finished jobs
        #[arg(long, value_name = "N")]
        max_tasks: Option<u64>,
        /// Keep at most so many bytes of what finished jobs were run with (on the servers' disks)
        #[arg(long, value_name = "SIZE")]
        max_bytes: Option<String>,
        /// Refuse submits when the state takes more of a server's memory
        #[arg(long, value_name = "SIZE")]
        state_bytes: Option<String>,
    },
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArgs {
    /// Also compute the digest of the state
    #[arg(long)]
    pub digest: bool,
}

/// What can be done with the cluster's servers.
#[derive(Subcommand, Clone, Debug)]
pub enum ClusterCommand {
    /// Set up TLS: create the certificate authority of a new cluster, or of a server that has no TLS yet
    Init {
        /// Data directory of the server [default: that of `taskyard server`]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Show the cluster and its servers
    Status(StatusArgs),
    /// Print the command that adds a server
    Add {
        /// Add it as a learner, which replicates the log and does not vote
        #[arg(long)]
        learner: bool,
    },
    /// Make a learner a voter once it has caught up
    Promote {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Make a voter a learner, which replicates the log and does not vote
    Demote {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Remove a server permanently
    Remove {
        /// Number of the server
        #[arg(value_name = "SERVER")]
        id: String,
    },
    /// Transfer the leadership to another server
    Transfer {
        /// Number of the new leader
        #[arg(value_name = "SERVER")]
        id: String,
    },
}

/// Arguments of `events`.
#[derive(Args, Clone, Debug, Default)]
pub struct EventsArgs {
    /// Start at this position: an index, or index.seq as in an event [default: new events only]
    #[arg(long, value_name = "POSITION", value_parser = value::amount, allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Only events of jobs of this namespace; '*' for all that you may see [default: as for jobs]
    #[arg(long)]
    pub namespace: Option<String>,
    /// Only events of this job: 12 or last
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
}

/// Documents that describe formats.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// The JSON schema of job files
    Job,
    /// The OpenAPI document of the server
    Api,
}
