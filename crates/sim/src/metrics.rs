//! How well a simulated cluster served its jobs.
//!
//! Definitions are those of the published evaluations, so that numbers can be held against theirs. Sums are exact in
//! integers where possible, and compensated where not. A percentile is the value at position `floor(q·n)` of the
//! sorted values, as in the reference.

mod average;
mod fairness;

pub use average::average;

use crate::Workload;
use fairness::fairness;
use serde::Serialize;
use taskyard_model::Invalid;

/// Bounded slowdown counts a job as at least this long, so that jobs of a second do not rule the mean.
pub const TAU_MS: u64 = 10_000;
/// A job that waits longer counts as starved: the bound after which a queue serves by age, unless it is set otherwise.
pub const STARVATION_MS: u64 = 24 * 3_600_000;

/// When a job ran, in milliseconds since the trace's zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobTimes {
    /// When it started.
    pub start_ms: u64,
    /// When it ended.
    pub end_ms: u64,
}

/// Constants of the measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// See [`TAU_MS`].
    pub tau_ms: u64,
    /// See [`STARVATION_MS`].
    pub starvation_ms: u64,
}

/// How well jobs were served. Times are seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Jobs that were run: all of the workload.
    pub jobs: u64,
    /// Mean time from submit to start.
    pub mean_wait_s: f64,
    /// Half of the jobs waited no longer.
    pub wait_p50_s: f64,
    /// 95 of 100 waited no longer.
    pub wait_p95_s: f64,
    /// 99 of 100 waited no longer.
    pub wait_p99_s: f64,
    /// The longest wait.
    pub wait_max_s: f64,
    /// Mean of max(1, (wait + run) / max(run, τ)).
    pub mean_bounded_slowdown: f64,
    /// Its median.
    pub bounded_slowdown_p50: f64,
    /// Its 99th percentile.
    pub bounded_slowdown_p99: f64,
    /// Its largest value.
    pub bounded_slowdown_max: f64,
    /// Share of all cpu that ran jobs, from the first submit to the last end.
    pub utilisation: f64,
    /// The same work, over the time up to the last start: what RLScheduler calls utilisation.
    pub utilisation_to_last_start: f64,
    /// Share of all GPUs; `None` if there are none.
    pub gpu_utilisation: Option<f64>,
    /// Σ start over all jobs, in whole seconds: equal only if every start is.
    pub sum_start: u128,
    /// From the first submit to the last end.
    pub makespan_s: f64,
    /// Users with jobs.
    pub users: u64,
    /// Mean bounded slowdown of the user who fared worst.
    pub user_slowdown_max: f64,
    /// How unevenly users fared: Gini coefficient of their mean bounded slowdowns, 0 (all alike) to 1.
    pub user_slowdown_gini: f64,
    /// Jobs that waited longer than `starvation_bound_s`.
    pub starved_jobs: u64,
    /// What counts as starving.
    pub starvation_bound_s: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { tau_ms: TAU_MS, starvation_ms: STARVATION_MS }
    }
}

impl JobTimes {
    /// How long it ran.
    pub fn run_ms(&self) -> u64 {
        self.end_ms - self.start_ms
    }
}

/// Measures outcomes that are in the order of the workload's jobs. Refuses ones that cannot be: fewer or more than
/// there are jobs, a start before the submit, an end before the start.
pub fn measure(workload: &Workload, outcomes: &[JobTimes], bounds: Bounds) -> Result<Metrics, Invalid> {
    check(workload, outcomes, bounds)?;
    let jobs = || workload.jobs.iter().zip(outcomes);
    let slowdowns: Vec<f64> =
        jobs().map(|(j, o)| slowdown(o.start_ms - j.submit_ms, o.run_ms(), bounds.tau_ms)).collect();
    let waits: Vec<u64> = jobs().map(|(j, o)| o.start_ms - j.submit_ms).collect();
    let count = waits.len();
    let starved = waits.iter().filter(|wait| **wait > bounds.starvation_ms).count();
    let total_wait_ms: u128 = waits.iter().map(|w| u128::from(*w)).sum();
    let [wait_p50, wait_p95, wait_p99, wait_max] = at_ranks(waits, [0.5, 0.95, 0.99, 1.0], u64::cmp);
    let work = Work::of(workload, outcomes);
    let fairness = fairness(workload, &slowdowns);
    let mean_bounded_slowdown = sum(slowdowns.iter().copied()) / count as f64;
    let [slowdown_p50, slowdown_p99, slowdown_max] = at_ranks(slowdowns, [0.5, 0.99, 1.0], f64::total_cmp);
    Ok(Metrics {
        jobs: count as u64,
        mean_wait_s: total_wait_ms as f64 / (count as f64 * 1_000.0),
        wait_p50_s: seconds(wait_p50),
        wait_p95_s: seconds(wait_p95),
        wait_p99_s: seconds(wait_p99),
        wait_max_s: seconds(wait_max),
        mean_bounded_slowdown,
        bounded_slowdown_p50: slowdown_p50,
        bounded_slowdown_p99: slowdown_p99,
        bounded_slowdown_max: slowdown_max,
        utilisation: work.cpu_share(work.last_end_ms),
        utilisation_to_last_start: work.cpu_share(work.last_start_ms),
        gpu_utilisation: work.gpu_share(),
        sum_start: outcomes.iter().map(|o| u128::from(o.start_ms)).sum::<u128>() / 1_000,
        makespan_s: seconds(work.last_end_ms - work.first_submit_ms),
        users: fairness.users,
        user_slowdown_max: fairness.max,
        user_slowdown_gini: fairness.gini,
        starved_jobs: starved as u64,
        starvation_bound_s: seconds(bounds.starvation_ms),
    })
}

