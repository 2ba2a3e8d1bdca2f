//! A job as users write it: the body of a submit and the content of a job file (TOML or JSON).

use crate::{Blob, Quantity};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;
use taskyard_model::Invalid;
use taskyard_model::spec::{Driver, Null};
use utoipa::ToSchema;

/// One job. Every field but `command` (or `script`) may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"command": ["python3", "train.py"], "cpus": "2", "memory": "4GiB", "time_limit": "1h"}))]
pub struct JobSpec {
    /// Name: 1 to 128 printable characters. Default: the program's file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Queue. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Namespace: who may see and control it. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Account to charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Higher runs first in a queue with the priority policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Program and arguments, passed as they are: no shell reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A script instead of a command; its first line (`#!`) names the interpreter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Blob>,
    /// Arguments of the script.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment of the tasks, beyond a minimal one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory on the node. May contain `%{job} %{task} %{attempt} %{node} %{name}`. Default: each task's
    /// own directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// File on the node for standard input. Default: empty input. Patterns as in `cwd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Standard input itself, the same for each task; instead of `stdin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin_data: Option<Blob>,
    /// File on the node for standard output. Default: captured for `logs`. Patterns as in `cwd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// File on the node for standard error, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Task numbers: `FIRST-LAST`, `FIRST-LAST:STEP`, with `%N` for at most N at once, as in `1-1000:2%50`.
    /// Default: one task, numbered 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// One line for each task, which finds it in `TASKYARD_ENTRY`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "some_lines")]
    #[schema(min_items = 1)]
    pub entries: Vec<String>,
    /// Maximum tasks running at once; the same as `%N` in `array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<u32>,
    /// Cores per task, with up to three decimals. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.5")]
    pub cpus: Option<Quantity>,
    /// Memory per task, with a unit. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "4GiB")]
    pub memory: Option<Quantity>,
    /// GPUs of each task: a share of one (up to 1), or whole ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1")]
    pub gpus: Option<Quantity>,
    /// Named resources of each task, in whole units.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// Which nodes may run it: tests of labels joined by `&&` and `||`, as in `zone in (a,b) && (gpu.model == h100 ||
    /// gpu.memory >= 80) && !spot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Nodes to prefer or avoid: a term and a weight from -100 to 100 (default: 50), as in `zone == a:80`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["ssd:50"]))]
    pub prefer: Vec<String>,
    /// Each task runs alone on its node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// No two tasks of the job at once on one node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// No two tasks of the job at once on nodes with the same value of this label, such as `rack`. A node without the
    /// label stands for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rack")]
    pub apart_by: Option<String>,
    /// One task on each node that is up and could run it when it is submitted. A task whose node is lost waits until
    /// it comes back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broadcast: bool,
    /// With the placement `hash`: tasks with the same key go to the same node while it has room. Default: the
    /// user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// Accept it although no node of the queue's pool could hold one of its tasks even when empty, and wait for
    /// such a node. Otherwise it is refused, unless the pool has no nodes yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wait_for_nodes: bool,
    /// A task that runs longer is stopped and fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1h30m")]
    pub time_limit: Option<Quantity>,
    /// How long a task is expected to run, for policies such as `sjf` and for backfill. Stops nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10m")]
    pub estimate: Option<Quantity>,
    /// Time between SIGTERM and SIGKILL when a task is stopped. Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "5s")]
    pub grace: Option<Quantity>,
    /// Maximum retries of a failed task. Default: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Wait before the first retry, doubled for each further one. Default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1s")]
    pub backoff: Option<Quantity>,
    /// When more tasks than this have failed, the rest are cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fails: Option<u32>,
    /// Jobs whose end its tasks wait for: `ok:12` (all of job 12 succeeded), `any:12` (it ended), `fail:12` (it
    /// failed or was cancelled). If job 12 ends otherwise, this one is skipped. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["ok:12"]))]
    pub after: Vec<String>,
    /// Not before this time: an instant with its zone, or a delay with a unit such as `+2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-24T18:00:00+01:00")]
    pub begin: Option<String>,
    /// Submit, but wait for `release`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// What happens to a task whose node was lost while it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_agent_lost: Option<OnAgentLost>,
    /// What runs the tasks. Default: `process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverName>,
    /// Settings of the driver `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<NullSpec>,
}

/// An empty list is a mistake of what made it: it would run one task without a line.
fn some_lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let lines = Vec::deserialize(deserializer)?;
    if lines.is_empty() {
        return Err(de::Error::custom("the list is empty; give one line per task, or leave it out"));
    }
    Ok(lines)
}

/// What runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverName {
    /// A process on the node.
    Process,
    /// Nothing: each task completes without a process, for benches and rehearsals.
    Null,
}

/// What happens to a task whose node was lost while it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentLost {
    /// It runs again: at least once. The default.
    Retry,
    /// It failed: at most once.
    Fail,
}

/// Settings of the driver `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NullSpec {
    /// About how many of a thousand tasks fail.
    pub fail_per_mille: u16,
    /// How long each pretends to run, in milliseconds.
    pub run_ms: u32,
}

impl JobSpec {
    /// Checks everything that does not depend on the cluster, so that a mistake is told before anything is sent.
    pub fn check(&self) -> Result<(), Invalid> {
        taskyard_model::JobSpec::try_from(self.clone()).map(drop)
    }

    /// The driver that the job asks for, with its settings; `None` for a process, whose settings are the command.
    pub(crate) fn take_driver(&mut self) -> Result<Option<Driver>, Invalid> {
        match (self.driver, self.null.take()) {
            (Some(DriverName::Process), Some(_)) => {
                let remedy = "these settings are for the driver null, but the driver is process";
                Err(Invalid::new("null", "", remedy))
            }
            (Some(DriverName::Process) | None, None) => Ok(None),
            (Some(DriverName::Null) | None, null) => {
                self.runs_nothing()?;
                let null = null.unwrap_or_default();
                Ok(Some(Driver::Null(Null { fail_per_mille: null.fail_per_mille, run_ms: null.run_ms })))
            }
        }
    }

    fn runs_nothing(&self) -> Result<(), Invalid> {
        if self.command.is_some() || self.script.is_some() {
            let remedy = "the driver null runs nothing; leave out command and script";
            return Err(Invalid::new("driver", "null", remedy));
        }
        Ok(())
    }

    /// The opposite, for all drivers but that of processes.
    pub(crate) fn with_driver(self, driver: &Driver) -> JobSpec {
        match driver {
            Driver::Process(_) => self,
            Driver::Null(null) => JobSpec {
                driver: Some(DriverName::Null),
                null: Some(NullSpec { fail_per_mille: null.fail_per_mille, run_ms: null.run_ms }),
                ..self
            },
        }
    }
}
