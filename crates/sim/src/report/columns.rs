//! The columns of both tables: what is shown, in which unit, and which end is the better one.

use crate::Metrics;

/// Which value is best.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Best {
    Lowest,
    Highest,
}

/// What a column's numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
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

type Of = fn(&Metrics) -> f64;

const COLUMNS: [(&str, Of, Kind, Best, &str); 12] = [
    ("wait mean", |m| m.mean_wait_s, Kind::Time, Best::Lowest, "mean time from submit to start"),
    ("p50", |m| m.wait_p50_s, Kind::Time, Best::Lowest, "half of the jobs waited no longer"),
    ("p95", |m| m.wait_p95_s, Kind::Time, Best::Lowest, "95 of 100 jobs waited no longer"),
    ("p99", |m| m.wait_p99_s, Kind::Time, Best::Lowest, "99 of 100 jobs waited no longer"),
    ("max", |m| m.wait_max_s, Kind::Time, Best::Lowest, "the longest wait"),
    ("slowdown", |m| m.mean_bounded_slowdown, Kind::Number, Best::Lowest, "mean bounded slowdown"),
    (
        "its p99",
        |m| m.bounded_slowdown_p99,
        Kind::Number,
        Best::Lowest,
        "99 of 100 jobs had no larger bounded slowdown",
    ),
    ("used", |m| m.utilisation, Kind::Share, Best::Highest, "cpu that ran jobs, first submit to last end"),
    (
        "GPUs",
        |m| m.gpu_utilisation.unwrap_or(f64::NAN),
        Kind::Share,
        Best::Highest,
        "GPUs that ran jobs, first submit to last end",
    ),
    (
        "worst user",
        |m| m.user_slowdown_max,
        Kind::Number,
        Best::Lowest,
        "mean bounded slowdown of the user who fared worst",
    ),
    (
        "Gini",
        |m| m.user_slowdown_gini,
        Kind::Number,
        Best::Lowest,
        "how unevenly users fared: 0 all alike, 1 one bears it all",
    ),
    (
        "starved",
        |m| m.starved_jobs as f64,
        Kind::Count,
        Best::Lowest,
        "jobs that waited longer than the bound",
    ),
];

/// The columns for these runs. Those that no run has a value for are left out.
pub(super) fn columns(runs: &[&Metrics]) -> Vec<Column> {
    COLUMNS.iter().filter_map(|column| self::column(column, runs)).collect()
}

fn column(
    &(head, of, kind, best, meaning): &(&'static str, Of, Kind, Best, &'static str),
    runs: &[&Metrics],
) -> Option<Column> {
    let values: Vec<f64> = runs.iter().map(|m| of(m)).collect();
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let typical = typical(&values);
    let (unit, factor) = unit(kind, typical);
    let decimals = decimals(kind, typical / factor);
    let shown: Vec<String> = values.iter().map(|v| format!("{:.decimals$}", v / factor)).collect();
    let order = |a: &f64, b: &f64| if best == Best::Lowest { a.total_cmp(b) } else { b.total_cmp(a) };
    let winner = values.iter().enumerate().min_by(|a, b| order(a.1, b.1)).map(|(i, _)| shown[i].clone())?;
    // Where all are alike nobody is best.
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

fn unit(kind: Kind, typical: f64) -> (&'static str, f64) {
    match kind {
        Kind::Time if typical >= 172_800.0 => ("d", 86_400.0),
        Kind::Time if typical >= 5_400.0 => ("h", 3_600.0),
        Kind::Time if typical >= 120.0 => ("min", 60.0),
        Kind::Time => ("s", 1.0),
        Kind::Share => ("%", 0.01),
        Kind::Count => ("jobs", 1.0),
        Kind::Number => ("", 1.0),
    }
}

/// As many as say something: three or four digits.
fn decimals(kind: Kind, typical: f64) -> usize {
    match (kind, typical) {
        (Kind::Count, _) => 0,
        (Kind::Share, _) => 1,
        (_, v) if v >= 1_000.0 => 0,
        (_, v) if v >= 100.0 => 1,
        _ => 2,
    }
}
