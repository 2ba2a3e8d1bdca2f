//! The servers of the cluster, and changes of its membership.

use super::answer::{Reply, invalid};
use super::input::{Input, ServerPath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{
    JoinRequest, JoinResponse, Membership, Page, Server, ServerChange, TransferRequest, routes,
};
use taskyard_model::EVERYWHERE;
use taskyard_state::{Command, ServerRole};

/// List the servers
#[utoipa::path(
    get, path = routes::SERVERS, operation_id = "list_servers", tag = "cluster",
    responses((status = 200, description = "The servers, by number.", body = Page<Server>), Failure),
)]
pub(super) async fn list(State(app): State<App>) -> Reply<Page<Server>> {
    Ok(Json(Page { items: usecase::servers(&app), next: None }))
}

/// Admit a new server
///
/// It becomes a member, and votes once it has caught up. The same directory may ask again.
#[utoipa::path(
    post, path = routes::SERVERS, operation_id = "join_server", tag = "cluster", request_body = JoinRequest,
    responses((status = 200, description = "It is admitted.", body = JoinResponse), Failure),
)]
pub(super) async fn join(
    State(app): State<App>,
    by: Caller,
    Input(request): Input<JoinRequest>,
) -> Reply<JoinResponse> {
    let JoinRequest { url, directory, learner } = request;
    let number = u64::from_str_radix(&directory, 16);
    let number = number.map_err(|_| invalid("directory", &directory, "write up to 16 hexadecimal digits"))?;
    let scheme = if app.secured.is_some() { "https://" } else { "http://" };
    if !url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')) {
        let remedy = format!("write where other servers reach it, as {scheme}HOST:PORT");
        return Err(invalid("url", &url, remedy));
    }
    let role = if learner { ServerRole::Learner } else { ServerRole::Voter };
    let act = Act { by: &by, object: format!("server {url}"), namespace: EVERYWHERE.to_owned() };
    let server =
        usecase::change_server(&app, act, Command::AdmitServer { directory: number, url, role }).await?;
    Ok(Json(JoinResponse { cluster_id: app.consensus.cluster_id().to_owned(), server }))
}

/// Let a server vote, or only learn
#[utoipa::path(
    patch, path = routes::SERVER, operation_id = "update_server", tag = "cluster", request_body = ServerChange,
    params(("server" = u64, Path, description = "The server's number.")),
    responses((status = 200, description = "The servers, as they are right after.", body = Page<Server>), Failure),
)]
pub(super) async fn update(
    State(app): State<App>,
    by: Caller,
    ServerPath(id): ServerPath,
    Input(change): Input<ServerChange>,
) -> Reply<Page<Server>> {
    let role = match change.role {
        Membership::Voter => ServerRole::Voter,
        Membership::Learner => ServerRole::Learner,
    };
    let act = Act { by: &by, object: format!("server {id}"), namespace: EVERYWHERE.to_owned() };
    usecase::change_server(&app, act, Command::SetServer { id, role }).await?;
    Ok(Json(Page { items: usecase::servers(&app), next: None }))
}

/// Let a server go, for ever
///
/// Refused if the servers that are left could not decide without others that are away.
#[utoipa::path(
    delete, path = routes::SERVER, operation_id = "remove_server", tag = "cluster",
    params(("server" = u64, Path, description = "The server's number.")),
    responses((status = 200, description = "The servers, as they are right after.", body = Page<Server>), Failure),
)]
pub(super) async fn remove(
    State(app): State<App>,
    by: Caller,
    ServerPath(id): ServerPath,
) -> Reply<Page<Server>> {
    usecase::may_remove(&app, id)?;
    let act = Act { by: &by, object: format!("server {id}"), namespace: EVERYWHERE.to_owned() };
    usecase::change_server(&app, act, Command::SetServer { id, role: ServerRole::Removed }).await?;
    Ok(Json(Page { items: usecase::servers(&app), next: None }))
}

/// Hand the leadership to another server
#[utoipa::path(
    post, path = routes::TRANSFER, operation_id = "transfer_leadership", tag = "cluster",
    request_body = TransferRequest,
    responses((status = 200, description = "It leads.", body = Page<Server>), Failure),
)]
pub(super) async fn transfer(
    State(app): State<App>,
    by: Caller,
    Input(request): Input<TransferRequest>,
) -> Reply<Page<Server>> {
    let act = Act {
        by: &by,
        object: format!("leadership to server {}", request.to),
        namespace: EVERYWHERE.to_owned(),
    };
    usecase::transfer(&app, act, request.to).await?;
    Ok(Json(Page { items: usecase::servers(&app), next: None }))
}
