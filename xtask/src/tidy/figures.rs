//! Limits that a guide names are those of the code.

use super::Findings;
use anyhow::{Context, Result};
use std::fs;

const LIMITS: &str = "crates/model/src/limits.rs";
const SCHEDULING: &str = "docs/guide/scheduling.md";
const COMMANDS: &str = "docs/guide/command-line.md";

/// A guide, what it says with `{}` for the figure, and the constant.
const FIGURES: [(&str, &str, &str, &str); 8] = [
    (SCHEDULING, "| tasks planned ahead for a forecast | {} |", LIMITS, "PLANNED_TASKS_MAX"),
    (SCHEDULING, "| nodes examined for a forecast | {} |", LIMITS, "FORECAST_NODES_MAX"),
    (SCHEDULING, "of one job | {}, and ", LIMITS, "WHATIF_PASSES_MAX"),
    (SCHEDULING, ", and {} |", LIMITS, "WHATIF_NODES_MAX"),
    (SCHEDULING, "| reasons remembered per job | {} |", LIMITS, "REASONS_PER_JOB_MAX"),
    (SCHEDULING, "| waiting jobs whose reasons are remembered | {} |", LIMITS, "REASONS_JOBS_MAX"),
    (COMMANDS, "at most {} are followed at a time", LIMITS, "LOGS_FOLLOWED_MAX"),
    (COMMANDS, "a line of more than {} KiB is broken", LIMITS, "LOG_LABELLED_LINE_BYTES_MAX"),
];

/// Checks each figure.
pub fn check(findings: &mut Findings) -> Result<()> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("tidy reads {path}"));
    for (guide, text, file, name) in FIGURES {
        let Some(value) = constant(&read(file)?, name) else {
            findings.error(file, format!("has no constant {name}, which {guide} names"));
            continue;
        };
        let text = text.replace("{}", &value);
        // A guide may break its lines anywhere.
        if !read(guide)?.split_whitespace().collect::<Vec<_>>().join(" ").contains(&text) {
            findings.error(guide, format!("does not say {text:?}, which is {name} of {file}"));
        }
    }
    Ok(())
}

/// The value of a constant as a guide writes it: `2_000` is 2,000, `5_000_000` is 5 million, and of `64 << 10` it is
/// the 64.
fn constant(code: &str, name: &str) -> Option<String> {
    let rest = code.split(&format!("const {name}: ")).nth(1)?;
    let value = rest.split_once(" = ")?.1.split([';', ' ']).next()?;
    let digits = value.split('_').collect::<Vec<_>>().join(",");
    Some(digits.strip_suffix(",000,000").map_or(digits.clone(), |millions| format!("{millions} million")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_do() {
        let code = "const A: u32 = 2_000;\nconst B: u64 = 200_000_000;\nconst C: usize = 64 << 10;\nconst D: u8 = 16;";
        let values = ["A", "B", "C", "D", "E"].map(|name| constant(code, name));
        assert_eq!(
            values,
            [Some("2,000"), Some("200 million"), Some("64"), Some("16"), None].map(|v| v.map(str::to_owned))
        );
    }
}
