//! What the page says about its figures: where they come from, what they mean, how to make them again.

use super::Escaped;
use crate::metrics::TAU_MS;
use crate::report::columns::{Column, columns};
use crate::report::scale::grouped;
use crate::report::text::duration;
use crate::report::{SimulationReport, WorkloadSource};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) fn head(out: &mut String, report: &SimulationReport) {
    let WorkloadSource { jobs, windows, nodes, cpus, gpus, offered_load, .. } = &report.source;
    let mut facts = vec![format!("{} jobs", grouped(*jobs as f64))];
    if *windows > 1 {
        facts.push(format!("{windows} windows"));
    }
    facts.push(if *nodes == 1 { "one node".to_owned() } else { format!("{} nodes", grouped(*nodes as f64)) });
    facts.push(format!("{} cpus", grouped(*cpus)));
    if *gpus > 0.0 {
        facts.push(format!("{} GPUs", grouped(*gpus)));
    }
    if let Some(users) = report.runs.iter().map(|r| r.metrics.users).max() {
        facts.push(format!("{} users", grouped(users as f64)));
    }
    if let Some(load) = offered_load {
        facts.push(format!("offered load {load:.2}"));
    }
    let _ = writeln!(out, "<p class=\"dim\">{}</p>", facts.join(" · "));
}

pub(super) fn left_out(out: &mut String, report: &SimulationReport) {
    let WorkloadSource { dropped, changed, malformed, .. } = &report.source;
    if dropped.is_empty() && changed.is_empty() && malformed.total == 0 {
        return;
    }
    out.push_str("<h2>What was left out or changed</h2>\n<dl>");
    counts(out, "left out", dropped);
    counts(out, "changed", changed);
    if malformed.total > 0 {
        let first = malformed.first.iter().take(3).map(|m| format!("line {}: {}", m.line, m.why));
        let shown = first.collect::<Vec<_>>().join("; ");
        let _ = write!(out, "<dt>malformed lines: {}</dt><dd>{}</dd>", malformed.total, Escaped(&shown));
    }
    out.push_str("</dl>\n");
}

fn counts(out: &mut String, what: &str, counts: &BTreeMap<String, u64>) {
    for (rule, count) in counts {
        let rule = rule.replace('_', " ");
        let _ = write!(out, "<dt>{what}: {}</dt><dd>{}</dd>", grouped(*count as f64), Escaped(&rule));
    }
}

pub(super) fn meanings(out: &mut String, report: &SimulationReport) {
    let bound = report.runs.first().map_or(0.0, |r| r.metrics.starvation_bound_s);
    let copies = report.runs.iter().find_map(|r| r.copies).map_or(0, |copies| copies.count);
    out.push_str("<h2>What the columns mean</h2>\n<dl><dt>wait</dt><dd>from submit to start</dd>");
    for Column { head, meaning, .. } in columns(&report.runs) {
        let _ = write!(out, "<dt>{head}</dt><dd>{meaning}</dd>");
    }
    let _ = write!(
        out,
        "</dl>\n<p class=\"dim\">τ is {} s. Starved: waited more than {}.{}</p>\n",
        TAU_MS / 1_000,
        duration(bound),
        if copies > 0 { format!(" Low, high: on the jobs and on {copies} copies.") } else { String::new() }
    );
}

pub(super) fn made_by(out: &mut String, report: &SimulationReport) {
    let seed = report.seed.map(|s| format!(", seed {s}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "<h2>Made by</h2>\n<p>Taskyard {}{seed}: <code>{}</code></p>",
        Escaped(&report.version),
        Escaped(&report.command)
    );
}
