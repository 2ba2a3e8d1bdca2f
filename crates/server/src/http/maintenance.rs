//! Times in which nodes are to be maintained.

use super::answer::Reply;
use super::input::{Input, WindowPath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State as Extract;
use taskyard_api::{ApiError, Maintenance, MaintenanceSettings, Page, routes};
use taskyard_model::{EVERYWHERE, validate};
use taskyard_state::{Command, Maintenance as Window, State};

/// List times of maintenance
///
/// Those to come and those that have begun. One that is over is forgotten when the next is set.
#[utoipa::path(
    get, path = routes::MAINTENANCES, operation_id = "list_maintenance", tag = "nodes",
    responses((status = 200, description = "All of them, by name.", body = Page<Maintenance>), Failure),
)]
pub(super) async fn list(Extract(app): Extract<App>) -> Reply<Page<Maintenance>> {
    let items = app.consensus.read(|state| {
        let windows = state.maintenance().filter(|(_, window)| window.until_wall_ms > state.wall_ms());
        windows.map(|(name, window)| show(state, name, window)).collect()
    });
    Ok(Json(Page { items, next: None }))
}

/// Plan maintenance, or change it
///
/// From now on no task starts on these nodes that is not sure, by its time limit, to have ended when it begins. What runs goes on.
#[utoipa::path(
    put, path = routes::MAINTENANCE, operation_id = "set_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Its name.")),
    request_body = MaintenanceSettings,
    responses((status = 200, description = "It, after that.", body = Maintenance), Failure),
)]
pub(super) async fn set(
    Extract(app): Extract<App>,
    by: Caller,
    WindowPath(name): WindowPath,
    Input(settings): Input<MaintenanceSettings>,
) -> Reply<Maintenance> {
    validate::name("window", &name)?;
    let read = settings.window(app.consensus.read(State::wall_ms))?;
    let window = Window { nodes: read.nodes, from_wall_ms: read.from_ms, until_wall_ms: read.until_ms };
    change(&app, &by, &name, Command::SetMaintenance { name: name.clone(), window }).await?;
    Ok(Json(find(&app, &name)?))
}

/// Call maintenance off
#[utoipa::path(
    delete, path = routes::MAINTENANCE, operation_id = "delete_maintenance", tag = "nodes",
    params(("window" = String, Path, description = "Its name.")),
    responses((status = 200, description = "It, before that.", body = Maintenance), Failure),
)]
pub(super) async fn delete(
    Extract(app): Extract<App>,
    by: Caller,
    WindowPath(name): WindowPath,
) -> Reply<Maintenance> {
    let window = find(&app, &name)?;
    change(&app, &by, &name, Command::DeleteMaintenance { name: name.clone() }).await?;
    Ok(Json(window))
}

async fn change(app: &App, by: &Caller, name: &str, command: Command) -> Result<(), ApiError> {
    let act = Act { by, object: format!("maintenance {name}"), namespace: EVERYWHERE.into() };
    usecase::change(app, act, command).await.map(drop)
}

fn find(app: &App, name: &str) -> Result<Maintenance, ApiError> {
    let found = app.consensus.read(|state| {
        state.maintenance().find(|(known, _)| *known == name).map(|(name, window)| show(state, name, window))
    });
    found.ok_or_else(|| ApiError::not_found(format!("maintenance {name}")))
}

fn show(state: &State, name: &str, window: &Window) -> Maintenance {
    let nodes = || state.view().nodes.iter().filter(|node| window.nodes.broken(&node.labels).is_none());
    Maintenance {
        name: name.to_owned(),
        from_at_ms: window.from_wall_ms,
        until_at_ms: window.until_wall_ms,
        nodes: Some(window.nodes.to_string()).filter(|text| !text.is_empty()),
        nodes_count: nodes().count() as u64,
        running: nodes().map(|node| u64::from(node.running)).sum(),
    }
}
