//! Several runs of one workload beside each other: as a table of text, as JSON, and as one HTML file that needs
//! nothing else.
//!
//! Reports say what was left out of the trace and how to make them again; a figure of unknown origin convinces no one.

mod columns;
mod html;
mod json;
mod plot;
mod scale;
mod series;
mod text;

pub use columns::meanings;
pub use html::html;
pub use json::json;
pub use series::{Series, TimeSeries};
pub use text::{duration, table};

use crate::workload::MalformedLines;
use crate::{Metrics, Workload};
use serde::Serialize;
use std::collections::BTreeMap;

/// One policy, tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyRun {
    /// Order of the queue, as users name it.
    pub policy: String,
    /// What happens when the head does not fit.
    pub discipline: String,
    /// Which node a job gets, where that was varied.
    pub placement: Option<String>,
    /// The longest wait after which a job goes first, where that was varied: `off`, or a time.
    pub max_wait: Option<String>,
    /// Whether it is the cluster that ran the jobs, as it is set up now.
    pub today: bool,
    /// How much of its slowdown is chance; `None` without copies.
    pub copies: Option<Copies>,
    /// What it cannot show with these jobs.
    pub notes: Vec<String>,
    /// Whether it took the shortcut for one machine, so that the scheduler itself has run its first jobs only (see
    /// [`crate::engine::run`]).
    pub shortcut: bool,
    /// How well jobs were served.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Each window by itself, where there are several: the metrics above are then means over them (see
    /// [`crate::metrics::average`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowReport>,
    /// For plots; empty unless it was asked for.
    pub series: Series,
}

/// How the mean bounded slowdown comes out where jobs are submitted a little later: on the log itself and on copies
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Copies {
    /// How many copies.
    pub count: u64,
    /// The smallest mean bounded slowdown of them all.
    pub slowdown_min: f64,
    /// The median of them all.
    pub slowdown_median: f64,
    /// The largest.
    pub slowdown_max: f64,
}

/// One window of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowReport {
    /// `TRACE [START+LENGTH]`.
    pub name: String,
    /// How well its jobs were served.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Where the jobs came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadSource {
    /// Name of the trace or settings of the generator.
    pub name: String,
    /// Jobs that were run, over all windows.
    pub jobs: u64,
    /// Windows that were cut, 1 for a whole trace.
    pub windows: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// Its cpus.
    pub cpus: f64,
    /// Its GPUs.
    pub gpus: f64,
    /// What was asked of the cpus, as a share of what there was: the mean over windows.
    pub offered_load: Option<f64>,
    /// Records left out, by rule.
    pub dropped: BTreeMap<String, u64>,
    /// Records changed, by rule.
    pub changed: BTreeMap<String, u64>,
    /// Lines that could not be read.
    pub malformed: MalformedLines,
    /// What is known of the jobs and not replayed, or was assumed.
    pub notes: Vec<String>,
}

/// What to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// Position of the run.
    pub run: usize,
    /// Order of the queue.
    pub policy: String,
    /// What happens when the head does not fit.
    pub discipline: String,
    /// Which node a job gets, where that was varied.
    pub placement: Option<String>,
    /// The longest wait after which a job goes first, where that was varied.
    pub max_wait: Option<String>,
    /// Two sentences with figures.
    pub why: String,
    /// What it costs, one sentence each.
    pub warnings: Vec<String>,
}

/// Runs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulationReport {
    /// Version of Taskyard that ran them.
    pub version: String,
    /// What made it: with the version, this makes it again.
    pub command: String,
    /// Seed, where chance had a part.
    pub seed: Option<u64>,
    /// Where the jobs came from.
    pub source: WorkloadSource,
    /// In the order in which they are shown.
    pub runs: Vec<PolicyRun>,
    /// What to take; `None` if there was nothing to choose from.
    pub recommendation: Option<Recommendation>,
}

impl PolicyRun {
    /// `sjf/easy`, with the placement and the longest wait where they were varied.
    pub fn name(&self) -> String {
        let placement = self.placement.as_ref().map(|p| format!("/{p}")).unwrap_or_default();
        let max_wait = self.max_wait.as_ref().map(|wait| format!("/max-wait={wait}")).unwrap_or_default();
        format!("{}/{}{placement}{max_wait}", self.policy, self.discipline)
    }
}

impl Copies {
    /// Of a run with this slowdown and its copies; `None` without any.
    pub(crate) fn of(slowdown: f64, copies: &[f64]) -> Option<Copies> {
        let mut all: Vec<f64> = copies.iter().copied().chain([slowdown]).collect();
        all.sort_unstable_by(f64::total_cmp);
        let (slowdown_min, slowdown_max) = (*all.first()?, *all.last()?);
        let count = copies.len() as u64;
        (count > 0).then_some(Copies {
            count,
            slowdown_min,
            slowdown_median: all[all.len() / 2],
            slowdown_max,
        })
    }
}

impl WorkloadSource {
    /// Of one workload, or of several windows of one trace. `None` without any.
    pub fn of(workloads: &[Workload]) -> Option<WorkloadSource> {
        let first = workloads.first()?;
        let loads: Vec<f64> = workloads.iter().filter_map(Workload::offered_load).collect();
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(rule, n)| ((*rule).to_owned(), *n)).collect()
        };
        let name = match workloads {
            [_] => first.name.as_str(),
            // All windows carry the trace's name with their own place behind it.
            _ => first.name.split(" [").next().unwrap_or_default(),
        };
        Some(WorkloadSource {
            name: name.to_owned(),
            jobs: workloads.iter().map(|w| w.jobs.len() as u64).sum(),
            windows: workloads.len() as u64,
            nodes: first.nodes.len() as u64,
            cpus: first.cpu_milli() as f64 / 1_000.0,
            gpus: first.gpu_milli() as f64 / 1_000.0,
            offered_load: (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64),
            dropped: named(&first.dropped),
            changed: named(&first.changed),
            malformed: first.malformed.clone(),
            notes: first.notes.clone(),
        })
    }

    /// What a reader must know of the jobs.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        if let Some(load) = self.offered_load.filter(|l| *l > 1.0) {
            cautions.push(format!(
                "The jobs request {load:.2} times what the cluster has: the queue grows as long as the trace lasts, and mean waits say \
                 more about its length than about a policy."
            ));
        }
        let guessed = self.changed.get("estimate_missing_taken_from_run").copied().unwrap_or(0);
        if guessed > 0 {
            cautions.push(format!(
                "{guessed} records have no estimate; their true run time stands in, so policies that use estimates look better than \
                 they would be."
            ));
        }
        cautions.extend(self.notes.iter().cloned());
        cautions
    }
}

impl SimulationReport {
    /// What a reader must know before believing any figure.
    pub fn cautions(&self) -> Vec<String> {
        let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
        for (run, note) in self.runs.iter().flat_map(|run| run.notes.iter().map(move |note| (run, note))) {
            match notes.iter_mut().find(|(same, _)| same == note) {
                Some((_, names)) => names.push(run.name()),
                None => notes.push((note, vec![run.name()])),
            }
        }
        let mut cautions = self.source.cautions();
        cautions.extend(notes.iter().map(|(note, names)| format!("{}: {note}.", names.join(", "))));
        cautions
    }

    /// Puts runs together with what is recommended of them.
    pub fn new(
        source: WorkloadSource,
        runs: Vec<PolicyRun>,
        recommendation: Option<Recommendation>,
        command: String,
        seed: Option<u64>,
    ) -> SimulationReport {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        SimulationReport { version, command, seed, source, runs, recommendation }
    }
}

#[cfg(test)]
pub(crate) mod tests;
