//! What `simulate` shows.

use crate::exit::{Failure, STANDARD_OUTPUT};
use crate::show::{Format, Out, output::say, style};
use serde_json::Value;
use taskyard_sim::engine::CHECKED_JOBS;
use taskyard_sim::report::{self, WorkloadSource};
use taskyard_sim::{PolicyRun, SimulationReport};

/// Malformed lines that are shown; all are in the JSON, up to a limit.
const LINES_SHOWN: usize = 5;

pub(super) fn report(report: &SimulationReport, out: &mut Out) -> Result<(), Failure> {
    let failed = |e: serde_json::Error| Failure::io(STANDARD_OUTPUT)(e.into());
    match out.format {
        Format::Json => out.line(&report::json(report, false).map_err(failed)?),
        Format::Jsonl => {
            let text = report::json(report, false).map_err(failed)?;
            let whole: Value = serde_json::from_str(&text).map_err(failed)?;
            whole["runs"].as_array().into_iter().flatten().try_for_each(|run| out.json(run))
        }
        Format::Ids => report.runs.iter().map(PolicyRun::name).try_for_each(|name| out.line(&name)),
        Format::Table => table(report, out),
    }?;
    if out.format != Format::Table {
        malformed(&report.source);
        let head = style::paint(style::WARN, "note:");
        report.cautions().iter().for_each(|caution| say(&format!("{head} {caution}")));
    }
    Ok(())
}

fn table(report: &SimulationReport, out: &mut Out) -> Result<(), Failure> {
    out.line(&style::paint(style::HEAD, &report.source.name))?;
    out.line(&style::paint(style::DIM, &facts(&report.source)))?;
    left_out(&report.source, out)?;
    out.line("")?;
    let width = if out.is_terminal { out.columns } else { usize::MAX };
    out.text(&report::table(&report.runs, width))?;
    if let Some(take) = &report.recommendation {
        let name = report.runs.get(take.run).map(PolicyRun::name).unwrap_or_default();
        out.line("")?;
        out.line(&format!("Take {}. {}", style::paint(style::HEAD, &name), take.why))?;
        take.warnings.iter().try_for_each(|warning| note(warning, out))?;
    }
    report.cautions().iter().try_for_each(|caution| note(caution, out))?;
    out.line("")?;
    if let Some(by) = by(&report.runs) {
        out.line(&style::paint(style::DIM, &by))?;
    }
    let seed = report.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    out.line(&style::paint(style::DIM, &format!("taskyard {}{seed}: {}", report.version, report.command)))
}

/// How much of it the scheduler itself has run; nothing if all.
fn by(runs: &[PolicyRun]) -> Option<String> {
    let shortcuts = runs.iter().filter(|run| run.shortcut).count();
    let first = format!("the first {CHECKED_JOBS} jobs");
    match (shortcuts, runs.len()) {
        (0, _) => None,
        (1, 1) => Some(format!(
            "by the shortcut for one machine; the scheduler itself checked {first} (--thorough: all)"
        )),
        (n, all) => Some(format!(
            "{n} of {all} runs used the shortcut for one machine; the scheduler itself checked {first} of each and all of the recommended run (--thorough: all)"
        )),
    }
}

fn note(text: &str, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("{} {text}", style::paint(style::WARN, "!")))
}

fn facts(source: &WorkloadSource) -> String {
    let several = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut facts = vec![several(source.jobs, "job")];
    if source.windows > 1 {
        facts.push(several(source.windows, "window"));
    }
    facts.push(several(source.nodes, "node"));
    facts.push(format!("{} cpus", source.cpus));
    if source.gpus > 0.0 {
        facts.push(format!("{} GPUs", source.gpus));
    }
    facts.extend(source.offered_load.map(|load| format!("offered load {load:.2}")));
    facts.join(", ")
}

fn left_out(source: &WorkloadSource, out: &mut Out) -> Result<(), Failure> {
    for (what, rules) in [("left out", &source.dropped), ("changed", &source.changed)] {
        for (rule, n) in rules {
            out.line(&style::paint(style::DIM, &format!("{what}: {n} ({})", rule.replace('_', " "))))?;
        }
    }
    malformed(source);
    Ok(())
}

/// On standard error, as it is no result.
fn malformed(source: &WorkloadSource) {
    let lines = &source.malformed;
    if lines.total == 0 {
        return;
    }
    let (what, verb) = if lines.total == 1 { ("line", "is") } else { ("lines", "are") };
    say(&format!(
        "{} {} {what} of {} {verb} malformed and left out",
        style::paint(style::WARN, "warning:"),
        lines.total,
        source.name
    ));
    for line in lines.first.iter().take(LINES_SHOWN) {
        say(&format!("  line {}: {}", line.line, line.why));
    }
    if lines.total > LINES_SHOWN as u64 {
        say("  … more with --output json");
    }
}
