//! Nodes: list, drain, resume, remove.

use super::answer::Reply;
use super::input::{MaybeInput, NodePath, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{ApiError, DrainRequest, Node, NodeAct, NodeRemoved, Page, RemoveQuery, routes};
use taskyard_model::{EVERYWHERE, validate};
use taskyard_state::Command;

/// List nodes
#[utoipa::path(
    get, path = routes::NODES, operation_id = "list_nodes", tag = "nodes",
    responses((status = 200, description = "All nodes.", body = Page<Node>), Failure),
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
    responses((status = 200, description = "The node after it.", body = NodeAct), Failure),
)]
pub(super) async fn drain(
    State(app): State<App>,
    by: Caller,
    NodePath(name): NodePath,
    MaybeInput(request): MaybeInput<DrainRequest>,
) -> Reply<NodeAct> {
    set_draining(&app, &by, &name, Some(request.reason()?)).await
}

/// Give a node work again
#[utoipa::path(
    post, path = routes::NODE_RESUME, operation_id = "resume_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name.")),
    responses((status = 200, description = "The node after it.", body = NodeAct), Failure),
)]
pub(super) async fn resume(State(app): State<App>, by: Caller, NodePath(name): NodePath) -> Reply<NodeAct> {
    set_draining(&app, &by, &name, None).await
}

/// Shut a node out
///
/// Its certificate is not good any more: it is not renewed, and its session ends. What the node still runs ends with its lease. A machine that joins
/// under the name with a new token is let in.
#[utoipa::path(
    delete, path = routes::NODE, operation_id = "remove_node", tag = "nodes",
    params(("node" = String, Path, description = "The node's name."), RemoveQuery),
    responses((status = 200, description = "It is removed.", body = NodeRemoved), Failure),
)]
pub(super) async fn remove(
    State(app): State<App>,
    by: Caller,
    NodePath(name): NodePath,
    Params(query): Params<RemoveQuery>,
) -> Reply<NodeRemoved> {
    validate::name("node", &name)?;
    let act = Act { by: &by, object: format!("node {name}"), namespace: EVERYWHERE.into() };
    let node = usecase::remove_node(&app, act, &name, query.force).await?;
    Ok(Json(NodeRemoved { name, node }))
}

/// Drains a node for a reason, or lets it take work again.
async fn set_draining(app: &App, by: &Caller, name: &str, drain: Option<&str>) -> Reply<NodeAct> {
    let id = app.consensus.read(|state| state.node_named(name).map(|node| node.head.id));
    let unknown = || ApiError::not_found(format!("node {name}"));
    let node = id.ok_or_else(unknown)?;
    let act = Act { by, object: format!("node {name}"), namespace: EVERYWHERE.into() };
    if drain.is_none() {
        app.agents.forget_rival(name);
    }
    let (reason, user) = (drain.unwrap_or_default().to_owned(), by.user().to_owned());
    let command = Command::Drain { node, draining: drain.is_some(), reason, by: user };
    usecase::change(app, act, command).await?;
    let shown =
        app.consensus.read(|state| state.view().node(node).map(|view| usecase::node(app, state, view)));
    Ok(Json(NodeAct { node: shown.ok_or_else(unknown)? }))
}
