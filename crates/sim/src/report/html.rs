//! The report as one page: no script, no font, no link; it opens from a mail, years later.

mod facts;
mod plots;

use super::columns::{Column, columns};
use super::{PolicyRun, SimulationReport};
use std::fmt::{self, Write};

const STYLE: &str = include_str!("style.css");
/// Colours in the style, one for each policy.
const COLOURS: usize = 8;
/// Kinds of line, one for each discipline or placement: lengths of dashes and gaps.
const DASHES: [&str; 5] = ["none", "7 4", "2 3", "11 3 2 3", "5 2 1 2 1 2"];

/// Text from outside, safe in a page, in attributes too.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The report as a page.
pub fn html(report: &SimulationReport) -> String {
    let title = Escaped(&report.source.name);
    let mut out = String::with_capacity(64 << 10);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Policies on {title}</title>\n<style>{STYLE}{}</style>\n<body>\n<h1>Policies on {title}</h1>\n",
        colours(&report.runs)
    );
    facts::head(&mut out, report);
    recommendation(&mut out, report);
    table(&mut out, report);
    plots::plots(&mut out, &report.runs);
    facts::left_out(&mut out, report);
    facts::meanings(&mut out, report);
    facts::made_by(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

fn recommendation(out: &mut String, report: &SimulationReport) {
    if let Some(take) = &report.recommendation {
        let name = report.runs.get(take.run).map(PolicyRun::name).unwrap_or_default();
        let _ =
            write!(out, "<div class=\"take\">Take <b>{}</b><p>{}</p>", Escaped(&name), Escaped(&take.why));
        for warning in &take.warnings {
            let _ = write!(out, "<p class=\"warn\">{}</p>", Escaped(warning));
        }
        out.push_str("</div>\n");
    }
    for caution in report.cautions() {
        let _ = writeln!(out, "<p class=\"warn\">{}</p>", Escaped(&caution));
    }
}

fn table(out: &mut String, report: &SimulationReport) {
    let columns = columns(&report.runs);
    out.push_str(
        "<h2>All runs</h2>\n<div class=\"wide\"><table><thead><tr><th>policy/discipline<small></small></th>",
    );
    for Column { head, unit, meaning, .. } in &columns {
        let _ = write!(out, "<th title=\"{meaning}\">{head}<small>{unit}</small></th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for (i, run) in report.runs.iter().enumerate() {
        let chosen = report.recommendation.as_ref().is_some_and(|r| r.run == i);
        let class = if chosen { " class=\"chosen\"" } else { "" };
        let today = if run.today { " (today)" } else { "" };
        let _ = write!(out, "<tr{class}><td>{}{today}</td>", Escaped(&run.name()));
        for cell in columns.iter().map(|c| &c.cells[i]) {
            let class = if cell.best { " class=\"best\"" } else { "" };
            let _ = write!(out, "<td{class}>{}</td>", cell.shown);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n<p class=\"dim\">● best of its column; the row in green is recommended.</p>\n");
}

/// One colour a policy, one kind of line a discipline with its placement; a box of the legend that is not ticked
/// takes its line away.
fn colours(runs: &[PolicyRun]) -> String {
    let mut css = String::new();
    let (mut policies, mut kinds) = (Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        let colour = place(&mut policies, run.policy.clone()) % COLOURS;
        let dash = DASHES[place(&mut kinds, (&run.discipline, &run.placement, &run.max_wait)) % DASHES.len()];
        let _ = writeln!(
            css,
            ".r{i}{{--k:var(--k{colour});stroke:var(--k{colour});stroke-dasharray:{dash}}}\
             body:has(#b{i}:not(:checked)) :is(.line.r{i},.strip.s{i}){{display:none}}"
        );
    }
    css
}

fn place<T: PartialEq>(seen: &mut Vec<T>, item: T) -> usize {
    seen.iter().position(|s| *s == item).unwrap_or_else(|| {
        seen.push(item);
        seen.len() - 1
    })
}
