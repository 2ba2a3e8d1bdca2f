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

/// List maintenance windows
///
/// Future and current ones. One that is over is forgotten when the next is set.
#[utoipa::path(
    get, path = routes::MAINTENANCES, operation_id = "list_maintenance", tag = "nodes",
    responses((status = 200, description = "All windows, by name.", body = Page<Maintenance>), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>) -> Reply<Page<Maintenance>> {
    Ok(Json(Page { items: usecase::list_maintenance(&consensus), next: None }))
}

/// Create or change a maintenance window
///
/// From now on a task starts on these nodes only if its time limit ends before the window begins. Running tasks
/// continue.
#[utoipa::path(
    put, path = routes::MAINTENANCE, operation_id = "set_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Name of the window.")),
    request_body = MaintenanceSettings,
    responses((status = 200, description = "The window after the change.", body = Maintenance), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    WindowPath(name): WindowPath,
    JsonBody(settings): JsonBody<MaintenanceSettings>,
) -> Reply<Maintenance> {
    Ok(Json(usecase::set_maintenance(&consensus, &by, name, settings).await?))
}

/// Delete a maintenance window
#[utoipa::path(
    delete, path = routes::MAINTENANCE, operation_id = "delete_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Name of the window.")),
    responses((status = 200, description = "The deleted window.", body = Maintenance), ErrorResponse),
)]
pub(super) async fn delete(
    State(consensus): State<Consensus>,
    by: Caller,
    WindowPath(name): WindowPath,
) -> Reply<Maintenance> {
    Ok(Json(usecase::delete_maintenance(&consensus, &by, name).await?))
}
