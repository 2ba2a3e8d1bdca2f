//! How amounts were read that others read otherwise: Slurm's `30:00` is half an hour, LSF's are thirty.

use crate::args::job::JobArgs;
use clap::Args as _;
use serde_json::Value;
use taskyard_client::api::{Invalid, JobSpec, units};

/// A remark for each such amount of a job. What kind of amount an option takes is in the table of options.
pub(super) fn of(spec: &JobSpec) -> Vec<Invalid> {
    let table = JobArgs::augment_args(clap::Command::new("job"));
    let spec = serde_json::to_value(JobSpec { entries: Vec::new(), script: None, ..spec.clone() });
    let Ok(Value::Object(spec)) = spec else { return Vec::new() };
    let of_option = |arg: &clap::Arg| {
        let field = arg.get_id().as_str();
        let text = spec.get(field)?.as_str()?;
        let read = match arg.get_value_names()?.first()?.as_str() {
            "DURATION" => units::duration_reading(text)?,
            "SIZE" => units::size_reading(text)?,
            _ => return None,
        };
        Some(Invalid::new(field, text, format!("read as {read}")))
    };
    table.get_arguments().filter_map(of_option).collect()
}
