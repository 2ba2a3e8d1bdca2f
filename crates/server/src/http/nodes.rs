//! Nodes: list, drain, resume, remove.

use super::answer::Reply;
use super::input::{MaybeJsonBody, NodePath, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{DrainRequest, Node, NodeAct, NodeRemoved, Page, RemoveQuery, routes};

/// List nodes
#[utoipa::path(
    get, path = routes::NODES, operation_id = "list_nodes", tag = "nodes",
    responses((status = 200, description = "All nodes.", body = Page<Node>), ErrorResponse),
)]
pub(super) async fn list(State(app): State<App>) -> Reply<Page<Node>> {
    Ok(Json(Page { items: usecase::all_nodes(&app)?, next: None }))
}

/// Give a node no new work
///
/// What runs there goes on; what waits there goes elsewhere.
#[utoipa::path(
    post, path = routes::NODE_DRAIN, operation_id = "drain_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name.")),
    request_body(content = Option<DrainRequest>),
    responses((status = 200, description = "The node after it.", body = NodeAct), ErrorResponse),
)]
pub(super) async fn drain(
    State(app): State<App>,
    by: Caller,
    NodePath(name): NodePath,
    MaybeJsonBody(request): MaybeJsonBody<DrainRequest>,
) -> Reply<NodeAct> {
    Ok(Json(NodeAct { node: usecase::drain_node(&app, &by, &name, request.reason()?).await? }))
}

/// Give a node work again
#[utoipa::path(
    post, path = routes::NODE_RESUME, operation_id = "resume_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name.")),
    responses((status = 200, description = "The node after it.", body = NodeAct), ErrorResponse),
)]
pub(super) async fn resume(State(app): State<App>, by: Caller, NodePath(name): NodePath) -> Reply<NodeAct> {
    Ok(Json(NodeAct { node: usecase::resume_node(&app, &by, &name).await? }))
}

/// Shut a node out
///
/// Its certificate is not good any more: it is not renewed, and its session ends. What the node still runs ends with its lease. A machine that joins
/// under the name with a new token is let in.
#[utoipa::path(
    delete, path = routes::NODE, operation_id = "remove_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name."), RemoveQuery),
    responses((status = 200, description = "It is removed.", body = NodeRemoved), ErrorResponse),
)]
pub(super) async fn remove(
    State(app): State<App>,
    by: Caller,
    NodePath(name): NodePath,
    Params(query): Params<RemoveQuery>,
) -> Reply<NodeRemoved> {
    let node = usecase::remove_node(&app, &by, &name, query.force).await?;
    Ok(Json(NodeRemoved { name, node }))
}
