//! The report for scripts.

use super::Report;
use serde_json::{Value, json};

/// The report as JSON, indented. Each run has `jobs`, `dropped` and all metrics beside policy and discipline; `series` only if asked for, since
/// it is longer than all the rest.
pub fn json(report: &Report, with_series: bool) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(report)?;
    let dropped = json!(report.source.dropped);
    for run in value["runs"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        run.insert("dropped".to_owned(), dropped.clone());
        if !with_series {
            run.remove("series");
        }
    }
    serde_json::to_string_pretty(&value)
}
