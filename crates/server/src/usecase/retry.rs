//! Tasks of a job once more, as a new job under their old numbers. A final state stays: nothing is reopened.

use super::{Submission, find_job, runs_of, submit, whole};
use crate::auth::Caller;
use crate::failure::Answer;
use crate::heavy::heavy;
use std::collections::BTreeSet;
use taskyard_api::{ApiError, ErrorCode, Ranges, RetryRequest, SubmitResponse};
use taskyard_consensus::Consensus;
use taskyard_model::{Invalid, JobId, JobSpec, TaskIndex};
use taskyard_state::{Job, Phase};

/// Submits the new job.
pub(crate) async fn retry(
    consensus: &Consensus,
    by: &Caller,
    id: JobId,
    request: RetryRequest,
) -> Answer<SubmitResponse> {
    let job = find_job(consensus, id)?;
    let RetryRequest { tasks, failed_only, unsuccessful_only, request_id } = request;
    let which = match (failed_only, unsuccessful_only) {
        (false, false) => Which::Ended,
        (true, false) => Which::Failed,
        (false, true) => Which::Unsuccessful,
        (true, true) => {
            let remedy = "leave it out, or failed_only: failed tasks are among those that did not succeed";
            return Err(Invalid::new("unsuccessful_only", true, remedy).into());
        }
    };
    let whole = whole(&job).await?;
    let spec = heavy(move || again(&job, &whole, tasks.as_ref(), which)).await??;
    submit(consensus, by, Submission { spec, wait_for_nodes: true, request_id, retry_of: Some(id) }).await
}

/// The specification of the new job.
fn again(job: &Job, whole: &JobSpec, tasks: Option<&Ranges>, which: Which) -> Result<JobSpec, ApiError> {
    let id = job.head.id;
    let wanted = match tasks {
        Some(numbers) => runs_of(id, &job.spec.array, numbers)?,
        None => vec![(0, job.tasks())],
    };
    let chosen = ended(job, &wanted, which);
    if chosen.is_empty() {
        return Err(nothing(job, which));
    }
    // A user who runs something again has seen how the jobs before it ended; only those that have not ended are waited
    // for again.
    let waits: BTreeSet<JobId> = job.waits_for().collect();
    let after = job.spec.after.iter().filter(|after| waits.contains(&after.job)).copied().collect();
    let array = job.spec.array.restricted(&chosen);
    let mut spec = JobSpec { array, after, hold: false, ..whole.clone() };
    if !spec.entries.is_empty() {
        let entries = std::mem::take(&mut spec.entries);
        let kept =
            chosen.iter().flat_map(|&(first, count)| &entries[first as usize..(first + count) as usize]);
        spec.entries = kept.cloned().collect();
    }
    spec.check().map_err(|error| match error.field.as_str() {
        // There are more separate numbers than fit into a specification.
        "job" => {
            Invalid::new("tasks", error.value, "the tasks are too far apart for one job; name ranges of them")
        }
        _ => error,
    })?;
    Ok(spec)
}

/// Which tasks run again.
#[derive(Clone, Copy)]
enum Which {
    Ended,
    Failed,
    Unsuccessful,
}

impl Which {
    fn takes(self, phase: Phase) -> bool {
        match self {
            Which::Ended => phase.is_terminal(),
            Which::Failed => phase == Phase::Failed,
            Which::Unsuccessful => phase.is_terminal() && phase != Phase::Succeeded,
        }
    }
}

/// Runs of those tasks that have ended as asked for.
fn ended(job: &Job, wanted: &[(TaskIndex, u32)], which: Which) -> Vec<(TaskIndex, u32)> {
    let mut runs: Vec<(TaskIndex, u32)> = Vec::new();
    for &(first, count) in wanted {
        job.each_record(first, |index, record| {
            if index >= first + count {
                return false;
            }
            if which.takes(record.phase) {
                match runs.last_mut() {
                    Some((start, n)) if *start + *n == index => *n += 1,
                    _ => runs.push((index, 1)),
                }
            }
            true
        });
    }
    runs
}

fn nothing(job: &Job, which: Which) -> ApiError {
    let id = job.head.id;
    let has = match which {
        Which::Ended => "has ended",
        Which::Failed => "has failed",
        Which::Unsuccessful => "has ended without success",
    };
    let so_far = if job.is_finished() { "" } else { " so far" };
    let error = ApiError::new(ErrorCode::Conflict, format!("no such task of job {id} {has}{so_far}"));
    if job.is_finished() { error } else { error.remedy("wait until the job has finished") }
}
