//! Acts on jobs: `cancel`, `retry`, `hold`, `release`, `update`.

use super::Each;
use super::queues::as_option;
use super::submit::warn;
use crate::args::{CancelArgs, RetryArgs, UpdateArgs};
use crate::context::Context;
use crate::exit::Failure;
use crate::select::{PickedJob, Selection, UNFINISHED};
use crate::show::{Format, output::say, text};
use crate::time;
use taskyard_client::Error;
use taskyard_client::api::{
    ActRequest, ActResponse, ApiError, ErrorCode, Invalid, JobQuery, JobState, Quantity, RetryRequest,
    UpdateJob,
};

pub(crate) async fn cancel(ctx: &mut Context, args: CancelArgs) -> Result<u8, Failure> {
    let CancelArgs { targets, now } = args;
    let mut acts = Acts::new(ctx.pick(&targets, &UNFINISHED).await?);
    while let Some(PickedJob { job, tasks, of_many }) = acts.next() {
        let answer = ctx.client.cancel(job, &ActRequest { tasks: tasks.clone(), now }).await;
        if let Some(answer) = acts.take(ctx, (job, of_many), answer).await? {
            let what = match (&tasks, answer.tasks) {
                (_, 0) => "nothing left to cancel".to_owned(),
                (Some(_), n) => format!("{} cancelled", text::tasks(n)),
                (None, n) => format!("cancelled ({})", text::tasks(n)),
            };
            told(ctx, &answer, &what)?;
        }
    }
    Ok(acts.code("had already ended"))
}

pub(crate) async fn hold(ctx: &mut Context, words: &[String], hold: bool) -> Result<u8, Failure> {
    let states = if hold { &UNFINISHED[1..] } else { &UNFINISHED[..1] };
    let mut acts = Acts::new(whole(ctx.pick(words, states).await?, if hold { "hold" } else { "release" })?);
    while let Some(PickedJob { job, of_many, .. }) = acts.next() {
        let answer = if hold { ctx.client.hold(job).await } else { ctx.client.release(job).await };
        if let Some(answer) = acts.take(ctx, (job, of_many), answer).await? {
            let on_nodes = answer.job.tasks.running + answer.job.tasks.prefetched;
            let running = on_nodes.saturating_sub(answer.stopping);
            let what = match (hold, running) {
                (true, 0) => "held".to_owned(),
                (true, n) => format!("held; {} on nodes continue", text::tasks(n)),
                (false, _) => "released".to_owned(),
            };
            told(ctx, &answer, &what)?;
            answer.warnings.iter().for_each(|warning| warn(warning));
        }
    }
    Ok(acts.code(if hold { "were held or had already ended" } else { "were not held" }))
}

pub(crate) async fn update(ctx: &mut Context, args: UpdateArgs) -> Result<u8, Failure> {
    let update = UpdateJob {
        priority: args.priority,
        queue: args.queue,
        time_limit: args.time_limit.map(Quantity),
        grace: args.grace.map(Quantity),
        estimate: args.estimate.map(Quantity),
        max_running: args.max_running.map(Quantity),
        retries: args.retries,
        begin: args.begin.map(begin).transpose()?,
        name: args.name,
        cpus: args.cpus.map(Quantity),
        memory: args.mem.map(Quantity),
        gpus: args.gpus.map(Quantity),
        constraint: args.constraint,
        wait_for_nodes: args.wait_for_nodes,
    };
    if update.changes_nothing() {
        let remedy = "name a setting to change: --priority, --queue, --time-limit, --grace, --estimate, --max-running, --retries, --begin, --name, --cpus, --mem, --gpus or --constraint";
        return Err(Invalid::new("update", args.targets.join(" "), remedy).into());
    }
    update.check().map_err(as_option)?;
    let limits = [("time limit", &update.time_limit), ("grace", &update.grace)];
    let limits: Vec<&str> = limits.iter().filter(|(_, new)| new.is_some()).map(|(name, _)| *name).collect();
    let mut acts = Acts::new(whole(ctx.pick(&args.targets, &UNFINISHED).await?, "update")?);
    while let Some(PickedJob { job, of_many, .. }) = acts.next() {
        let answer = ctx.client.update(job, &update).await;
        if let Some(answer) = acts.take(ctx, (job, of_many), answer).await? {
            let what = match (answer.job.tasks.running + answer.job.tasks.prefetched)
                .saturating_sub(answer.stopping)
            {
                n if n > 0 && !limits.is_empty() => {
                    let (limits, hold) =
                        (limits.join(" and "), if limits.len() > 1 { "hold" } else { "holds" });
                    format!("updated; the new {limits} {hold} for {} on nodes too", text::tasks(n))
                }
                _ => "updated".to_owned(),
            };
            told(ctx, &answer, &what)?;
            answer.warnings.iter().for_each(|warning| warn(warning));
        }
    }
    Ok(acts.code("had already ended"))
}

