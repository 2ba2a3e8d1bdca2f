//! The report for scripts.

use super::SimulationReport;
use serde_json::{Value, json};

/// The report as JSON, indented. Each of `runs` has `jobs`, `dropped`, `recommended` and all metrics beside policy
/// and discipline; where there is only one, its fields stand at the top as well, so that a script need not look into
/// a list. `series` only if asked for: it is longer than all the rest.
pub fn json(report: &SimulationReport, with_series: bool) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(report)?;
    let dropped = json!(report.source.dropped);
    let recommended = report.recommendation.as_ref().map(|take| take.run);
    let runs = value["runs"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
    for (i, run) in runs.enumerate() {
        run.insert("dropped".to_owned(), dropped.clone());
        run.insert("recommended".to_owned(), json!(recommended == Some(i)));
        if !with_series {
            run.remove("series");
        }
    }
    if let [run] = value["runs"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let mut only = run.clone();
        if let (Some(only), Some(top)) = (only.as_object_mut(), value.as_object_mut()) {
            only.remove("series");
            top.append(only);
        }
    }
    serde_json::to_string_pretty(&value)
}
