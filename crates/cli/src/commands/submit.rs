//! `submit`.

use super::{check, interrupt, wait};
use crate::args::SubmitArgs;
use crate::args::job::{JobArgs, Target};
use crate::context::Context;
use crate::exit::{self, Failure, Mistakes};
use crate::input::many::Many;
use crate::input::{self, Built, Here};
use crate::progress::WaitProgress;
use crate::show::{Format, output::say, style, text};
use std::io::IsTerminal;
use taskyard_client::api::{ApiError, ErrorCode, Invalid, JobSpec, SubmitResponse};
use taskyard_client::{Error, request_id};

/// A job that stands the checks that need no server.
pub(crate) struct PreparedJob {
    pub(crate) built: Built,
    /// Its place in a file of many, from 0.
    pub(crate) at: usize,
    /// The `--request-id` with which the command can be repeated.
    again: String,
}

/// Reads everything that the job is made of. Its request id is drawn here, so that a failure can name it.
pub(crate) fn prepare(
    target: &Target,
    job: &JobArgs,
    namespace: Option<&str>,
) -> Result<PreparedJob, Failure> {
    let built = input::build(target, job, &Here::of_process())?;
    Ok(ready((0, built), namespace, None))
}

/// The jobs of a command that stand these checks, and what is wrong with the others.
#[derive(Default)]
pub(crate) struct PreparedJobs {
    pub(crate) jobs: Vec<PreparedJob>,
    pub(crate) mistakes: Mistakes,
}

impl PreparedJobs {
    /// One job, as most commands have.
    pub(crate) fn one(job: PreparedJob) -> PreparedJobs {
        PreparedJobs { jobs: vec![job], mistakes: Mistakes::default() }
    }
}

/// The same for every job of a file of many.
pub(crate) fn prepare_all(
    path: &str,
    job: &JobArgs,
    namespace: Option<&str>,
) -> Result<PreparedJobs, Failure> {
    let again = job.request_id.clone().unwrap_or_else(request_id);
    let Many { jobs, mistakes } = input::many::build(path, job, &again, &Here::of_process())?;
    let jobs = jobs.into_iter().map(|job| ready(job, namespace, Some(&again))).collect();
    Ok(PreparedJobs { jobs, mistakes })
}

fn ready((at, mut built): (usize, Built), namespace: Option<&str>, again: Option<&str>) -> PreparedJob {
    // What the job itself says is nearer than what holds for every command.
    let spec = &mut built.request.spec;
    spec.namespace = spec.namespace.take().or(namespace.map(str::to_owned));
    let own = built.request.request_id.get_or_insert_with(request_id);
    let again = again.unwrap_or(own).to_owned();
    PreparedJob { built, at, again }
}

/// Sends it. What the server refuses is named as the user wrote it; what is in doubt can be repeated by its request id.
pub(crate) async fn send(ctx: &Context, prepared: PreparedJob) -> Result<SubmitResponse, Failure> {
    send_after(ctx, prepared, None).await
}

/// Sends one that comes after another of the same command: that is the newest job, whatever else has been submitted
/// meanwhile.
async fn send_after(
    ctx: &Context,
    prepared: PreparedJob,
    before: Option<u64>,
) -> Result<SubmitResponse, Failure> {
    let prepared = complete(ctx, prepared, before).await?;
    let PreparedJob { built, again, .. } = &prepared;
    let answer = match ctx.client.submit(built.request.clone()).await {
        Ok(answer) => answer,
        Err(error) => {
            if !error.is_definite() {
                say(&format!(
                    "the job may have been submitted; the same command with --request-id {again} makes no second one"
                ));
            }
            return Err(prepared.located(error));
        }
    };
    for warning in &answer.warnings {
        warn(warning);
    }
    Ok(answer)
}

/// Adds what only the server can tell, and says what there is to be warned of.
pub(crate) async fn complete(
    ctx: &Context,
    mut prepared: PreparedJob,
    before: Option<u64>,
) -> Result<PreparedJob, Failure> {
    let built = &mut prepared.built;
    if !built.after_last.is_empty() {
        let last = match before {
            Some(job) => job,
            None => ctx.last().await?,
        };
        let named = built.after_last.iter().map(|need| format!("{}:{last}", need.name()));
        built.request.spec.after.extend(named);
    }
    for warning in &built.warnings {
        warn(warning);
    }
    for note in &built.notes {
        say(&style::paint(style::DIM, note));
    }
    Ok(prepared)
}

impl PreparedJob {
    /// What the server refuses is named as the user wrote it.
    pub(crate) fn located(&self, error: Error) -> Failure {
        match error {
            Error::Api(error) => match self.named(error) {
                Ok(invalid) => invalid.into(),
                Err(error) => Error::Api(error).into(),
            },
            error => error.into(),
        }
    }

