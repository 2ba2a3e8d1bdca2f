//! Acts on jobs: `cancel`, `retry`, `hold`, `release`, `update`.

use super::Each;
use crate::args::{RetryArgs, UpdateArgs};
use crate::context::Context;
use crate::exit::Failure;
use crate::select::{Picked, UNFINISHED};
use crate::show::{Format, output::say, text};
use crate::time;
use taskyard_client::api::{ActRequest, ActResponse, Invalid, JobState, Quantity, RetryRequest, UpdateJob};

pub(crate) async fn cancel(ctx: &mut Context, words: &[String]) -> Result<u8, Failure> {
    let picked = ctx.pick(words, &UNFINISHED).await?;
    nothing(&picked);
    let mut each = Each::new();
    for Picked { job, tasks } in picked {
        let answer = ctx.client.cancel(job, &ActRequest { tasks: tasks.clone() }).await;
        if let Some(answer) = each.take(answer)? {
            let what = match (&tasks, answer.tasks) {
                (_, 0) => "nothing left to cancel".to_owned(),
                (Some(_), n) => format!("{} cancelled", text::tasks(n)),
                (None, n) => format!("cancelled ({})", text::tasks(n)),
            };
            told(ctx, &answer, &what)?;
        }
    }
    Ok(each.code())
}

pub(crate) async fn hold(ctx: &mut Context, words: &[String], hold: bool) -> Result<u8, Failure> {
    let states = if hold { &UNFINISHED[1..] } else { &UNFINISHED[..1] };
    let picked = whole(ctx.pick(words, states).await?, if hold { "hold" } else { "release" })?;
    nothing(&picked);
    let mut each = Each::new();
    for Picked { job, .. } in picked {
        let answer = if hold { ctx.client.hold(job).await } else { ctx.client.release(job).await };
        if let Some(answer) = each.take(answer)? {
            let running = answer.job.tasks.running + answer.job.tasks.queued;
            let what = match (hold, running) {
                (true, 0) => "held".to_owned(),
                (true, n) => format!("held; {} on nodes go on", text::tasks(n)),
                (false, _) => "released".to_owned(),
            };
            told(ctx, &answer, &what)?;
        }
    }
    Ok(each.code())
}

pub(crate) async fn update(ctx: &mut Context, args: UpdateArgs) -> Result<u8, Failure> {
    let update = UpdateJob {
        priority: args.priority,
        queue: args.queue,
        time_limit: args.time_limit.map(Quantity),
        estimate: args.estimate.map(Quantity),
        max_running: args.max_running.map(Quantity),
        retries: args.retries,
        begin: args.begin.map(begin).transpose()?,
    };
    if update == UpdateJob::default() {
        let remedy = "say what to change: --priority, --queue, --time-limit, --estimate, --max-running, --retries or --begin";
        return Err(Invalid::new("update", args.targets.join(" "), remedy).into());
    }
    update.check().map_err(|e| {
        let flag = format!("--{}", e.field.replace('_', "-"));
        e.in_field(flag)
    })?;
    let picked = whole(ctx.pick(&args.targets, &UNFINISHED).await?, "update")?;
    nothing(&picked);
    let mut each = Each::new();
    for Picked { job, .. } in picked {
        if let Some(answer) = each.take(ctx.client.update(job, &update).await)? {
            told(ctx, &answer, "updated")?;
        }
    }
    Ok(each.code())
}

fn begin(text: String) -> Result<String, Invalid> {
    if text == "none" { Ok(text) } else { time::ahead("--begin", &text, &time::now()?) }
}

pub(crate) async fn retry(ctx: &mut Context, args: RetryArgs) -> Result<u8, Failure> {
    let picked = ctx.pick(&args.targets, &[JobState::Failed, JobState::Cancelled]).await?;
    nothing(&picked);
    let mut each = Each::new();
    for Picked { job, tasks } in picked {
        let request = RetryRequest { tasks, failed_only: args.failed, request_id: None };
        let Some(answer) = each.take(ctx.client.retry(job, request).await)? else { continue };
        match ctx.out.format {
            _ if args.parsable => ctx.out.line(&answer.job.to_string())?,
            Format::Ids => ctx.out.line(&answer.job.to_string())?,
            Format::Json | Format::Jsonl => ctx.out.json(&answer)?,
            Format::Table => {
                let line =
                    format!("job {} submitted ({} of job {job})", answer.job, text::tasks(answer.tasks));
                ctx.out.line(&line)?;
            }
        }
    }
    Ok(each.code())
}

/// `all` may name nothing, which is no mistake but should not look like success in silence.
fn nothing(picked: &[Picked]) {
    if picked.is_empty() {
        say("no such jobs");
    }
}

fn whole(picked: Vec<Picked>, command: &str) -> Result<Vec<Picked>, Failure> {
    match picked.iter().find_map(|p| p.tasks.as_ref().map(|tasks| format!("{}.{tasks}", p.job))) {
        Some(value) => Err(Invalid::new("JOB", value, format!("{command} takes whole jobs")).into()),
        None => Ok(picked),
    }
}

fn told(ctx: &mut Context, answer: &ActResponse, what: &str) -> Result<(), Failure> {
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(answer),
        Format::Ids => ctx.out.line(&answer.job.id.to_string()),
        Format::Table => ctx.out.line(&format!("job {} ({}) {what}", answer.job.id, answer.job.name)),
    }
}
