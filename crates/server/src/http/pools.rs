//! Pools: list, make, change, delete.

use super::answer::Reply;
use super::input::{Input, PoolPath};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{ApiError, Page, Pool, PoolSettings, routes};
use taskyard_model::{EVERYWHERE, Invalid, PoolView, View, validate};
use taskyard_state::Command;
use tokio::sync::Mutex;

/// See [`super::queues`].
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// List pools
#[utoipa::path(
    get, path = routes::POOLS, operation_id = "list_pools", tag = "pools",
    responses((status = 200, description = "All pools.", body = Page<Pool>), Failure),
)]
pub(super) async fn list(State(app): State<App>) -> Reply<Page<Pool>> {
    let items = app.consensus.read(|state| {
        let pools = state.view().pools.iter().filter(|pool| !pool.deleted);
        pools.map(|pool| show(state.view(), pool)).collect()
    });
    Ok(Json(Page { items, next: None }))
}

/// Make a pool, or change one
///
/// It takes effect with the next pass of the planner. What runs goes on where it is, also when its node changes pools.
#[utoipa::path(
    put, path = routes::POOL, operation_id = "set_pool", tag = "pools",
    params(("pool" = String, Path, description = "The pool's name.")),
    request_body = PoolSettings,
    responses((status = 200, description = "The pool after it.", body = Pool), Failure),
)]
pub(super) async fn set(
    State(app): State<App>,
    by: Caller,
    PoolPath(name): PoolPath,
    Input(settings): Input<PoolSettings>,
) -> Reply<Pool> {
    validate::name("pool", &name)?;
    if name == "none" {
        let remedy = "give it another name: `none` is how a queue says that it has no pool of its own";
        return Err(Invalid::new("pool", name, remedy).into());
    }
    let one = ONE_AT_A_TIME.lock().await;
    let base = app.consensus.read(|state| find(state.view(), &name).map(|pool| pool.config.clone()));
    let config = settings.over(&name, &base.unwrap_or_default())?;
    change(&app, &by, &name, Command::SetPool { name: name.clone(), config }).await?;
    drop(one);
    let pool = app.consensus.read(|state| {
        let view = state.view();
        find(view, &name).map(|pool| show(view, pool))
    });
    Ok(Json(pool.ok_or_else(|| ApiError::not_found(format!("pool {name}")))?))
}

/// Delete a pool
///
/// Refused while a queue uses it. Its nodes go to the pools that select them now, else to the default one.
#[utoipa::path(
    delete, path = routes::POOL, operation_id = "delete_pool", tag = "pools",
    params(("pool" = String, Path, description = "The pool's name.")),
    responses((status = 200, description = "The pool before it.", body = Pool), Failure),
)]
pub(super) async fn delete(State(app): State<App>, by: Caller, PoolPath(name): PoolPath) -> Reply<Pool> {
    let _one = ONE_AT_A_TIME.lock().await;
    let pool = app.consensus.read(|state| {
        let view = state.view();
        find(view, &name).map(|pool| show(view, pool))
    });
    let pool = pool.ok_or_else(|| ApiError::not_found(format!("pool {name}")))?;
    change(&app, &by, &name, Command::DeletePool { name: name.clone() }).await?;
    Ok(Json(pool))
}

async fn change(app: &App, by: &Caller, name: &str, command: Command) -> Result<(), ApiError> {
    let act = Act { by, object: format!("pool {name}"), namespace: EVERYWHERE.into() };
    usecase::change(app, act, command).await.map(drop)
}

fn find<'v>(view: &'v View, name: &str) -> Option<&'v PoolView> {
    view.pools.iter().find(|pool| pool.name == name && !pool.deleted)
}

fn show(view: &View, pool: &PoolView) -> Pool {
    let nodes = || view.nodes.iter().filter(|node| node.pool == pool.id);
    let queues = view.queues.iter().filter(|queue| queue.pool == pool.id && !queue.deleted);
    Pool {
        nodes_up: nodes().filter(|node| node.takes_work().is_ok()).count() as u64,
        nodes_all: nodes().count() as u64,
        queues: queues.map(|queue| queue.name.clone()).collect(),
        ..Pool::new(&pool.name, &pool.config)
    }
}
