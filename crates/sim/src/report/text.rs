//! The table of a terminal.

use super::PolicyRun;
use super::columns::columns;
use std::fmt::Write;

/// Columns that a narrow terminal goes without, the first first.
const SPARED: [&str; 8] = ["Gini", "slowdown p99", "low", "high", "p50", "worst user", "p95", "GPUs"];

/// Runs one a line, numbers aligned on the right; `*` marks the best of a column. Ends in lines that explain the
/// marks. Where it would be wider than `width`, columns are left out and named.
pub fn table(runs: &[PolicyRun], width: usize) -> String {
    let mut all = vec![(names(runs), "")];
    for column in columns(runs) {
        let mut lines = vec![format!("{} ", column.head), format!("{} ", column.unit)];
        let mark = |best| if best { '*' } else { ' ' };
        lines.extend(column.cells.iter().map(|c| format!("{}{}", c.shown, mark(c.best))));
        all.push((lines, column.head));
    }
    let mut spared = Vec::new();
    for head in SPARED {
        // The last column may end in a blank that is not written.
        if all.iter().map(|(lines, _)| longest(lines) + 1).sum::<usize>() <= width.saturating_add(2) {
            break;
        }
        let before = all.len();
        all.retain(|(_, of)| *of != head);
        spared.extend((all.len() < before).then_some(head));
    }
    let mut out = aligned(&all);
    if let Some(bound) = runs.first().map(|r| r.metrics.starvation_bound_s) {
        let _ = writeln!(out, "* best of its column. starved: waited more than {}.", duration(bound));
    }
    if let Some(count) = runs.iter().find_map(|r| r.copies).map(|copies| copies.count) {
        let _ = writeln!(
            out,
            "low, high: the slowdown on {count} copies of the jobs with submits moved at random."
        );
    }
    if !spared.is_empty() {
        let _ = writeln!(out, "Not shown, to fit the width: {}.", spared.join(", "));
    }
    out
}

fn longest(lines: &[String]) -> usize {
    lines.iter().map(|l| l.chars().count()).max().unwrap_or(0)
}

fn aligned(all: &[(Vec<String>, &str)]) -> String {
    let mut out = String::new();
    for line in 0..all[0].0.len() {
        let mut text = String::new();
        for (i, (column, _)) in all.iter().enumerate() {
            let (cell, width) = (&column[line], longest(column));
            let _ = if i == 0 { write!(text, "{cell:<width$}") } else { write!(text, " {cell:>width$}") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn names(runs: &[PolicyRun]) -> Vec<String> {
    let names = runs.iter().map(|run| format!("{}{}", run.name(), if run.today { " (today)" } else { "" }));
    ["policy/discipline".to_owned(), String::new()].into_iter().chain(names).collect()
}

/// Seconds as people say them: `43 s`, `12 min`, `5.3 h`, `3.1 d`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 && s.fract() > 0.0 => format!("{s:.1} s"),
        s if s < 119.5 => format!("{s:.0} s"),
        s if s < 7_170.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3_600.0 => trimmed(s / 3_600.0, "h"),
        s => trimmed(s / 86_400.0, "d"),
    }
}

fn trimmed(value: f64, unit: &str) -> String {
    let text = format!("{value:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}
