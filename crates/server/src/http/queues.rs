//! Queues: list, make, change, delete.

use super::answer::Reply;
use super::input::{Input, Params, QueuePath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act, Totals};
use axum::Json;
use axum::extract::State;
use taskyard_api::{ApiError, ErrorCode, Page, Queue, QueueQuery, QueueSettings, routes};
use taskyard_model::{EVERYWHERE, QueueView, validate};
use taskyard_state::Command;
use tokio::sync::Mutex;

/// A change of settings reads what is there and writes all of it: two at a time could undo each other's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// List queues
#[utoipa::path(
    get, path = routes::QUEUES, operation_id = "list_queues", tag = "queues",
    responses((status = 200, description = "All queues.", body = Page<Queue>), Failure),
)]
pub(super) async fn list(State(app): State<App>) -> Reply<Page<Queue>> {
    let totals = usecase::totals(&app).await?;
    let items = app.consensus.read(|state| {
        let queues = state.view().queues.iter().filter(|queue| !queue.deleted);
        queues.map(|queue| show(queue, &totals)).collect()
    });
    Ok(Json(Page { items, next: None }))
}

/// Make a queue, or change one
///
/// It takes effect with the next pass of the planner, also for jobs that wait already. Limits are asked about when a job is submitted or
/// updated: jobs that are in the queue stay.
#[utoipa::path(
    put, path = routes::QUEUE, operation_id = "set_queue", tag = "queues",
    params(("queue" = String, Path, description = "The queue's name."), QueueQuery),
    request_body = QueueSettings,
    responses((status = 200, description = "The queue after it.", body = Queue), Failure),
)]
pub(super) async fn set(
    State(app): State<App>,
    by: Caller,
    QueuePath(name): QueuePath,
    Params(query): Params<QueueQuery>,
    Input(settings): Input<QueueSettings>,
) -> Reply<Queue> {
    validate::name("queue", &name)?;
    let one = ONE_AT_A_TIME.lock().await;
    let base = app
        .consensus
        .read(|state| state.queue(&name).and_then(|id| Some(state.view().queue(id)?.config.clone())));
    if base.is_some() && query.new {
        let error = ApiError::new(ErrorCode::Conflict, format!("there is a queue {name} already"));
        return Err(error.remedy(format!("change it with: taskyard queue set {name}")).into());
    }
    let config = settings.over(&base.unwrap_or_default())?;
    change(&app, &by, &name, Command::SetQueue { name: name.clone(), config }).await?;
    drop(one);
    Ok(Json(find(&app, &name).await?))
}

/// Delete a queue
///
/// Refused while it has jobs that are not finished.
#[utoipa::path(
    delete, path = routes::QUEUE, operation_id = "delete_queue", tag = "queues",
    params(("queue" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "The queue before it.", body = Queue), Failure),
)]
pub(super) async fn delete(State(app): State<App>, by: Caller, QueuePath(name): QueuePath) -> Reply<Queue> {
    let _one = ONE_AT_A_TIME.lock().await;
    let queue = find(&app, &name).await?;
    change(&app, &by, &name, Command::DeleteQueue { name: name.clone() }).await?;
    Ok(Json(queue))
}

async fn change(app: &App, by: &Caller, name: &str, command: Command) -> Result<(), ApiError> {
    let act = Act { by, object: format!("queue {name}"), namespace: EVERYWHERE.into() };
    usecase::change(app, act, command).await.map(drop)
}

async fn find(app: &App, name: &str) -> Result<Queue, ApiError> {
    let totals = usecase::totals(app).await?;
    let queue = app
        .consensus
        .read(|state| state.queue(name).and_then(|id| Some(show(state.view().queue(id)?, &totals))));
    queue.ok_or_else(|| ApiError::not_found(format!("queue {name}")))
}

fn show(queue: &QueueView, totals: &Totals) -> Queue {
    let sum = totals.of(queue.id);
    Queue {
        waiting_jobs: sum.waiting_jobs,
        waiting_tasks: sum.pending,
        running_tasks: sum.running,
        ..Queue::new(&queue.name, &queue.config)
    }
}
