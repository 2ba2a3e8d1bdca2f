//! The command line as types. Help texts are part of the product: each command shows examples that work.

pub mod access;
pub mod backup;
pub mod cluster;
pub mod examples;
pub mod groups;
pub mod job;
pub mod jobs;
pub mod maintenance;
pub mod queue;
pub mod simulate;
pub mod usage;
pub mod value;

pub use access::{LoginArgs, NamespaceCommand, TokenCommand, TokenCreateArgs};
pub use backup::{BackupCommand, BackupFrom};
use clap::{Args, Subcommand, ValueEnum};
pub use cluster::{ClusterCommand, EventsArgs, NodeCommand, RetentionCommand, StatusArgs};
pub use job::{JobArgs, PlanArgs, RunArgs, SubmitArgs};
pub use jobs::{
    CancelArgs, ExplainArgs, JobTargets, JobsArgs, LogsArgs, OneTarget, RetryArgs, TasksArgs, UpdateArgs,
    WaitArgs,
};
pub use maintenance::MaintenanceCommand;
pub use queue::{PoolCommand, QueueCommand, QueueOptions};
pub use simulate::SimulateArgs;
pub use usage::{AccountCommand, ShareCommand, UsageArgs};

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// Servers to ask, as https://host:port or http://host:port, separated by commas [default: TASKYARD_SERVER, else
    /// the config file, else those of the last `login --server`, else the local `taskyard dev` or server]
    #[arg(long, global = true, value_name = "URLS", help_heading = "Global options", display_order = 900)]
    pub server: Option<String>,
    /// Output format: table, wide, json, jsonl or ids
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Global options", display_order = 901)]
    pub output: Option<String>,
    /// Columns of the table, as in id,name,state; an unknown name lists all
    #[arg(long, global = true, value_name = "NAMES", help_heading = "Global options", display_order = 902)]
    pub columns: Option<String>,
    /// Start a private server for this command, with its data in ~/.local/share/taskyard/local
    #[arg(long, global = true, help_heading = "Global options", display_order = 902)]
    pub local: bool,
    /// Accept stale answers from a single server, even without a leader, and show their age
    #[arg(long, global = true, help_heading = "Global options", display_order = 903)]
    pub stale: bool,
    /// User to act as
    #[arg(id = "as", long = "as", global = true, value_name = "USER", env = "TASKYARD_USER", hide = true)]
    pub user: Option<String>,
}

