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

/// Drain a node
///
/// It gets no new work. Running tasks continue; prefetched tasks go elsewhere.
#[utoipa::path(
    post, path = routes::NODE_DRAIN, operation_id = "drain_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name.")),
    request_body(content = Option<DrainRequest>),
    responses((status = 200, description = "The node after the change.", body = NodeAct), ErrorResponse),
)]
pub(super) async fn drain(
    State(app): State<App>,
    by: Caller,
    NodePath(name): NodePath,
    MaybeJsonBody(request): MaybeJsonBody<DrainRequest>,
) -> Reply<NodeAct> {
    Ok(Json(NodeAct { node: usecase::drain_node(&app, &by, &name, request.reason()?).await? }))
}

/// Resume a node
#[utoipa::path(
    post, path = routes::NODE_RESUME, operation_id = "resume_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name.")),
    responses((status = 200, description = "The node after the change.", body = NodeAct), ErrorResponse),
)]
pub(super) async fn resume(State(app): State<App>, by: Caller, NodePath(name): NodePath) -> Reply<NodeAct> {
    Ok(Json(NodeAct { node: usecase::resume_node(&app, &by, &name).await? }))
}

/// Remove a node
///
/// Its certificate is refused and not renewed, and its session ends. Its running tasks end with its lease. A
/// machine may join under the name with a new token.
#[utoipa::path(
    delete, path = routes::NODE, operation_id = "remove_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name."), RemoveQuery),
    responses((status = 200, description = "The node is removed.", body = NodeRemoved), ErrorResponse),
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
