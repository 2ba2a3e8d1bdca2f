//! The columns of both tables: what is shown, in which unit, and which end is the better one.

use crate::report::{Copies, PolicyRun};

/// Which value is best.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Best {
    Lowest,
    Highest,
}

/// What a column's numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ColumnFormat {
    /// Seconds, shown in the unit that suits most runs: one that starves must not turn the others to zero.
    Time,
    /// A plain number.
    Number,
    /// A share of one, shown as a percentage.
    Share,
    /// Things counted.
    Count,
}

/// One column with its cells.
pub(super) struct Column {
    /// First line of the head.
    pub(super) head: &'static str,
    /// Second line: the unit.
    pub(super) unit: &'static str,
    /// What it means, for those who ask.
    pub(super) meaning: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// A value as it is shown, and whether no other run has a better one.
pub(super) struct Cell {
    pub(super) shown: String,
    pub(super) best: bool,
}

type Of = fn(&PolicyRun) -> f64;

/// Head, value, kind, better end, and what it means. A value that is not a number is not known; a column without any
/// other is left out.
type Shape = (&'static str, Of, ColumnFormat, Best, &'static str);

const COLUMNS: [Shape; 14] = [
    (
        "wait mean",
        |r| r.metrics.mean_wait_s,
        ColumnFormat::Time,
        Best::Lowest,
        "mean time from submit to start",
    ),
    ("p50", |r| r.metrics.wait_p50_s, ColumnFormat::Time, Best::Lowest, "half of the jobs waited no longer"),
    ("p95", |r| r.metrics.wait_p95_s, ColumnFormat::Time, Best::Lowest, "95 of 100 jobs waited no longer"),
    ("p99", |r| r.metrics.wait_p99_s, ColumnFormat::Time, Best::Lowest, "99 of 100 jobs waited no longer"),
    ("max", |r| r.metrics.wait_max_s, ColumnFormat::Time, Best::Lowest, "the longest wait"),
    (
        "slowdown",
        |r| r.metrics.mean_bounded_slowdown,
        ColumnFormat::Number,
        Best::Lowest,
        "mean bounded slowdown: how many times longer a job took than it had to, max(1, (wait + run) / max(run, 10 s))",
    ),
    (
        "low",
        |r| copies(r, |c| c.slowdown_min),
        ColumnFormat::Number,
        Best::Lowest,
        "its smallest value where submits are moved at random",
    ),
    (
        "high",
        |r| copies(r, |c| c.slowdown_max),
        ColumnFormat::Number,
        Best::Lowest,
        "its largest value where submits are moved at random",
    ),
    (
        "slowdown p99",
        |r| r.metrics.bounded_slowdown_p99,
        ColumnFormat::Number,
        Best::Lowest,
        "99 of 100 jobs had no larger bounded slowdown",
    ),
    (
        "used",
        |r| r.metrics.utilisation,
        ColumnFormat::Share,
        Best::Highest,
        "CPUs that ran jobs, as a share of all CPUs from the first submit to the last end",
    ),
    (
        "GPUs",
        |r| r.metrics.gpu_utilisation.unwrap_or(f64::NAN),
        ColumnFormat::Share,
        Best::Highest,
        "GPUs that ran jobs, likewise",
    ),
    (
        "worst user",
        |r| r.metrics.user_slowdown_max,
        ColumnFormat::Number,
        Best::Lowest,
        "mean bounded slowdown of the user who fared worst",
    ),
    (
        "Gini",
        |r| r.metrics.user_slowdown_gini,
        ColumnFormat::Number,
        Best::Lowest,
        "how unevenly users' mean slowdowns are spread: 0 all alike, near 1 a few bear nearly all of it",
    ),
    (
        "starved",
        |r| r.metrics.starved_jobs as f64,
        ColumnFormat::Count,
        Best::Lowest,
        "jobs that waited longer than a day",
    ),
];

fn copies(run: &PolicyRun, of: fn(&Copies) -> f64) -> f64 {
    run.copies.as_ref().map_or(f64::NAN, of)
}

/// Every column with what it means, in the order of the table.
pub fn meanings() -> impl Iterator<Item = (&'static str, &'static str)> {
    COLUMNS.iter().map(|(head, _, _, _, meaning)| (*head, *meaning))
}

/// The columns for these runs. Those that no run has a value for are left out.
pub(super) fn columns(runs: &[PolicyRun]) -> Vec<Column> {
    COLUMNS.iter().filter_map(|column| self::column(column, runs)).collect()
}

fn column(&(head, of, kind, best, meaning): &Shape, runs: &[PolicyRun]) -> Option<Column> {
    let values: Vec<f64> = runs.iter().map(of).collect();
    if values.iter().all(|v| v.is_nan()) {
        return None;
    }
    let typical = typical(&values);
    let (unit, factor) = unit(kind, typical);
    let decimals = decimals(kind, typical / factor);
    let show = |v: &f64| if v.is_nan() { "-".to_owned() } else { format!("{:.decimals$}", v / factor) };
    let shown: Vec<String> = values.iter().map(show).collect();
    let order = |a: &f64, b: &f64| if best == Best::Lowest { a.total_cmp(b) } else { b.total_cmp(a) };
    let known = values.iter().enumerate().filter(|(_, v)| !v.is_nan());
    let winner = known.min_by(|a, b| order(a.1, b.1)).map(|(i, _)| shown[i].clone())?;
    // Where all are alike none is best.
    let differ = shown.iter().any(|s| *s != winner);
    let cells = shown.into_iter().map(|shown| Cell { best: differ && shown == winner, shown }).collect();
    Some(Column { head, unit, meaning, cells })
}

/// The median of the values that are not zero.
fn typical(values: &[f64]) -> f64 {
    let mut some: Vec<f64> = values.iter().copied().filter(|v| *v > 0.0).collect();
    some.sort_unstable_by(f64::total_cmp);
    some.get(some.len() / 2).copied().unwrap_or(0.0)
}

fn unit(kind: ColumnFormat, typical: f64) -> (&'static str, f64) {
    match kind {
        ColumnFormat::Time if typical >= 172_800.0 => ("d", 86_400.0),
        ColumnFormat::Time if typical >= 5_400.0 => ("h", 3_600.0),
        ColumnFormat::Time if typical >= 120.0 => ("min", 60.0),
        ColumnFormat::Time => ("s", 1.0),
        ColumnFormat::Share => ("%", 0.01),
        ColumnFormat::Count => ("jobs", 1.0),
        ColumnFormat::Number => ("", 1.0),
    }
}

/// As many as say something: three or four digits.
fn decimals(kind: ColumnFormat, typical: f64) -> usize {
    match (kind, typical) {
        (ColumnFormat::Count, _) => 0,
        (ColumnFormat::Share, _) => 1,
        (_, v) if v >= 1_000.0 => 0,
        (_, v) if v >= 100.0 => 1,
        _ => 2,
    }
}
