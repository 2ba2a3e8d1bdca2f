//! Options that describe a job: of `run` and `submit`, and of `#TASKYARD` lines in scripts, which know the very same
//! ones.
//!
//! This is the table of them: an option is named as the field of the API that it fills. Laying options over options
//! and over a job file, naming the option in a complaint and telling what is known all come from here, see
//! `input::merge`.

use super::value;
use clap::Args;
use serde::{Deserialize, Serialize};

/// What a job is made of.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobArgs {
    /// Name of the job [default: the program's]
    #[arg(long, help_heading = "Job")]
    pub name: Option<String>,
    /// Queue [default: default]
    #[arg(long, help_heading = "Job")]
    pub queue: Option<String>,
    /// Namespace: who may see and control it [default: TASKYARD_NAMESPACE, else that of the config file, else default]
    #[arg(long, help_heading = "Job")]
    pub namespace: Option<String>,
    /// Account to charge
    #[arg(long, help_heading = "Job")]
    pub account: Option<String>,
    /// Priority: higher runs first, under policies that use it [default: 0]
    #[arg(long, help_heading = "Job", value_name = "N", value_parser = value::number, allow_hyphen_values = true)]
    pub priority: Option<i32>,
    /// Submit it held: nothing starts until `taskyard release`
    #[arg(long, help_heading = "Job")]
    pub hold: bool,
    /// Earliest start: 18:00, 'tomorrow 6:00', '2026-11-24 18:00', 2026-11-24T18:00:00+01:00, or +2h
    #[arg(long, help_heading = "Job", value_name = "TIME")]
    pub begin: Option<String>,
    /// Start after other jobs: ok:12 (succeeded), any:12 (ended), fail:12 (failed); lists as in ok:12,13,any:last;
    /// may be repeated
    #[arg(long, help_heading = "Job", value_name = "NEED:JOB")]
    pub after: Vec<String>,
    /// Idempotency key: a second submit with the same id creates no second job
    #[arg(long, help_heading = "Job", value_name = "ID")]
    pub request_id: Option<String>,

    /// Run an array of tasks: FIRST-LAST[:STEP][%MAX_RUNNING], as in 1-1000:2%50
    #[arg(long, help_heading = "Tasks", value_name = "RANGE", value_parser = value::amount, allow_hyphen_values = true)]
    pub array: Option<String>,
    /// Run one task for each line of FILE (- is standard input); the task finds its line in TASKYARD_ENTRY
    #[arg(long, help_heading = "Tasks", value_name = "FILE")]
    pub each_line: Option<String>,
    /// Maximum tasks running at once
    #[arg(long, help_heading = "Tasks", value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub max_running: Option<u32>,
    /// Cancel the remaining tasks once more than N have failed
    #[arg(long, help_heading = "Tasks", value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub max_fails: Option<u32>,

    /// Cores of each task, as in 2 or 0.5 [default: 1]
    #[arg(long, help_heading = "Resources", value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub cpus: Option<String>,
    /// Memory of each task, as in 4GiB
    #[arg(long = "mem", help_heading = "Resources", value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// GPUs of each task: a share of one (0.5), or whole ones
    #[arg(long, help_heading = "Resources", value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub gpus: Option<String>,
    /// Named resource of each task, as in licence=1; may be repeated
    #[arg(long = "resource", help_heading = "Resources", value_name = "NAME=N")]
    pub resources: Vec<String>,
    /// Nodes that may run it, as in 'zone in (a,b) && !spot' or 'gpu.memory >= 80 || gpu.model == h100'
    #[arg(long, help_heading = "Resources", value_name = "TERMS")]
    pub constraint: Option<String>,
    /// Prefer nodes, or avoid them: a term and a weight from -100 to 100, as in 'zone == a:80' or spot:-20; may be
    /// repeated
    #[arg(long, help_heading = "Resources", value_name = "TERM[:WEIGHT]")]
    pub prefer: Vec<String>,
    /// Run each task alone on its node
    #[arg(long, help_heading = "Resources")]
    pub exclusive: bool,
    /// Run no two tasks of the job on one node at once
    #[arg(long, help_heading = "Resources")]
    pub apart: bool,
    /// Run no two tasks of the job at once on nodes with the same value of a label, as in rack
    #[arg(long, help_heading = "Resources", value_name = "LABEL")]
    pub apart_by: Option<String>,
    /// Run one task on each node that is up and could run it
    #[arg(long, help_heading = "Tasks", conflicts_with_all = ["array", "each_line"])]
    pub broadcast: bool,
    /// In a pool with placement hash: tasks with the same key run on the same node while it has room [default: the
    /// user]
    #[arg(long, help_heading = "Resources", value_name = "KEY")]
    pub locality: Option<String>,
    /// Accept a job that no present node could run, and wait for a node that can
    #[arg(long, help_heading = "Resources")]
    pub wait_for_nodes: bool,

    /// Stop a task that runs longer than this, as in 1h30m
    #[arg(long, help_heading = "Time and failure", value_name = "DURATION", value_parser = value::amount, allow_hyphen_values = true)]
    pub time_limit: Option<String>,
    /// Expected run time of a task, used by sjf and backfill
    #[arg(long, help_heading = "Time and failure", value_name = "DURATION", value_parser = value::amount, allow_hyphen_values = true)]
    pub estimate: Option<String>,
    /// Time from SIGTERM to SIGKILL when a task is stopped [default: 5s]
    #[arg(long, help_heading = "Time and failure", value_name = "DURATION", value_parser = value::amount, allow_hyphen_values = true)]
    pub grace: Option<String>,
    /// Maximum retries of a failed task [default: 0]
    #[arg(long, help_heading = "Time and failure", value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub retries: Option<u32>,
    /// Wait before the first retry; doubles with each retry [default: 1s]
    #[arg(long, help_heading = "Time and failure", value_name = "DURATION", value_parser = value::amount, allow_hyphen_values = true)]
    pub backoff: Option<String>,
    /// What to do with tasks of a lost node: retry (at least once) or fail (at most once) [default: retry]
    #[arg(long, help_heading = "Time and failure", value_name = "WHAT")]
    pub on_agent_lost: Option<String>,

    /// Environment variable of the tasks: NAME=VALUE, or NAME to copy its value from here; may be repeated
    #[arg(long, help_heading = "Process", value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Pass the whole environment of this command to the tasks
    #[arg(long, help_heading = "Process")]
    pub env_all: bool,
    /// Working directory on the node; `none` gives each task an empty one of its own [default: the current directory]
    #[arg(long, help_heading = "Process", value_name = "PATH")]
    pub cwd: Option<String>,
    /// File on the node for standard input; - sends this command's standard input [default: empty]
    #[arg(long, help_heading = "Process", value_name = "PATH")]
    pub stdin: Option<String>,
    /// File on the node for standard output, as in out-%{job}-%{task}.txt [default: captured, see `taskyard logs`]
    #[arg(long, help_heading = "Process", value_name = "PATH")]
    pub stdout: Option<String>,
    /// File on the node for standard error
    #[arg(long, help_heading = "Process", value_name = "PATH")]
    pub stderr: Option<String>,

    /// process, or null: tasks complete without a process
    #[arg(long, hide = true)]
    pub driver: Option<String>,
    /// Driver null: how many of a thousand tasks fail
    #[arg(long, hide = true, value_name = "N", value_parser = value::count::<u16>, allow_hyphen_values = true)]
    pub null_fail_per_mille: Option<u16>,
    /// Driver null: how long each task pretends to run, in milliseconds
    #[arg(long, hide = true, value_name = "MS", value_parser = value::count::<u32>, allow_hyphen_values = true)]
    pub null_run_ms: Option<u32>,
}

/// What to run: words before `--` and words after it.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// A script, a job file (.toml or .json), or - for standard input; then arguments of the script
    #[arg(value_name = "FILE")]
    pub words: Vec<String>,
    /// A command with its arguments, passed unchanged (after a script: more arguments for it)
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Arguments of `submit`.
#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    /// What to run.
    #[command(flatten)]
    pub target: Target,
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Submit the jobs of a JSON file: one, an array, or one per line (- is standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["words", "command"])]
    pub from_json: Option<String>,
    /// Wait until the job has finished; the exit code gives its result
    #[arg(long)]
    pub wait: bool,
    /// Show progress while waiting, even without a terminal
    #[arg(long, requires = "wait")]
    pub progress: bool,
    /// Print only the id of the job
    #[arg(long)]
    pub parsable: bool,
}

/// Arguments of `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// What would run.
    #[command(flatten)]
    pub target: Target,
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Plan each job of a JSON file by itself: one, an array, or one per line (- is standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["words", "command"])]
    pub from_json: Option<String>,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Keep the job running when the terminal closes or the reader of the pipe exits [default: cancel it]
    #[arg(long)]
    pub detach_on_disconnect: bool,
    /// What to run.
    #[command(flatten)]
    pub target: Target,
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
}
