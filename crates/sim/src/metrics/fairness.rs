//! How users fared, beside each other.

use super::sum;
use crate::Workload;

pub(super) struct Fairness {
    pub(super) users: u64,
    pub(super) max: f64,
    pub(super) gini: f64,
}

/// From the slowdown of each job, in the order of jobs.
pub(super) fn fairness(workload: &Workload, slowdowns: &[f64]) -> Fairness {
    let users = workload.jobs.iter().map(|j| j.user as usize + 1).max().unwrap_or(0);
    let mut of = vec![(0.0f64, 0u64); users];
    for (job, slowdown) in workload.jobs.iter().zip(slowdowns) {
        let (total, jobs) = &mut of[job.user as usize];
        *total += slowdown;
        *jobs += 1;
    }
    let mut means: Vec<f64> = of.iter().filter(|(_, n)| *n > 0).map(|(total, n)| total / *n as f64).collect();
    means.sort_unstable_by(f64::total_cmp);
    Fairness { users: means.len() as u64, max: means.last().copied().unwrap_or_default(), gini: gini(&means) }
}

/// Gini coefficient of sorted values: Σ (2i − n − 1)·x / (n·Σ x), i from 1.
fn gini(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let total = sum(sorted.iter().copied());
    if total <= 0.0 {
        return 0.0;
    }
    let weighted = sum(sorted.iter().enumerate().map(|(i, x)| (2.0 * (i as f64 + 1.0) - n - 1.0) * x));
    (weighted / (n * total)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::gini;

    #[test]
    fn gini_of_known_lists() {
        let check = |values: &[f64], expected: f64| {
            assert!((gini(values) - expected).abs() < 1e-12, "{values:?}: {}", gini(values));
        };
        check(&[], 0.0);
        check(&[3.0], 0.0);
        check(&[2.0, 2.0, 2.0], 0.0);
        check(&[0.0, 0.0, 0.0, 1.0], 0.75);
        check(&[1.0, 3.0], 0.25);
    }
}
