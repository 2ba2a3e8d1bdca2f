//! The rule.

use super::{
    ALIKE, LONGEST_FACTOR, STARVED_BY_CHANCE, STARVED_FACTOR, STARVED_SHARE_MAX, least, longest_wait,
};
use crate::report::PolicyRun;

/// The position of the run to take; `None` without any.
pub(super) fn choose(runs: &[PolicyRun]) -> Option<usize> {
    let unbeaten = || (0..runs.len()).filter(|i| !runs.iter().any(|other| beats(other, &runs[*i])));
    let of =
        |wanted: &dyn Fn(&PolicyRun) -> bool| unbeaten().filter(|i| wanted(&runs[*i])).collect::<Vec<_>>();
    let mut left = of(&|run| !starves(runs, run));
    if left.is_empty() {
        // The one with the shortest longest wait is always left.
        left = of(&|run| !waits_too_long(runs, run));
    }
    let best = left.iter().map(|i| &runs[*i]).min_by(|a, b| likely(a).total_cmp(&likely(b)))?;
    let by_chance = best.copies.map_or(0.0, |copies| copies.slowdown_max);
    let alike_below = by_chance.max(likely(best) * ALIKE);
    left.into_iter().filter(|i| likely(&runs[*i]) <= alike_below).min_by(|a, b| {
        let (a, b) = (&runs[*a].metrics, &runs[*b].metrics);
        a.wait_p99_s.total_cmp(&b.wait_p99_s).then(a.mean_wait_s.total_cmp(&b.mean_wait_s))
    })
}

/// The mean bounded slowdown, or its median over copies.
pub(super) fn likely(run: &PolicyRun) -> f64 {
    run.copies.map_or(run.metrics.mean_bounded_slowdown, |copies| copies.slowdown_median)
}

/// Whether there is nothing for which to take the other one.
fn beats(run: &PolicyRun, other: &PolicyRun) -> bool {
    // Use that differs in the fourth digit only is the same.
    let key = |run: &PolicyRun| {
        let m = &run.metrics;
        [m.mean_bounded_slowdown, m.wait_max_s, -(m.utilisation * 1e4).round()]
    };
    let (mine, its) = (key(run), key(other));
    if mine == its {
        return run.metrics.user_slowdown_max < other.metrics.user_slowdown_max;
    }
    mine.iter().zip(&its).all(|(mine, its)| mine <= its)
}

pub(super) fn starves(runs: &[PolicyRun], run: &PolicyRun) -> bool {
    let m = &run.metrics;
    let fewest = runs.iter().map(|r| r.metrics.starved_jobs).min().unwrap_or(0);
    let many = m.starved_jobs as f64 > m.jobs as f64 * STARVED_SHARE_MAX
        && m.starved_jobs > fewest.saturating_mul(STARVED_FACTOR).saturating_add(STARVED_BY_CHANCE);
    many || waits_too_long(runs, run)
}

fn waits_too_long(runs: &[PolicyRun], run: &PolicyRun) -> bool {
    let m = &run.metrics;
    m.wait_max_s > m.starvation_bound_s && m.wait_max_s > least(runs, longest_wait) * LONGEST_FACTOR
}
