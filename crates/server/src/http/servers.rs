//! The servers of the cluster, and changes of its membership.

use super::answer::Reply;
use super::input::{JsonBody, ServerPath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{JoinRequest, JoinResponse, Page, Server, ServerChange, TransferRequest, routes};
use taskyard_consensus::Consensus;

/// List the servers
#[utoipa::path(
    get, path = routes::SERVERS, operation_id = "list_servers", tag = "cluster",
    responses((status = 200, description = "The servers, by number.", body = Page<Server>), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>) -> Reply<Page<Server>> {
    Ok(Json(Page { items: usecase::servers(&consensus), next: None }))
}

/// Admit a new server
///
/// It becomes a member, and votes once it has caught up. Repeating the request for the same data directory is safe.
#[utoipa::path(
    post, path = routes::SERVERS, operation_id = "join_server", tag = "cluster", request_body = JoinRequest,
    responses((status = 200, description = "The server is admitted.", body = JoinResponse), ErrorResponse),
)]
pub(super) async fn join(
    State(app): State<App>,
    by: Caller,
    JsonBody(request): JsonBody<JoinRequest>,
) -> Reply<JoinResponse> {
    Ok(Json(usecase::join_server(&app, &by, request).await?))
}

/// Make a server a voter or a learner
#[utoipa::path(
    patch, path = routes::SERVER, operation_id = "update_server", tag = "cluster", request_body = ServerChange,
    params(("server" = u64, Path, description = "The server's number.")),
    responses((status = 200, description = "The servers after the change.", body = Page<Server>), ErrorResponse),
)]
pub(super) async fn update(
    State(consensus): State<Consensus>,
    by: Caller,
    ServerPath(id): ServerPath,
    JsonBody(change): JsonBody<ServerChange>,
) -> Reply<Page<Server>> {
    Ok(Json(Page { items: usecase::update_server(&consensus, &by, id, change.role).await?, next: None }))
}

/// Remove a server permanently
///
/// Refused if the remaining servers would have no majority because some cannot be reached.
#[utoipa::path(
    delete, path = routes::SERVER, operation_id = "remove_server", tag = "cluster",
    params(("server" = u64, Path, description = "The server's number.")),
    responses((status = 200, description = "The servers after the change.", body = Page<Server>), ErrorResponse),
)]
pub(super) async fn remove(
    State(consensus): State<Consensus>,
    by: Caller,
    ServerPath(id): ServerPath,
) -> Reply<Page<Server>> {
    Ok(Json(Page { items: usecase::remove_server(&consensus, &by, id).await?, next: None }))
}

/// Transfer the leadership to another server
#[utoipa::path(
    post, path = routes::TRANSFER, operation_id = "transfer_leadership", tag = "cluster",
    request_body = TransferRequest,
    responses((status = 200, description = "The servers, with the new leader.", body = Page<Server>), ErrorResponse),
)]
pub(super) async fn transfer(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(request): JsonBody<TransferRequest>,
) -> Reply<Page<Server>> {
    Ok(Json(Page { items: usecase::transfer(&consensus, &by, request.to).await?, next: None }))
}
