//! Many jobs are checked against the cluster before the first of them is submitted or planned.

use super::submit::PreparedJob;
use crate::context::Context;
use crate::exit::{Failure, Mistakes};
use taskyard_client::api::{CheckRequest, SubmitRequest, limits};

/// Left of a request for what stands around its jobs, in bytes.
const MARGIN_BYTES: usize = 4 << 10;

/// Fails if the cluster would refuse to take any of them, and names all that it would.
pub(crate) async fn before_submit(ctx: &Context, jobs: &[PreparedJob]) -> Result<(), Failure> {
    all(ctx, jobs, |_| {}).await
}

/// The same before a plan. That no node could run a job is an answer of its plan, and no mistake.
pub(crate) async fn before_plan(ctx: &Context, jobs: &[PreparedJob]) -> Result<(), Failure> {
    all(ctx, jobs, |request| request.spec.wait_for_nodes = true).await
}

async fn all(ctx: &Context, jobs: &[PreparedJob], adapt: fn(&mut SubmitRequest)) -> Result<(), Failure> {
    // One alone is checked by its submit.
    if jobs.len() < 2 {
        return Ok(());
    }
    let mut mistakes = Mistakes::of(jobs.len());
    let mut rest = jobs;
    while !rest.is_empty() {
        let (request, count) = part(rest, adapt);
        let answer = ctx.client.check(&request).await?;
        for refused in answer.refused {
            let Some(job) = usize::try_from(refused.index).ok().and_then(|index| rest.get(index)) else {
                continue;
            };
            mistakes.add(job.refusal(refused.error));
        }
        // A mistake that very many share ends it.
        if answer.checked < count as u64 {
            break;
        }
        rest = &rest[count..];
    }
    mistakes.found()
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
