//! Jobs: submit, list, show, change, explain.

use super::answer::{Reply, invalid};
use super::input::{JobPath, JsonBody, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase::{self, JobFilter, Submission};
use axum::Json;
use axum::extract::State;
use std::time::Duration;
use taskyard_api::page::WAIT_MS_MAX;
use taskyard_api::{
    ActResponse, CheckAnswer, CheckRequest, ExplainQuery, Explanation, JobDetail, JobPlan, JobQuery,
    JobSummary, JobsQuery, Page, SubmitRequest, SubmitResponse, UpdateJob, routes,
};
use taskyard_consensus::Consensus;

/// Submit a job
///
/// It is on disk before the answer. Repeating the request with the same `request_id` returns the same job.
#[utoipa::path(
    post, path = routes::JOBS, operation_id = "submit_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "The job is submitted.", body = SubmitResponse), ErrorResponse),
)]
pub(super) async fn submit(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(request): JsonBody<SubmitRequest>,
) -> Reply<SubmitResponse> {
    request.check_request_id()?;
    let wanted = Submission::try_from(request)?;
    by.may_in(wanted.spec.namespace.as_str())?;
    Ok(Json(usecase::submit(&consensus, &by, wanted).await?))
}

/// Plan a job without submitting it
///
/// Says whether it would start, when and where, what it would delay, and what would help it. Changes nothing.
#[utoipa::path(
    post, path = routes::PLAN, operation_id = "plan_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "The plan.", body = JobPlan), ErrorResponse),
)]
pub(super) async fn plan(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(request): JsonBody<SubmitRequest>,
) -> Reply<JobPlan> {
    let wanted = Submission::try_from(request)?;
    by.may_in(wanted.spec.namespace.as_str())?;
    Ok(Json(usecase::plan(&consensus, &by, wanted).await?))
}

/// Check whether jobs would be accepted
///
/// Each is checked as by a submit, as if the ones before it had been accepted. Changes nothing.
#[utoipa::path(
    post, path = routes::CHECK, operation_id = "check_jobs", tag = "jobs",
    request_body = CheckRequest,
    responses((status = 200, description = "The jobs that would be refused.", body = CheckAnswer), ErrorResponse),
)]
pub(super) async fn check(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(request): JsonBody<CheckRequest>,
) -> Reply<CheckAnswer> {
    Ok(Json(usecase::check(&consensus, &by, request.jobs).await?))
}

/// List jobs, newest first
#[utoipa::path(
    get, path = routes::JOBS, operation_id = "list_jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, description = "One page of jobs.", body = Page<JobSummary>), ErrorResponse),
)]
pub(super) async fn list(
    State(consensus): State<Consensus>,
    by: Caller,
    Params(query): Params<JobsQuery>,
) -> Reply<Page<JobSummary>> {
    Ok(Json(usecase::list_jobs(&consensus, &by.visible(), JobFilter::try_from(query)?).await?))
}

/// Show a job
///
/// With `wait_ms`, answers when the job has finished or this time is over.
#[utoipa::path(
    get, path = routes::JOB, operation_id = "show_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id."), JobQuery),
    responses((status = 200, description = "The job.", body = JobDetail), ErrorResponse),
)]
pub(super) async fn show(
    State(app): State<App>,
    by: Caller,
    JobPath(id): JobPath,
    Params(query): Params<JobQuery>,
) -> Reply<JobDetail> {
    if let Some(wait_ms) = query.wait_ms {
        if wait_ms > WAIT_MS_MAX {
            return Err(invalid(
                "wait_ms",
                wait_ms,
                format!("at most {WAIT_MS_MAX}; ask again to wait longer"),
            ));
        }
        usecase::until_finished(&app, id, Duration::from_millis(wait_ms)).await?;
    }
    Ok(Json(usecase::detail(&app.consensus, &by.visible(), id, query.spec.unwrap_or(true)).await?))
}

/// Change a job
#[utoipa::path(
    patch, path = routes::JOB, operation_id = "update_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body = UpdateJob,
    responses((status = 200, description = "The job after the change.", body = ActResponse), ErrorResponse),
)]
pub(super) async fn update(
    State(consensus): State<Consensus>,
    by: Caller,
    JobPath(job): JobPath,
    JsonBody(update): JsonBody<UpdateJob>,
) -> Reply<ActResponse> {
    Ok(Json(usecase::update_job(&consensus, &by, job, update).await?))
}

/// Explain why a job waits
#[utoipa::path(
    get, path = routes::JOB_EXPLAIN, operation_id = "explain_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id."), ExplainQuery),
    responses((status = 200, description = "The explanation.", body = Explanation), ErrorResponse),
)]
pub(super) async fn explain(
    State(app): State<App>,
    by: Caller,
    JobPath(id): JobPath,
    Params(query): Params<ExplainQuery>,
) -> Reply<Explanation> {
    Ok(Json(usecase::explain(&app, &by.visible(), id, query.task).await?))
}
