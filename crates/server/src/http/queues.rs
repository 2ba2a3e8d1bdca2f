//! Queues: list, make, change.

use super::answer::{Failure, Reply};
use super::input::{Input, QueuePath};
use crate::app::App;
use crate::auth::Caller;
use crate::usecase::{self, Act, Totals};
use axum::Json;
use axum::extract::State;
use taskyard_api::{ApiError, Page, Queue, QueueSettings, routes};
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
    let items = app.consensus.read(|state| state.view().queues.iter().map(|q| show(q, &totals)).collect());
    Ok(Json(Page { items, next: None }))
}

/// Make a queue, or change one
///
/// It takes effect with the next pass of the planner, also for jobs that wait already.
#[utoipa::path(
    put, path = routes::QUEUE, operation_id = "set_queue", tag = "queues",
    params(("queue" = String, Path, description = "The queue's name.")),
    request_body = QueueSettings,
    responses((status = 200, description = "The queue after it.", body = Queue), Failure),
)]
pub(super) async fn set(
    State(app): State<App>,
    by: Caller,
    QueuePath(name): QueuePath,
    Input(settings): Input<QueueSettings>,
) -> Reply<Queue> {
    validate::name("queue", &name)?;
    let one = ONE_AT_A_TIME.lock().await;
    let base = app
        .consensus
        .read(|state| state.queue(&name).and_then(|id| Some(state.view().queue(id)?.config.clone())));
    let config = settings.over(&base.unwrap_or_default())?;
    let act = Act { by: &by, object: format!("queue {name}"), namespace: EVERYWHERE.into() };
    usecase::change(&app, act, Command::SetQueue { name: name.clone(), config }).await?;
    drop(one);
    let totals = usecase::totals(&app).await?;
    let queue = app
        .consensus
        .read(|state| state.queue(&name).and_then(|id| Some(show(state.view().queue(id)?, &totals))));
    Ok(Json(queue.ok_or_else(|| ApiError::not_found(format!("queue {name}")))?))
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
