//! Times in which nodes are to be maintained.

use super::answer::Reply;
use super::input::{JsonBody, WindowPath};
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{Maintenance, MaintenanceSettings, Page, routes};
use taskyard_consensus::Consensus;

/// List times of maintenance
///
/// Those to come and those that have begun. One that is over is forgotten when the next is set.
#[utoipa::path(
    get, path = routes::MAINTENANCES, operation_id = "list_maintenance", tag = "nodes",
    responses((status = 200, description = "All of them, by name.", body = Page<Maintenance>), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>) -> Reply<Page<Maintenance>> {
    Ok(Json(Page { items: usecase::list_maintenance(&consensus), next: None }))
}

/// Plan maintenance, or change it
///
/// From now on no task starts on these nodes that is not sure, by its time limit, to have ended when it begins. What runs goes on.
#[utoipa::path(
    put, path = routes::MAINTENANCE, operation_id = "set_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Its name.")),
    request_body = MaintenanceSettings,
    responses((status = 200, description = "It, after that.", body = Maintenance), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    WindowPath(name): WindowPath,
    JsonBody(settings): JsonBody<MaintenanceSettings>,
) -> Reply<Maintenance> {
    Ok(Json(usecase::set_maintenance(&consensus, &by, name, settings).await?))
}

/// Call maintenance off
#[utoipa::path(
    delete, path = routes::MAINTENANCE, operation_id = "delete_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Its name.")),
    responses((status = 200, description = "It, before that.", body = Maintenance), ErrorResponse),
)]
pub(super) async fn delete(
    State(consensus): State<Consensus>,
    by: Caller,
    WindowPath(name): WindowPath,
) -> Reply<Maintenance> {
    Ok(Json(usecase::delete_maintenance(&consensus, &by, name).await?))
}
