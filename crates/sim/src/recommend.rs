//! Which run to take, and why. A rule that can be checked by hand, not a score with arbitrary weights.
//!
//! 1. A run that another *beats* is out: the other's mean bounded slowdown and longest wait are no larger and its use
//!    of the cluster is no smaller, and one of them is better; or they are the same, and its worst user fares better.
//! 2. A run *starves* if more jobs waited longer than the bound than [`STARVED_SHARE_MAX`] of all and
//!    [`STARVED_FACTOR`] times as many, and [`STARVED_BY_CHANCE`], as under the run that starves fewest; or if its
//!    longest wait is above the bound and [`LONGEST_FACTOR`] times the shortest longest wait. It is out too. Where
//!    none would be left, only longest waits count.
//! 3. Of the others, those are alike whose mean bounded slowdown is within [`ALIKE`] of the smallest, or within what
//!    chance makes of it (see [`crate::report::Copies`]). The one of them with the smallest 99th percentile of waits
//!    is taken; then the smaller mean wait decides, then the order in which they are listed.
//! 4. Its price is said: a faster run that starves, longer waits, a user who fares worse, less use of the cluster.

mod rule;

use crate::report::{PolicyRun, Recommendation, duration};
use rule::{choose, likely, starves};

/// Share of jobs that may wait longer than the bound whatever other runs do.
pub const STARVED_SHARE_MAX: f64 = 0.001;
/// Times the fewest starved jobs of any run.
pub const STARVED_FACTOR: u64 = 2;
/// A difference up to this may be chance: with few jobs, twice as many is nothing.
pub const STARVED_BY_CHANCE: u64 = 10;
/// Times the shortest longest wait of any run.
pub const LONGEST_FACTOR: f64 = 4.0;
/// Mean slowdowns whose quotient is no larger are alike: less than what one more week of jobs would change.
pub const ALIKE: f64 = 1.02;
/// Times the shortest longest wait above which the price is mentioned.
const LONGEST_MENTIONED: f64 = 1.5;
/// Times the worst user's slowdown under the run that treats its worst user best, above which the price is mentioned.
const WORST_USER_MENTIONED: f64 = 1.2;
/// Use of cpu below the highest at which the price is mentioned.
const USE_MENTIONED: f64 = 0.01;

/// The run to take, by the rule above; `None` if there is nothing to choose from.
pub fn recommend(runs: &[PolicyRun]) -> Option<Recommendation> {
    if runs.len() < 2 {
        return None;
    }
    let chosen = choose(runs)?;
    let run = &runs[chosen];
    Some(Recommendation {
        run: chosen,
        policy: run.policy.clone(),
        discipline: run.discipline.clone(),
        placement: run.placement.clone(),
        max_wait: run.max_wait.clone(),
        why: why(runs, chosen),
        warnings: [faster_but_starves(runs, run), longest(runs, run), uneven(runs, run), unused(runs, run)]
            .into_iter()
            .flatten()
            .collect(),
    })
}

fn why(runs: &[PolicyRun], chosen: usize) -> String {
    let run = &runs[chosen];
    let m = &run.metrics;
    let served = format!(
        "Jobs waited {} on average and 99 of 100 at most {}; {:.1} % of CPU was used.",
        duration(m.mean_wait_s),
        duration(m.wait_p99_s),
        m.utilisation * 100.0
    );
    let all_alike = most(runs, slowdown) <= least(runs, slowdown) * ALIKE;
    let first = if all_alike {
        format!(
            "All runs are alike within {:.0} % of slowdown; {} has the shortest waits of the slowest jobs.",
            (ALIKE - 1.0) * 100.0,
            run.name()
        )
    } else {
        compared(run, baseline(runs, chosen))
    };
    format!("{first} {served}")
}

/// How much slower or faster jobs went than they do today, or than they would without a thought.
fn compared(run: &PolicyRun, baseline: &PolicyRun) -> String {
    let (mine, other) = (slowdown(run), slowdown(baseline));
    let difference = if mine <= other {
        format!("{:.0} % below", (1.0 - mine / other) * 100.0)
    } else {
        format!("{:.0} % above", (mine / other - 1.0) * 100.0)
    };
    let range = run.copies.map_or(String::new(), |copies| {
        format!(" ({:.2} to {:.2} with submits moved at random)", copies.slowdown_min, copies.slowdown_max)
    });
    let what = if baseline.today { ", which runs today" } else { "" };
    let today = if run.today { ", which runs today," } else { "" };
    format!(
        "{}{today} has a mean bounded slowdown of {mine:.2}{range}, {difference} that of {}{what} ({other:.2}).",
        run.name(),
        baseline.name()
    )
}

