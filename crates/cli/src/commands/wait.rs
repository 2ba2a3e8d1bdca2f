//! `wait`, and waiting for a job's end.

use super::interrupt;
use crate::args::WaitArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::progress::WaitProgress;
use crate::select::UNFINISHED;
use crate::show::{Format, cause::cause, output::say, safe, style, text};
use std::time::{Duration, Instant};
use taskyard_client::api::{Invalid, JobDetail, JobQuery, JobSpec, JobState, JobSummary, ResultCount, units};

/// Waits for the end of a job with one long poll after the other; short ones where somebody watches.
pub(crate) async fn finish(
    ctx: &Context,
    job: u64,
    progress: &mut WaitProgress,
    deadline: Option<Instant>,
) -> Result<JobDetail, Failure> {
    loop {
        let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
        let wait = progress.interval().min(left);
        let wait_ms = u64::try_from(wait.as_millis()).ok();
        let detail = ctx.client.job(job, &JobQuery { wait_ms, spec: Some(false) }).await?;
        progress.show(&detail.summary);
        if detail.summary.state.is_finished() {
            return Ok(detail);
        }
        if left.is_zero() {
            progress.clear();
            let job = &detail.summary;
            return Err(Failure::TimedOut(format!(
                "timed out; job {} is {}, {} done",
                job.id,
                job.state.name(),
                text::done(&job.tasks)
            )));
        }
    }
}

/// The exit code that a finished job means.
pub(crate) fn code(job: &JobSummary) -> u8 {
    if job.state == JobState::Succeeded { exit::OK } else { exit::TASK_FAILED }
}

/// `job 12 (train) failed: 498 succeeded, 2 failed (1 exit 1, 1 signal 9 (KILL)) in 3m10s`, `job 13 (make) failed:
/// exit 2 in 4.1s`.
pub(crate) fn sentence(detail: &JobDetail) -> String {
    let job = &detail.summary;
    let state = style::paint(style::state(job.state.name()), job.state.name());
    let detail = match (job.tasks.total, &detail.failures[..]) {
        (1, [failure]) => format!(": {}", text::result(&failure.last)),
        _ if job.state == JobState::Skipped => {
            job.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
        }
        (1, _) => String::new(),
        _ => format!(": {}{}", text::counts(&job.tasks), how_failed(detail)),
    };
    let time = job.finished_at_ms.filter(|_| job.state != JobState::Skipped).map(|end| {
        let begin = job.started_at_ms.unwrap_or(job.submitted_at_ms);
        format!(" in {}", text::span(end.saturating_sub(begin)))
    });
    format!("job {} ({}) {state}{detail}{}", job.id, safe::one_line(&job.name), time.unwrap_or_default())
}

/// The commonest ends of the failed tasks: ` (2 exit 1, 1 time limit)`. Empty where a cancel came between, so that
/// they do not add up.
fn how_failed(detail: &JobDetail) -> String {
    const SHOWN: usize = 3;
    let is_failure = |end: &&ResultCount| !matches!(end.result.as_str(), "succeeded" | "cancelled");
    let ends: Vec<&ResultCount> = detail.results.iter().filter(is_failure).collect();
    let total: u64 = ends.iter().map(|end| end.tasks).sum();
    if total == 0 || total != detail.summary.tasks.failed {
        return String::new();
    }
    let mut parts: Vec<String> =
        ends.iter().take(SHOWN).map(|end| format!("{} {}", end.tasks, text::end(end))).collect();
    let rest: u64 = ends.iter().skip(SHOWN).map(|end| end.tasks).sum();
    if rest > 0 {
        parts.push(format!("{rest} otherwise"));
    }
    format!(" ({})", parts.join(", "))
}

/// Says what kept the first such task of a failed job from starting, if its job is at hand.
pub(crate) fn tell_cause(detail: &JobDetail, spec: &JobSpec) {
    if let Some(cause) = detail.failures.iter().find_map(|task| cause(task, spec)) {
        say(&format!("  {cause}"));
    }
}

pub(crate) async fn wait(ctx: &mut Context, args: WaitArgs) -> Result<u8, Failure> {
    let deadline = match &args.timeout {
        Some(text) => Some(Instant::now() + Duration::from_millis(units::duration_ms("--timeout", text)?)),
        None => None,
    };
    let picked = ctx.pick(&args.targets, &wait_states(&args.targets)).await?.picked;
    if let Some(tasks) = picked.iter().find(|p| p.tasks.is_some()) {
        let value =
            format!("{}.{}", tasks.job, tasks.tasks.as_ref().map(ToString::to_string).unwrap_or_default());
        return Err(Invalid::new(
            "JOB",
            value,
            "wait takes whole jobs; follow one task with `taskyard logs -f`",
        )
        .into());
    }
    if picked.is_empty() {
        // As with `cancel all`: that there is nothing to wait for is no mistake, and no silent success.
        say("no matching jobs");
    }
    let jobs: Vec<u64> = picked.iter().map(|one| one.job).collect();
    let local_flag = ctx.local_flag;
    interrupt::or_leave(each(ctx, &jobs, args.progress, deadline), &jobs, local_flag).await
}

/// Waits for one job after the other, telling how each ended; the worst counts.
async fn each(
    ctx: &mut Context,
    jobs: &[u64],
    progress: bool,
    deadline: Option<Instant>,
) -> Result<u8, Failure> {
    let mut worst = exit::OK;
    for job in jobs {
        let mut progress = WaitProgress::new(progress);
        let job = finish(ctx, *job, &mut progress, deadline).await?;
        progress.clear();
        worst = worst.max(code(&job.summary));
        match ctx.out.format {
            Format::Table => say(&sentence(&job)),
            Format::Ids => ctx.out.line(&job.summary.id.to_string())?,
            Format::Json | Format::Jsonl => ctx.out.json(&job.summary)?,
        }
        ctx.out.flush()?;
    }
    Ok(worst)
}

/// `all` means what is not finished; a range names jobs, finished or not, whose result counts.
fn wait_states(words: &[String]) -> Vec<JobState> {
    let only_all = words.iter().all(|w| w == "all");
    if only_all { UNFINISHED.to_vec() } else { JobState::ALL.to_vec() }
}
