//! Queues: list, make, change, delete.

use super::answer::Reply;
use super::input::{JsonBody, Params, QueuePath};
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{Page, Queue, QueueQuery, QueueSettings, routes};
use taskyard_consensus::Consensus;

/// List queues
#[utoipa::path(
    get, path = routes::QUEUES, operation_id = "list_queues", tag = "queues",
    responses((status = 200, description = "All queues.", body = Page<Queue>), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>) -> Reply<Page<Queue>> {
    Ok(Json(Page { items: usecase::list_queues(&consensus).await?, next: None }))
}

/// Create or change a queue
///
/// Takes effect at the next pass of the planner, also for waiting jobs. Limits are checked when a job is submitted
/// or updated: jobs already in the queue stay.
#[utoipa::path(
    put, path = routes::QUEUE, operation_id = "set_queue", tag = "queues",
    params(("queue" = String, Path, description = "The queue's name."), QueueQuery),
    request_body = QueueSettings,
    responses((status = 200, description = "The queue after the change.", body = Queue), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    QueuePath(name): QueuePath,
    Params(query): Params<QueueQuery>,
    JsonBody(settings): JsonBody<QueueSettings>,
) -> Reply<Queue> {
    Ok(Json(usecase::set_queue(&consensus, &by, name, settings, query.new).await?))
}

/// Delete a queue
///
/// Refused while it has unfinished jobs.
#[utoipa::path(
    delete, path = routes::QUEUE, operation_id = "delete_queue", tag = "queues",
    params(("queue" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "The deleted queue.", body = Queue), ErrorResponse),
)]
pub(super) async fn delete(
    State(consensus): State<Consensus>,
    by: Caller,
    QueuePath(name): QueuePath,
) -> Reply<Queue> {
    Ok(Json(usecase::delete_queue(&consensus, &by, name).await?))
}