    /// A refusal of one of many jobs, with its place in the file.
    pub(crate) fn refusal(&self, error: ApiError) -> String {
        match self.named(error) {
            Ok(invalid) => invalid.to_string(),
            Err(error) => format!("{}: {error}", self.built.place().unwrap_or_default()),
        }
    }

    fn named(&self, error: ApiError) -> Result<Invalid, ApiError> {
        match (error.code, &error.field) {
            (ErrorCode::Invalid, Some(field)) => {
                let (value, remedy) = (error.value.unwrap_or_default(), error.remedy.unwrap_or_default());
                Ok(self.built.located(Invalid::new(field, value, remedy)))
            }
            _ => Err(error),
        }
    }
}

pub(crate) fn warn(text: &str) {
    say(&format!("{} {text}", style::paint(style::WARN, "warning:")));
}

pub(crate) async fn submit(
    ctx: &mut Context,
    args: &SubmitArgs,
    prepared: PreparedJobs,
) -> Result<u8, Failure> {
    let many = args.from_json.is_some();
    let all = check::before_submit(ctx, prepared).await?;
    let (count, again) = (all.len(), all.first().map(|one| one.again.clone()).unwrap_or_default());
    let mut answers: Vec<SubmitResponse> = Vec::new();
    // What each was, to tell the cause of a failure in its own words.
    let mut specs: Vec<JobSpec> = Vec::new();
    let mut failed = None;
    for prepared in all {
        let held = prepared.built.request.spec.hold;
        specs.extend(args.wait.then(|| prepared.built.request.spec.clone()));
        match send_after(ctx, prepared, answers.last().map(|answer| answer.job)).await {
            Ok(answer) => {
                tell(ctx, args, &answer, held)?;
                answers.push(answer);
            }
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    // A list is one document; what was submitted is told also when the rest was not.
    if many && ctx.out.format == Format::Json && !args.parsable {
        ctx.out.json(&answers)?;
    }
    // A user who waits for the end of a job wants its number first.
    let jobs: Vec<u64> = answers.iter().map(|answer| answer.job).collect();
    ctx.out.finish().inspect_err(|failure| {
        if !failure.is_broken_pipe() && !jobs.is_empty() {
            say(&interrupt::left(&jobs, ctx.local_flag));
        }
    })?;
    if let Some(failure) = failed {
        if many {
            say(&format!(
                "{} of {count} jobs were submitted; {}",
                answers.len(),
                how_to_go_on(&failure, &again)
            ));
        }
        return Err(failure);
    }
    if !args.wait {
        return Ok(exit::OK);
    }
    let waited = wait_for(ctx, args, answers.iter().zip(&specs));
    interrupt::or_leave(waited, &jobs, ctx.local_flag).await
}

/// How the rest of a file of jobs is submitted after a failure.
fn how_to_go_on(failure: &Failure, request_id: &str) -> String {
    match failure {
        Failure::Client(Error::Api(refused)) if refused.code == ErrorCode::Conflict => {
            format!(
                "the next one differs from what was submitted as {request_id}: put the rest into a file of its own"
            )
        }
        _ => format!("the same command with --request-id {request_id} submits the rest, and none twice"),
    }
}

/// Says that a job was submitted.
fn tell(ctx: &mut Context, args: &SubmitArgs, answer: &SubmitResponse, held: bool) -> Result<(), Failure> {
    match ctx.out.format {
        _ if args.parsable => ctx.out.line(&answer.job.to_string()),
        Format::Ids => ctx.out.line(&answer.job.to_string()),
        Format::Json if args.from_json.is_some() => Ok(()),
        Format::Json | Format::Jsonl => ctx.out.json(answer),
        Format::Table => {
            let how = match (answer.duplicate, held) {
                (true, _) => " was submitted before with this request id",
                (false, true) => " submitted, held",
                (false, false) => " submitted",
            };
            ctx.out.line(&format!("job {}{how} ({})", answer.job, text::tasks(answer.tasks)))?;
            if !args.wait && args.from_json.is_none() && std::io::stderr().is_terminal() {
                let next =
                    format!("see `taskyard show{0} {1}`, `taskyard wait{0} {1}`", ctx.local_flag, answer.job);
                ctx.out.flush()?;
                say(&style::paint(style::DIM, &next));
            }
            Ok(())
        }
    }
}

/// Waits for the end of all of them; the worst counts.
async fn wait_for<'a>(
    ctx: &Context,
    args: &SubmitArgs,
    jobs: impl Iterator<Item = (&'a SubmitResponse, &'a JobSpec)>,
) -> Result<u8, Failure> {
    let mut worst = exit::OK;
    for (answer, spec) in jobs {
        let mut progress = WaitProgress::new(args.progress);
        let job = wait::finish(ctx, answer.job, &mut progress, None).await?;
        progress.clear();
        say(&wait::sentence(&job));
        wait::tell_cause(&job, spec);
        worst = worst.max(wait::code(&job.summary));
    }
    Ok(worst)
}