/// How much longer a job took than it had to: max(1, (wait + run) / max(run, τ)).
pub fn slowdown(wait_ms: u64, run_ms: u64, tau_ms: u64) -> f64 {
    ((wait_ms + run_ms) as f64 / run_ms.max(tau_ms) as f64).max(1.0)
}

fn check(workload: &Workload, outcomes: &[JobTimes], bounds: Bounds) -> Result<(), Invalid> {
    if outcomes.len() != workload.jobs.len() {
        let remedy = format!("one for each of the {} jobs is expected", workload.jobs.len());
        return Err(Invalid::new("outcomes", outcomes.len(), remedy));
    }
    if outcomes.is_empty() {
        return Err(Invalid::new("outcomes", 0, "a workload without jobs has no metrics"));
    }
    if bounds.tau_ms == 0 {
        return Err(Invalid::new("tau", 0, "at least 1ms: a job that runs for no time has no slowdown"));
    }
    for (job, outcome) in workload.jobs.iter().zip(outcomes) {
        if outcome.start_ms < job.submit_ms || outcome.end_ms < outcome.start_ms {
            let shown = format!("{}..{}", outcome.start_ms, outcome.end_ms);
            let remedy =
                format!("job {} is submitted at {}, starts then and ends later", job.id, job.submit_ms);
            return Err(Invalid::new("outcomes", shown, remedy));
        }
    }
    Ok(())
}

/// What ran, in thousandths of a core (or of a GPU) times milliseconds.
struct Work {
    cpu: u128,
    gpu: u128,
    cpu_milli: u64,
    gpu_milli: u64,
    first_submit_ms: u64,
    last_start_ms: u64,
    last_end_ms: u64,
}

impl Work {
    fn of(workload: &Workload, outcomes: &[JobTimes]) -> Work {
        let jobs = || workload.jobs.iter().zip(outcomes);
        let run = |o: &JobTimes| u128::from(o.run_ms());
        Work {
            cpu: jobs().map(|(j, o)| run(o) * u128::from(j.request.amounts.cpu_milli)).sum(),
            gpu: jobs().map(|(j, o)| run(o) * u128::from(j.request.gpu_milli)).sum(),
            cpu_milli: workload.cpu_milli(),
            gpu_milli: workload.gpu_milli(),
            first_submit_ms: workload.jobs.iter().map(|j| j.submit_ms).min().unwrap_or_default(),
            last_start_ms: outcomes.iter().map(|o| o.start_ms).max().unwrap_or_default(),
            last_end_ms: outcomes.iter().map(|o| o.end_ms).max().unwrap_or_default(),
        }
    }

    fn cpu_share(&self, until_ms: u64) -> f64 {
        share(self.cpu, self.cpu_milli, until_ms - self.first_submit_ms)
    }

    fn gpu_share(&self) -> Option<f64> {
        (self.gpu_milli > 0).then(|| share(self.gpu, self.gpu_milli, self.last_end_ms - self.first_submit_ms))
    }
}

/// Zero where there was no time or nothing to use: a share of nothing is no number.
fn share(work: u128, milli: u64, span_ms: u64) -> f64 {
    let offered = u128::from(milli) * u128::from(span_ms);
    if offered == 0 { 0.0 } else { work as f64 / offered as f64 }
}

/// The values at rising ranks of what would be sorted: only as much is put in order as that needs. Never of nothing.
fn at_ranks<T: Copy, const N: usize>(
    mut values: Vec<T>,
    ranks: [f64; N],
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> [T; N] {
    let (count, mut below) = (values.len(), 0);
    ranks.map(|q| {
        let at = rank(count, q);
        // What is before an earlier rank is smaller, and stays where it is.
        let value = *values[below..].select_nth_unstable_by(at - below, order).1;
        below = at;
        value
    })
}

fn rank(count: usize, q: f64) -> usize {
    ((count as f64 * q) as usize).min(count - 1)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// Neumaier's sum: as if in twice the digits, so that millions of terms cost none.
fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0f64, 0.0f64);
    for term in terms {
        let next = total + term;
        lost += if total.abs() >= term.abs() { (total - next) + term } else { (term - next) + total };
        total = next;
    }
    total + lost
}

#[cfg(test)]
pub(crate) mod tests;
