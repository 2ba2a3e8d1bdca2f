//! Tasks of a job once more, as a new job under their old numbers. Terminal is for ever: nothing is reopened.

use super::{Answer, Wanted, find_job, heavy, runs_of, submit, whole};
use crate::app::App;
use crate::auth::Caller;
use std::collections::BTreeSet;
use taskyard_api::{ApiError, ErrorCode, Ranges, RetryRequest, SubmitResponse};
use taskyard_model::{Invalid, JobId, JobSpec, TaskIndex};
use taskyard_state::{Job, Phase};

/// Submits the new job.
pub(crate) async fn retry(
    app: &App,
    by: &Caller,
    id: JobId,
    request: RetryRequest,
) -> Answer<SubmitResponse> {
    let job = find_job(app, id)?;
    let RetryRequest { tasks, failed_only, request_id } = request;
    let whole = whole(&job).await?;
    let spec = heavy(move || again(&job, &whole, tasks.as_ref(), failed_only)).await??;
    submit(app, by, Wanted { spec, wait_for_nodes: true, request_id, retry_of: Some(id) }).await
}

/// The specification of the new job.
fn again(job: &Job, whole: &JobSpec, tasks: Option<&Ranges>, failed_only: bool) -> Result<JobSpec, ApiError> {
    let id = job.head.id;
    let wanted = match tasks {
        Some(numbers) => runs_of(id, &job.spec.array, numbers)?,
        None => vec![(0, job.tasks())],
    };
    let chosen = ended(job, &wanted, failed_only);
    if chosen.is_empty() {
        return Err(nothing(job, failed_only));
    }
    // Whoever runs something again has seen how the jobs before it ended; only those that have not ended are waited for again.
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
        // So many separate numbers that they do not fit into a specification.
        "job" => {
            Invalid::new("tasks", error.value, "the tasks lie too far apart for one job; name ranges of them")
        }
        _ => error,
    })?;
    Ok(spec)
}

/// Runs of those tasks that have ended (or failed).
fn ended(job: &Job, wanted: &[(TaskIndex, u32)], failed_only: bool) -> Vec<(TaskIndex, u32)> {
    let takes = |phase: Phase| if failed_only { phase == Phase::Failed } else { phase.is_terminal() };
    let mut runs: Vec<(TaskIndex, u32)> = Vec::new();
    for &(first, count) in wanted {
        job.each_record(first, |index, record| {
            if index >= first + count {
                return false;
            }
            if takes(record.phase) {
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

fn nothing(job: &Job, failed_only: bool) -> ApiError {
    let id = job.head.id;
    let message = match (failed_only, job.is_finished()) {
        (true, true) => format!("no such task of job {id} failed"),
        (true, false) => format!("no such task of job {id} has failed so far"),
        (false, _) => format!("no such task of job {id} has ended"),
    };
    let error = ApiError::new(ErrorCode::Conflict, message);
    if job.is_finished() { error } else { error.remedy("wait until the job has finished") }
}
