//! How long finished jobs are kept.

use crate::args::RetentionCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Format, Out, text};
use taskyard_client::api::units::{show_duration, show_size};
use taskyard_client::api::{Invalid, Quantity, RetentionSettings, RetentionStatus};

pub(crate) async fn retention(ctx: &mut Context, command: Option<RetentionCommand>) -> Result<u8, Failure> {
    if ctx.out.format == Format::Ids {
        let remedy = "retention has no ids; write table, json or jsonl";
        return Err(Invalid::new("--output", "ids", remedy).into());
    }
    let status = match command {
        None => ctx.client.retention().await?,
        Some(RetentionCommand::Set { keep, max_jobs, max_tasks, max_bytes, state_bytes }) => {
            let settings = RetentionSettings {
                keep: keep.map(Quantity),
                max_jobs,
                max_tasks,
                max_bytes: max_bytes.map(Quantity),
                state_bytes: state_bytes.map(Quantity),
            };
            if settings == RetentionSettings::default() {
                let remedy =
                    "name a setting to change: --keep, --max-jobs, --max-tasks, --max-bytes or --state-bytes";
                return Err(Invalid::new("retention", "", remedy).into());
            }
            settings.check().map_err(|e| {
                let flag = format!("--{}", e.field.replace('_', "-"));
                e.in_field(flag)
            })?;
            ctx.client.set_retention(&settings).await?
        }
    };
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&status)?,
        _ => write_retention(&status, text::now_ms(), &mut ctx.out)?,
    }
    Ok(exit::OK)
}

pub(crate) fn write_retention(s: &RetentionStatus, now_ms: u64, out: &mut Out) -> Result<(), Failure> {
    let mut facts = Facts::default();
    facts.add("keep", format!("{} after the end of a job", show_duration(s.keep_ms)));
    facts.add("max jobs", s.max_jobs.to_string());
    facts.add("max tasks", s.max_tasks.to_string());
    facts.add("max bytes", format!("{} of inputs on disk", show_size(s.max_bytes)));
    let oldest = s.oldest_end_at_ms.map(|at| format!(", the first ended {} ago", text::age(at, now_ms)));
    let (tasks, inputs) = (text::tasks(s.tasks), show_size(s.bytes));
    let kept =
        format!("{} finished jobs with {tasks} and {inputs} of inputs{}", s.jobs, oldest.unwrap_or_default());
    facts.add("kept now", kept);
    let state =
        format!("about {} of at most {} of memory", show_size(s.state_bytes), show_size(s.state_bytes_max));
    facts.add("state", state);
    facts.write(out)
}
