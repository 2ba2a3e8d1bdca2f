//! `submit`.

use super::wait;
use crate::args::SubmitArgs;
use crate::args::job::{JobArgs, Target};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::input::{self, Built, Here};
use crate::progress::Progress;
use crate::show::{Format, output::say, style, text};
use std::io::IsTerminal;
use taskyard_client::api::{ErrorCode, Invalid, SubmitResponse};
use taskyard_client::{Error, request_id};

/// A job that stands the checks that need no server.
pub(crate) type Prepared = Built;

/// Reads everything that the job is made of. Its request id is drawn here, so that a failure can name it.
pub(crate) fn prepare(target: &Target, job: &JobArgs, namespace: Option<&str>) -> Result<Prepared, Failure> {
    let mut built = input::build(target, job, &Here::of_process())?;
    // What the job itself says is nearer than what holds for every command.
    let spec = &mut built.request.spec;
    spec.namespace = spec.namespace.take().or(namespace.map(str::to_owned));
    built.request.request_id.get_or_insert_with(request_id);
    Ok(built)
}

/// Sends it. What the server refuses is named as the user wrote it; what is in doubt can be repeated by its request id.
pub(crate) async fn send(ctx: &Context, mut prepared: Prepared) -> Result<SubmitResponse, Failure> {
    if !prepared.after_last.is_empty() {
        let last = ctx.last().await?;
        let named = prepared.after_last.iter().map(|need| format!("{}:{last}", need.name()));
        prepared.request.spec.after.extend(named);
    }
    for warning in &prepared.warnings {
        warn(warning);
    }
    let answer = match ctx.client.submit(prepared.request.clone()).await {
        Ok(answer) => answer,
        Err(Error::Api(error)) if error.code == ErrorCode::Invalid && error.field.is_some() => {
            let (value, remedy) = (error.value.unwrap_or_default(), error.remedy.unwrap_or_default());
            let invalid = Invalid::new(error.field.unwrap_or_default(), value, remedy);
            return Err(prepared.located(invalid).into());
        }
        Err(error) => {
            if !error.is_definite() {
                let id = prepared.request.request_id.as_deref().unwrap_or_default();
                say(&format!(
                    "the job may have been submitted; the same command with --request-id {id} makes no second one"
                ));
            }
            return Err(error.into());
        }
    };
    for warning in &answer.warnings {
        warn(warning);
    }
    Ok(answer)
}

fn warn(text: &str) {
    say(&format!("{} {text}", style::paint(style::WARN, "warning:")));
}

pub(crate) async fn submit(ctx: &mut Context, args: &SubmitArgs, prepared: Prepared) -> Result<u8, Failure> {
    let spec = prepared.request.spec.clone();
    let answer = send(ctx, prepared).await?;
    match ctx.out.format {
        _ if args.parsable => ctx.out.line(&answer.job.to_string())?,
        Format::Ids => ctx.out.line(&answer.job.to_string())?,
        Format::Json | Format::Jsonl => ctx.out.json(&answer)?,
        Format::Table => {
            let how = match (answer.duplicate, spec.hold) {
                (true, _) => " was submitted before with this request id",
                (false, true) => " submitted, held",
                (false, false) => " submitted",
            };
            ctx.out.line(&format!("job {}{how} ({})", answer.job, text::tasks(answer.tasks)))?;
            if !args.wait && std::io::stderr().is_terminal() {
                let next =
                    format!("see `taskyard show{0} {1}`, `taskyard wait{0} {1}`", ctx.local_flag, answer.job);
                ctx.out.flush()?;
                say(&style::paint(style::DIM, &next));
            }
        }
    }
    if !args.wait {
        return Ok(exit::OK);
    }
    ctx.out.flush()?;
    let mut progress = Progress::new(args.progress);
    let job = wait::finish(ctx, answer.job, &mut progress, None).await?;
    progress.clear();
    say(&wait::sentence(&job));
    wait::tell_cause(&job, &spec);
    Ok(wait::code(&job.summary))
}