/// What users can do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run a command through the queue and stream its output here
    #[command(after_help = examples::RUN)]
    Run(Box<RunArgs>),
    /// Submit a job and print its id
    #[command(after_help = examples::SUBMIT)]
    Submit(Box<SubmitArgs>),
    /// Show when a job would start and what it would delay, without submitting it
    #[command(after_help = examples::PLAN)]
    Plan(Box<PlanArgs>),
    /// List jobs, newest first
    #[command(after_help = examples::JOBS)]
    Jobs(JobsArgs),
    /// Show everything about a job or a task
    #[command(after_help = examples::SHOW)]
    Show(OneTarget),
    /// List the tasks of a job
    #[command(after_help = examples::TASKS)]
    Tasks(TasksArgs),
    /// Print the output of tasks
    #[command(after_help = examples::LOGS)]
    Logs(LogsArgs),
    /// Wait until jobs have finished
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Stop jobs or tasks
    #[command(after_help = examples::CANCEL)]
    Cancel(CancelArgs),
    /// Run tasks of a finished job again, as a new job
    #[command(after_help = examples::RETRY)]
    Retry(RetryArgs),
    /// Hold a job: start none of its tasks until it is released
    #[command(after_help = examples::HOLD)]
    Hold(JobTargets),
    /// Release held jobs
    #[command(after_help = examples::RELEASE)]
    Release(JobTargets),
    /// Change a job: priority, limits, queue
    #[command(after_help = examples::UPDATE)]
    Update(UpdateArgs),
    /// Explain why a job or a task is waiting
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Simulate past jobs, a trace or generated jobs under several policies, and recommend one
    #[command(after_help = examples::SIMULATE)]
    Simulate(Box<SimulateArgs>),
    /// List nodes
    #[command(after_help = examples::NODES)]
    Nodes {
        /// Show everything about these nodes
        #[arg(value_name = "NODE")]
        nodes: Vec<String>,
    },
    /// Drain, resume or remove nodes
    #[command(subcommand, after_help = examples::NODE)]
    Node(NodeCommand),
    /// List queues
    #[command(after_help = queue::QUEUES)]
    Queues,
    /// Create, change or delete a queue
    #[command(subcommand, after_help = queue::QUEUE)]
    Queue(QueueCommand),
    /// List pools: nodes that serve the same queues
    #[command(after_help = queue::POOLS)]
    Pools,
    /// Create, change or delete a pool
    #[command(subcommand, after_help = queue::POOL)]
    Pool(PoolCommand),
    /// List or plan maintenance of nodes
    #[command(after_help = maintenance::MAINTENANCE)]
    Maintenance {
        /// What to do
        #[command(subcommand)]
        command: Option<MaintenanceCommand>,
    },
    /// List the fair shares of accounts and users, and their usage
    #[command(after_help = usage::SHARES)]
    Shares,
    /// Set the weight of an account or a user, or the half-life of past usage
    #[command(subcommand, after_help = usage::SHARE)]
    Share(ShareCommand),
    /// List accounts, and set who may charge them
    #[command(subcommand, after_help = usage::ACCOUNT)]
    Account(AccountCommand),
    /// Show usage and efficiency by user, account or queue
    #[command(after_help = usage::USAGE)]
    Usage(UsageArgs),
    /// Create, list, verify and restore backups
    #[command(subcommand, after_help = examples::BACKUP)]
    Backup(BackupCommand),
    /// Show how long finished jobs are kept, or change it
    #[command(after_help = examples::RETENTION)]
    Retention {
        /// What to do; shows it when left out
        #[command(subcommand)]
        command: Option<RetentionCommand>,
    },
    /// Show the cluster
    #[command(after_help = examples::STATUS)]
    Status(StatusArgs),
    /// Show, add and remove the cluster's servers, and transfer the leadership
    #[command(subcommand, after_help = examples::CLUSTER)]
    Cluster(ClusterCommand),
    /// Follow events as they happen
    #[command(after_help = examples::EVENTS)]
    Events(EventsArgs),
    /// Save a token for a server, read from standard input or a prompt
    #[command(after_help = examples::LOGIN)]
    Login(LoginArgs),
    /// Delete the token that login saved
    #[command(after_help = examples::LOGOUT)]
    Logout,
    /// Show the current user and permissions
    #[command(after_help = examples::WHOAMI)]
    Whoami,
    /// Create, list and revoke tokens
    #[command(subcommand, after_help = examples::TOKEN)]
    Token(TokenCommand),
    /// Create and list namespaces
    #[command(subcommand, after_help = examples::NAMESPACE)]
    Namespace(NamespaceCommand),
    /// Print the schema of a job file, or the API as an OpenAPI document
    #[command(after_help = examples::SCHEMA)]
    Schema {
        /// Document to print
        #[arg(value_enum, default_value_t = SchemaKind::Job)]
        kind: SchemaKind,
    },
    /// Print a manual page, or write all of them
    #[command(after_help = examples::MAN)]
    Man {
        /// Command whose page to print, as in submit or queue set [default: the page of taskyard]
        #[arg(value_name = "COMMAND", conflicts_with = "dir")]
        command: Vec<String>,
        /// Write every page into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<std::path::PathBuf>,
    },
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print what may stand at a word of a command line; the scripts of `completions` ask it
    #[command(hide = true)]
    Complete {
        /// Which word, from 0
        #[arg(long)]
        index: usize,
        /// The command line as it is typed
        #[arg(last = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// Documents that describe formats.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// The JSON schema of job files
    Job,
    /// The OpenAPI document of the server
    Api,
}

/// Shells with completions.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// Fish
    Fish,
}
