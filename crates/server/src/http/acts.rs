//! What users do to jobs: cancel, hold, release, retry.

use super::answer::{Reply, invalid};
use super::input::{JobPath, MaybeInput};
use crate::app::App;
use crate::auth::{Caller, Visible};
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{ActRequest, ActResponse, RetryRequest, SubmitResponse, routes};
use taskyard_model::JobId;
use taskyard_state::{Command, Reply as StateReply};

/// Cancel a job, or some of its tasks
///
/// After the answer nothing new of it is assigned; what runs is stopped, and is cancelled when it is confirmed dead.
#[utoipa::path(
    post, path = routes::JOB_CANCEL, operation_id = "cancel_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after it.", body = ActResponse), Failure),
)]
pub(super) async fn cancel(
    State(app): State<App>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeInput(request): MaybeInput<ActRequest>,
) -> Reply<ActResponse> {
    let (tasks, object) = match &request.tasks {
        None => (Vec::new(), format!("job {job}")),
        Some(numbers) => {
            let array = usecase::find_job(&app, job)?.spec.array.clone();
            (usecase::runs_of(job, &array, numbers)?, format!("tasks {job}.{numbers}"))
        }
    };
    let act = Act::on_job(&app, &by, job, object);
    let reply = usecase::change(&app, act, Command::Cancel { job, tasks, now: request.now }).await?;
    response(&app, &by.visible(), job, &reply)
}

/// Hold a job
///
/// Nothing more of it starts until it is released; what runs goes on.
#[utoipa::path(
    post, path = routes::JOB_HOLD, operation_id = "hold_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after it.", body = ActResponse), Failure),
)]
pub(super) async fn hold(
    State(app): State<App>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeInput(request): MaybeInput<ActRequest>,
) -> Reply<ActResponse> {
    whole_job(&request, "held")?;
    let act = Act::on_job(&app, &by, job, format!("job {job}"));
    let reply = usecase::change(&app, act, Command::Hold { job }).await?;
    response(&app, &by.visible(), job, &reply)
}

/// Release a job that is held
#[utoipa::path(
    post, path = routes::JOB_RELEASE, operation_id = "release_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<ActRequest>),
    responses((status = 200, description = "The job after it.", body = ActResponse), Failure),
)]
pub(super) async fn release(
    State(app): State<App>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeInput(request): MaybeInput<ActRequest>,
) -> Reply<ActResponse> {
    whole_job(&request, "released")?;
    let act = Act::on_job(&app, &by, job, format!("job {job}"));
    let reply = usecase::change(&app, act, Command::Release { job }).await?;
    response(&app, &by.visible(), job, &reply)
}

/// Run tasks of a job again, as a new job
///
/// The new job has the tasks under their old numbers. Without a body: all tasks that have ended.
#[utoipa::path(
    post, path = routes::JOB_RETRY, operation_id = "retry_job", tag = "jobs",
    params(("job" = u64, Path, description = "The job's id.")),
    request_body(content = Option<RetryRequest>),
    responses((status = 200, description = "The new job stands.", body = SubmitResponse), Failure),
)]
pub(super) async fn retry(
    State(app): State<App>,
    by: Caller,
    JobPath(job): JobPath,
    MaybeInput(request): MaybeInput<RetryRequest>,
) -> Reply<SubmitResponse> {
    super::input::check_request_id(request.request_id.as_deref())?;
    Ok(Json(usecase::retry(&app, &by, job, request).await?))
}

fn whole_job(request: &ActRequest, done: &str) -> Result<(), Failure> {
    match &request.tasks {
        Some(tasks) => {
            Err(invalid("tasks", tasks, format!("only a whole job can be {done}; leave tasks out")))
        }
        None if request.now => Err(invalid("now", true, "only cancel knows it; leave it out")),
        None => Ok(()),
    }
}

/// The job as it is after an act.
pub(super) fn response(app: &App, visible: &Visible, job: JobId, reply: &StateReply) -> Reply<ActResponse> {
    let tasks = if let StateReply::Changed { tasks } = reply { *tasks } else { 0 };
    Ok(Json(ActResponse { job: usecase::quick_summary(app, visible, job)?, tasks }))
}
