//! Jobs: submit, list, show, change, explain.

use super::answer::{Reply, invalid};
use super::input::{Input, JobPath, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act, JobFilter, Wanted};
use axum::Json;
use axum::extract::State;
use std::time::Duration;
use taskyard_api::page::WAIT_MS_MAX;
use taskyard_api::{
    ActResponse, Changes, CheckAnswer, CheckRequest, ExplainQuery, Explanation, JobDetail, JobPlan, JobQuery,
    JobSummary, JobsQuery, Page, SubmitRequest, SubmitResponse, UpdateJob, routes,
};
use taskyard_model::Begin;
use taskyard_state::{Change, Command};

/// Submit a job
///
/// It is durable when the answer comes. Repeating the request with the same `request_id` answers with the same job.
#[utoipa::path(
    post, path = routes::JOBS, operation_id = "submit_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "The job stands.", body = SubmitResponse), Failure),
)]
pub(super) async fn submit(
    State(app): State<App>,
    by: Caller,
    Input(request): Input<SubmitRequest>,
) -> Reply<SubmitResponse> {
    request.check_request_id()?;
    let wanted = Wanted::try_from(request)?;
    by.may_in(wanted.spec.namespace.as_str())?;
    Ok(Json(usecase::submit(&app, &by, wanted).await?))
}

/// Say what would come of a job
///
/// Whether it would start, when and where, what it would delay, and what would help it. Nothing is submitted, and nothing changes.
#[utoipa::path(
    post, path = routes::PLAN, operation_id = "plan_job", tag = "jobs",
    request_body = SubmitRequest,
    responses((status = 200, description = "What would come of it.", body = JobPlan), Failure),
)]
pub(super) async fn plan(
    State(app): State<App>,
    by: Caller,
    Input(request): Input<SubmitRequest>,
) -> Reply<JobPlan> {
    let wanted = Wanted::try_from(request)?;
    by.may_in(wanted.spec.namespace.as_str())?;
    Ok(Json(usecase::plan(&app, &by, wanted).await?))
}

/// Say whether jobs would be taken
///
/// Each is checked as a submit would, as if those before it had been taken. Nothing is submitted, and nothing changes.
#[utoipa::path(
    post, path = routes::CHECK, operation_id = "check_jobs", tag = "jobs",
    request_body = CheckRequest,
    responses((status = 200, description = "Those that would be refused.", body = CheckAnswer), Failure),
)]
pub(super) async fn check(
    State(app): State<App>,
    by: Caller,
    Input(request): Input<CheckRequest>,
) -> Reply<CheckAnswer> {
    Ok(Json(usecase::check(&app, &by, request.jobs).await?))
}

/// List jobs, newest first
#[utoipa::path(
    get, path = routes::JOBS, operation_id = "list_jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, description = "One page of jobs.", body = Page<JobSummary>), Failure),
)]
pub(super) async fn list(
    State(app): State<App>,
    by: Caller,
    Params(query): Params<JobsQuery>,
) -> Reply<Page<JobSummary>> {
    Ok(Json(usecase::list_jobs(&app, &by.visible(), JobFilter::try_from(query)?).await?))
}

/// Show a job
///
/// With `wait_ms` the answer comes when the job has finished, or after that time.
#[utoipa::path(
    get, path = routes::JOB, operation_id = "show_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id."), JobQuery),
    responses((status = 200, description = "The job.", body = JobDetail), Failure),
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
    Ok(Json(usecase::detail(&app, &by.visible(), id, query.spec.unwrap_or(true)).await?))
}

/// Change a job
#[utoipa::path(
    patch, path = routes::JOB, operation_id = "update_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body = UpdateJob,
    responses((status = 200, description = "The job after it.", body = ActResponse), Failure),
)]
pub(super) async fn update(
    State(app): State<App>,
    by: Caller,
    JobPath(job): JobPath,
    Input(update): Input<UpdateJob>,
) -> Reply<ActResponse> {
    let change = change_of(update.check()?);
    let act = Act::on_job(&app, &by, job, format!("job {job}"));
    app.consensus.read(|state| usecase::check_entitled(state, &by, job, &change))?;
    if !update.wait_for_nodes {
        app.consensus.read(|state| usecase::check_change(state, job, &change))?;
    }
    let reply = usecase::change(&app, act, Command::Update { job, change }).await?;
    super::acts::response(&app, &by.visible(), job, &reply)
}

/// The state's way to say the same: a limit of 0 is none.
fn change_of(changes: Changes) -> Change {
    Change {
        priority: changes.priority,
        queue: changes.queue,
        time_limit_ms: changes.time_limit_ms.map(|limit| limit.unwrap_or(0)),
        estimate_ms: changes.estimate_ms.map(|estimate| estimate.unwrap_or(0)),
        max_running: changes.max_running.map(|most| most.unwrap_or(0)),
        retries: changes.retries,
        begin: changes.begin.map(|begin| begin.unwrap_or(Begin::After(0))),
        grace_ms: changes.grace_ms,
        name: changes.name,
        cpu_milli: changes.cpu_milli,
        memory: changes.memory,
        gpu_milli: changes.gpu_milli,
        constraint: changes.constraint,
    }
}

/// Explain why a job waits
#[utoipa::path(
    get, path = routes::JOB_EXPLAIN, operation_id = "explain_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id."), ExplainQuery),
    responses((status = 200, description = "Why.", body = Explanation), Failure),
)]
pub(super) async fn explain(
    State(app): State<App>,
    by: Caller,
    JobPath(id): JobPath,
    Params(query): Params<ExplainQuery>,
) -> Reply<Explanation> {
    Ok(Json(usecase::explain(&app, &by.visible(), id, query.task).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_takes_a_limit_away() {
        let none = || Some("none".to_owned());
        let update = UpdateJob {
            time_limit: none().map(Into::into),
            retries: Some(3),
            begin: none(),
            ..UpdateJob::default()
        };
        let change = change_of(update.check().unwrap());
        let begin = Some(Begin::After(0));
        assert_eq!(change, Change { time_limit_ms: Some(0), retries: Some(3), begin, ..Change::default() });
    }
}
