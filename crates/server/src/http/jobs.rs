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
/// It is durable when the answer comes. Repeating the request with the same `request_id` answers with the same job.
#[utoipa::path(
    post, path = routes::JOBS, operation_id = "submit_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "The job stands.", body = SubmitResponse), ErrorResponse),
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

/// Say what would come of a job
///
/// Whether it would start, when and where, what it would delay, and what would help it. Nothing is submitted, and nothing changes.
#[utoipa::path(
    post, path = routes::PLAN, operation_id = "plan_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "What would come of it.", body = JobPlan), ErrorResponse),
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

/// Say whether jobs would be taken
///
/// Each is checked as a submit would, as if those before it had been taken. Nothing is submitted, and nothing changes.
#[utoipa::path(
    post, path = routes::CHECK, operation_id = "check_jobs", tag = "jobs",
    request_body = CheckRequest,
    responses((status = 200, description = "Those that would be refused.", body = CheckAnswer), ErrorResponse),
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
/// With `wait_ms` the answer comes when the job has finished, or after that time.
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
    responses((status = 200, description = "The job after it.", body = ActResponse), ErrorResponse),
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
    responses((status = 200, description = "Why.", body = Explanation), ErrorResponse),
)]
pub(super) async fn explain(
    State(app): State<App>,
    by: Caller,
    JobPath(id): JobPath,
    Params(query): Params<ExplainQuery>,
) -> Reply<Explanation> {
    Ok(Json(usecase::explain(&app, &by.visible(), id, query.task).await?))
}