/// What runs today; else what people run if they have not thought about it: first come, first served without a
/// longest wait under the same discipline; else under any; else the run that comes next in slowdown.
fn baseline(runs: &[PolicyRun], chosen: usize) -> &PolicyRun {
    let others = || runs.iter().enumerate().filter(|(i, _)| *i != chosen).map(|(_, r)| r);
    let fcfs = || others().filter(|r| r.policy == "fcfs");
    let same = || fcfs().filter(|r| r.discipline == runs[chosen].discipline);
    let by_slowdown = |a: &&PolicyRun, b: &&PolicyRun| slowdown(a).total_cmp(&slowdown(b));
    let today = others().find(|r| r.today);
    let unbound = || same().find(|r| r.max_wait.as_deref().is_none_or(|wait| wait == "off"));
    today
        .or_else(unbound)
        .or_else(|| same().next())
        .or_else(|| fcfs().min_by(by_slowdown))
        .or_else(|| others().min_by(by_slowdown))
        .unwrap_or(&runs[chosen])
}

fn faster_but_starves(runs: &[PolicyRun], chosen: &PolicyRun) -> Option<String> {
    let faster = |r: &&PolicyRun| likely(r) * ALIKE < likely(chosen) && starves(runs, r);
    let best = runs.iter().filter(faster).min_by(|a, b| slowdown(a).total_cmp(&slowdown(b)))?;
    let m = &best.metrics;
    Some(format!(
        "{} has a lower mean slowdown ({:.2}) and is not taken because it starves: {} jobs waited more than {}, the longest {}; under {} it is \
         {} jobs and {}.",
        best.name(),
        slowdown(best),
        m.starved_jobs,
        duration(m.starvation_bound_s),
        duration(m.wait_max_s),
        chosen.name(),
        chosen.metrics.starved_jobs,
        duration(chosen.metrics.wait_max_s)
    ))
}

fn longest(runs: &[PolicyRun], chosen: &PolicyRun) -> Option<String> {
    let m = &chosen.metrics;
    let shortest = runs.iter().min_by(|a, b| longest_wait(a).total_cmp(&longest_wait(b)))?;
    let mentioned =
        m.wait_max_s > m.starvation_bound_s && m.wait_max_s > longest_wait(shortest) * LONGEST_MENTIONED;
    mentioned.then(|| {
        format!(
            "The longest wait under {} is {} ({} jobs waited more than {}); {} keeps it to {}: set the queue's max_wait if that is too long.",
            chosen.name(),
            duration(m.wait_max_s),
            m.starved_jobs,
            duration(m.starvation_bound_s),
            shortest.name(),
            duration(longest_wait(shortest))
        )
    })
}

/// The worst user counts, not how even users are: a run that serves all of them badly is even.
fn uneven(runs: &[PolicyRun], chosen: &PolicyRun) -> Option<String> {
    let worst = |r: &PolicyRun| r.metrics.user_slowdown_max;
    let kindest = runs.iter().min_by(|a, b| worst(a).total_cmp(&worst(b)))?;
    (worst(chosen) > worst(kindest) * WORST_USER_MENTIONED).then(|| {
        format!(
            "Under {} the user who fares worst has a mean slowdown of {:.1}, under {} of {:.1} (Gini over users {:.2} against {:.2}).",
            chosen.name(),
            worst(chosen),
            kindest.name(),
            worst(kindest),
            chosen.metrics.user_slowdown_gini,
            kindest.metrics.user_slowdown_gini
        )
    })
}

fn unused(runs: &[PolicyRun], chosen: &PolicyRun) -> Option<String> {
    let used = |r: &PolicyRun| r.metrics.utilisation;
    let fullest = runs.iter().max_by(|a, b| used(a).total_cmp(&used(b)))?;
    (used(chosen) + USE_MENTIONED < used(fullest)).then(|| {
        format!(
            "{} uses {:.1} % of the CPU, {} {:.1} %: the work takes {} against {}.",
            chosen.name(),
            used(chosen) * 100.0,
            fullest.name(),
            used(fullest) * 100.0,
            duration(chosen.metrics.makespan_s),
            duration(fullest.metrics.makespan_s)
        )
    })
}

fn slowdown(run: &PolicyRun) -> f64 {
    run.metrics.mean_bounded_slowdown
}

fn longest_wait(run: &PolicyRun) -> f64 {
    run.metrics.wait_max_s
}

fn least(runs: &[PolicyRun], of: fn(&PolicyRun) -> f64) -> f64 {
    runs.iter().map(of).fold(f64::MAX, f64::min)
}

fn most(runs: &[PolicyRun], of: fn(&PolicyRun) -> f64) -> f64 {
    runs.iter().map(of).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
