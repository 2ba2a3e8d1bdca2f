//! Many jobs are checked against the cluster before the first of them is submitted or planned.

use super::submit::{PreparedJob, PreparedJobs};
use crate::context::Context;
use crate::exit::{Failure, Mistakes};
use crate::show::output::say;
use taskyard_client::api::{CheckRequest, SubmitRequest, limits};

/// Left of a request for what stands around its jobs, in bytes.
const MARGIN_BYTES: usize = 4 << 10;

/// The jobs, unless some are wrong or the cluster would refuse them: then all that is wrong is told at once.
pub(crate) async fn before_submit(
    ctx: &Context,
    prepared: PreparedJobs,
) -> Result<Vec<PreparedJob>, Failure> {
    all(ctx, prepared, |_| {}).await
}

/// The same before a plan. That no node could run a job is an answer of its plan, and no mistake.
pub(crate) async fn before_plan(ctx: &Context, prepared: PreparedJobs) -> Result<Vec<PreparedJob>, Failure> {
    all(ctx, prepared, |request| request.spec.wait_for_nodes = true).await
}

async fn all(
    ctx: &Context,
    prepared: PreparedJobs,
    adapt: fn(&mut SubmitRequest),
) -> Result<Vec<PreparedJob>, Failure> {
    let PreparedJobs { jobs, mut mistakes } = prepared;
    // One alone is checked by its submit.
    if mistakes.jobs < 2 {
        return Ok(jobs);
    }
    let is_wrong_here = !mistakes.is_empty();
    match refused(ctx, &jobs, adapt, &mut mistakes).await {
        // What is wrong in the file is so wherever the cluster is.
        Err(failure) if is_wrong_here => {
            say(&format!("the other jobs of the file could not be checked against the cluster: {failure}"));
        }
        checked => checked?,
    }
    mistakes.found().map(|()| jobs)
}

/// Adds what the cluster would refuse.
async fn refused(
    ctx: &Context,
    jobs: &[PreparedJob],
    adapt: fn(&mut SubmitRequest),
    mistakes: &mut Mistakes,
) -> Result<(), Failure> {
    let mut rest = jobs;
    while !rest.is_empty() {
        let (request, count) = part(rest, adapt);
        let answer = ctx.client.check(&request).await?;
        for refused in answer.refused {
            let Some(job) = usize::try_from(refused.index).ok().and_then(|index| rest.get(index)) else {
                continue;
            };
            mistakes.add(job.at, job.refusal(refused.error));
        }
        // A mistake that very many share ends it.
        if answer.checked < count as u64 {
            break;
        }
        rest = &rest[count..];
    }
    Ok(())
}

/// As many jobs as one request takes, and how many that are; at least one.
fn part(jobs: &[PreparedJob], adapt: fn(&mut SubmitRequest)) -> (CheckRequest, usize) {
    let mut request = CheckRequest::default();
    let mut bytes = MARGIN_BYTES;
    for job in jobs.iter().take(limits::CHECKED_JOBS_MAX) {
        let mut next = job.built.request.clone();
        adapt(&mut next);
        bytes += serde_json::to_vec(&next).map_or(0, |json| json.len() + 1);
        if bytes > limits::HTTP_BODY_BYTES_MAX && !request.jobs.is_empty() {
            break;
        }
        request.jobs.push(next);
    }
    let count = request.jobs.len();
    (request, count)
}
