//! The table of a terminal.

use super::Run;
use super::columns::columns;
use std::fmt::Write;

/// Runs one a line, numbers aligned on the right; `*` marks the best of a column. Ends in a line that explains the marks.
pub fn table(runs: &[Run]) -> String {
    let metrics: Vec<_> = runs.iter().map(|r| &r.metrics).collect();
    let mut all = vec![names(runs)];
    for column in columns(&metrics) {
        let mut lines = vec![format!("{} ", column.head), format!("{} ", column.unit)];
        let mark = |best| if best { '*' } else { ' ' };
        lines.extend(column.cells.iter().map(|c| format!("{}{}", c.shown, mark(c.best))));
        all.push(lines);
    }
    let widths: Vec<usize> =
        all.iter().map(|c| c.iter().map(|l| l.chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in 0..runs.len() + 2 {
        let mut text = String::new();
        for (i, (column, width)) in all.iter().zip(&widths).enumerate() {
            let cell = &column[line];
            let _ = if i == 0 { write!(text, "{cell:<width$}") } else { write!(text, " {cell:>width$}") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    if let Some(bound) = runs.first().map(|r| r.metrics.starvation_bound_s) {
        let _ = writeln!(out, "* best of its column. starved: waited more than {}.", duration(bound));
    }
    out
}

fn names(runs: &[Run]) -> Vec<String> {
    let names = runs.iter().map(Run::name);
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
