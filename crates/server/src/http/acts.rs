//! What users do to jobs: cancel, hold, release, retry.

use super::answer::Reply;
use super::input::{JobPath, MaybeJsonBody};
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{ActRequest, ActResponse, RetryRequest, SubmitResponse, routes};
use taskyard_consensus::Consensus;

/// Cancel a job, or some of its tasks
///
/// After the answer, no more of its tasks are assigned. Running tasks are stopped, and are cancelled once they are
/// confirmed dead.
#[utoipa::path(
    post, path = routes::JOB_CANCEL, operation_id = "cancel_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after the change.", body = ActResponse), ErrorResponse),
)]
pub(super) async fn cancel(
    State(consensus): State<Consensus>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeJsonBody(request): MaybeJsonBody<ActRequest>,
) -> Reply<ActResponse> {
    Ok(Json(usecase::cancel_job(&consensus, &by, job, &request).await?))
}

/// Hold a job
///
/// No more of its tasks start until it is released; running tasks continue.
#[utoipa::path(
    post, path = routes::JOB_HOLD, operation_id = "hold_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after the change.", body = ActResponse), ErrorResponse),
)]
pub(super) async fn hold(
    State(consensus): State<Consensus>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeJsonBody(request): MaybeJsonBody<ActRequest>,
) -> Reply<ActResponse> {
    Ok(Json(usecase::hold_job(&consensus, &by, job, &request).await?))
}

/// Release a held job
#[utoipa::path(
    post, path = routes::JOB_RELEASE, operation_id = "release_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after the change.", body = ActResponse), ErrorResponse),
)]
pub(super) async fn release(
    State(consensus): State<Consensus>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeJsonBody(request): MaybeJsonBody<ActRequest>,
) -> Reply<ActResponse> {
    Ok(Json(usecase::release_job(&consensus, &by, job, &request).await?))
}

/// Run tasks of a job again, as a new job
///
/// The new job has the tasks under their old numbers. Without a body, it has all tasks that have ended.
#[utoipa::path(
    post, path = routes::JOB_RETRY, operation_id = "retry_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<RetryRequest>),
    responses((status = 200, description = "The new job is submitted.", body = SubmitResponse), ErrorResponse),
)]
pub(super) async fn retry(
    State(consensus): State<Consensus>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeJsonBody(request): MaybeJsonBody<RetryRequest>,
) -> Reply<SubmitResponse> {
    super::input::check_request_id(request.request_id.as_deref())?;
    Ok(Json(usecase::retry(&consensus, &by, job, request).await?))
}
