//! One set of metrics for several windows of a log.

use super::{Metrics, sum};

/// Means over windows, each counting the same whatever its length: what RLScheduler's table shows. Jobs, starved jobs
/// and starts are summed; of longest waits, worst users and largest slowdowns the largest is kept. `None` without
/// windows.
pub fn average(windows: &[Metrics]) -> Option<Metrics> {
    let first = windows.first()?;
    let mean = |of: fn(&Metrics) -> f64| sum(windows.iter().map(of)) / windows.len() as f64;
    let max = |of: fn(&Metrics) -> f64| windows.iter().map(of).fold(f64::MIN, f64::max);
    let gpus: Option<Vec<f64>> = windows.iter().map(|m| m.gpu_utilisation).collect();
    Some(Metrics {
        jobs: windows.iter().map(|m| m.jobs).sum(),
        mean_wait_s: mean(|m| m.mean_wait_s),
        wait_p50_s: mean(|m| m.wait_p50_s),
        wait_p95_s: mean(|m| m.wait_p95_s),
        wait_p99_s: mean(|m| m.wait_p99_s),
        wait_max_s: max(|m| m.wait_max_s),
        mean_bounded_slowdown: mean(|m| m.mean_bounded_slowdown),
        bounded_slowdown_p50: mean(|m| m.bounded_slowdown_p50),
        bounded_slowdown_p99: mean(|m| m.bounded_slowdown_p99),
        bounded_slowdown_max: max(|m| m.bounded_slowdown_max),
        utilisation: mean(|m| m.utilisation),
        utilisation_to_last_start: mean(|m| m.utilisation_to_last_start),
        gpu_utilisation: gpus.map(|g| sum(g.iter().copied()) / g.len() as f64),
        sum_start: windows.iter().map(|m| m.sum_start).sum(),
        makespan_s: mean(|m| m.makespan_s),
        users: windows.iter().map(|m| m.users).max().unwrap_or_default(),
        user_slowdown_max: max(|m| m.user_slowdown_max),
        user_slowdown_gini: mean(|m| m.user_slowdown_gini),
        starved_jobs: windows.iter().map(|m| m.starved_jobs).sum(),
        starvation_bound_s: first.starvation_bound_s,
    })
}