fn begin(text: String) -> Result<String, Invalid> {
    if text == "none" { Ok(text) } else { time::ahead("--begin", &text, &time::now()?) }
}

pub(crate) async fn retry(ctx: &mut Context, args: RetryArgs) -> Result<u8, Failure> {
    let states = [JobState::Failed, JobState::Cancelled, JobState::Skipped];
    let mut acts = Acts::new(ctx.pick(&args.targets, &states).await?);
    while let Some(PickedJob { job, tasks, of_many }) = acts.next() {
        let (failed_only, unsuccessful_only) = (args.failed, args.unsuccessful);
        let request = RetryRequest { tasks, failed_only, unsuccessful_only, request_id: None };
        let answer = ctx.client.retry(job, request).await;
        let Some(answer) = acts.take(ctx, (job, of_many), answer).await? else { continue };
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
    Ok(acts.code("had nothing to run again"))
}

/// The same done to each of several jobs.
struct Acts {
    left: std::vec::IntoIter<PickedJob>,
    each: Each,
    /// Jobs of ranges to which there was nothing to do.
    left_out: u64,
    /// Jobs that waited for others of these, and were skipped because of what was done to those.
    skipped: u64,
}

impl Acts {
    fn new(selection: Selection) -> Acts {
        let Selection { picked, left_out, .. } = selection;
        if picked.is_empty() && left_out == 0 {
            // `all` may name nothing, which is no mistake but should not look like success in silence.
            say("no matching jobs");
        }
        Acts { left: picked.into_iter(), each: Each::new(), left_out, skipped: 0 }
    }

    fn next(&mut self) -> Option<PickedJob> {
        self.left.next()
    }

    /// Takes an answer. That a job of a range has ended meanwhile, or has no such tasks, is no error.
    async fn take<T>(
        &mut self,
        ctx: &Context,
        (job, of_many): (u64, bool),
        answer: Result<T, Error>,
    ) -> Result<Option<T>, Failure> {
        let conflict = |error: &ApiError| error.code == ErrorCode::Conflict;
        if of_many && matches!(&answer, Err(Error::Api(error)) if conflict(error)) {
            let query = JobQuery { spec: Some(false), ..JobQuery::default() };
            match ctx.client.job(job, &query).await?.summary.state {
                JobState::Skipped => self.skipped += 1,
                state if state.is_finished() => self.left_out += 1,
                _ => return self.each.take(answer),
            }
            return Ok(None);
        }
        self.each.take(answer)
    }

    /// The exit code, after a word on the jobs of ranges that were left out.
    fn code(self, why: &str) -> u8 {
        match self.left_out {
            0 => {}
            1 => say(&format!("1 job {}", why.replacen("were", "was", 1))),
            n => say(&format!("{n} jobs {why}")),
        }
        match self.skipped {
            0 => {}
            1 => say("1 job was skipped, because it waited for one of these"),
            n => say(&format!("{n} jobs were skipped, because they waited for one of these")),
        }
        self.each.code()
    }
}

fn whole(selection: Selection, command: &str) -> Result<Selection, Failure> {
    match selection.picked.iter().find_map(|p| p.tasks.as_ref().map(|tasks| format!("{}.{tasks}", p.job))) {
        Some(value) => Err(Invalid::new("JOB", value, format!("{command} takes whole jobs")).into()),
        None => Ok(selection),
    }
}

fn told(ctx: &mut Context, answer: &ActResponse, what: &str) -> Result<(), Failure> {
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(answer),
        Format::Ids => ctx.out.line(&answer.job.id.to_string()),
        Format::Table => ctx.out.line(&format!("job {} ({}) {what}", answer.job.id, answer.job.name)),
    }
}
