//! Pools: list, make, change, delete.

use super::answer::Reply;
use super::input::{JsonBody, PoolPath};
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{Page, Pool, PoolSettings, routes};
use taskyard_consensus::Consensus;

/// List pools
#[utoipa::path(
    get, path = routes::POOLS, operation_id = "list_pools", tag = "pools",
    responses((status = 200, description = "All pools.", body = Page<Pool>), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>) -> Reply<Page<Pool>> {
    Ok(Json(Page { items: usecase::list_pools(&consensus), next: None }))
}

/// Create or change a pool
///
/// Takes effect at the next pass of the planner. Running tasks continue, even if their node changes pools.
#[utoipa::path(
    put, path = routes::POOL, operation_id = "set_pool", tag = "pools",
    params(("pool" = String, Path, description = "The pool's name.")),
    request_body = PoolSettings,
    responses((status = 200, description = "The pool after the change.", body = Pool), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    PoolPath(name): PoolPath,
    JsonBody(settings): JsonBody<PoolSettings>,
) -> Reply<Pool> {
    Ok(Json(usecase::set_pool(&consensus, &by, name, settings).await?))
}

/// Delete a pool
///
/// Refused while a queue uses it. Its nodes go to other pools that select them, else to the default pool.
#[utoipa::path(
    delete, path = routes::POOL, operation_id = "delete_pool", tag = "pools",
    params(("pool" = String, Path, description = "The pool's name.")),
    responses((status = 200, description = "The deleted pool.", body = Pool), ErrorResponse),
)]
pub(super) async fn delete(
    State(consensus): State<Consensus>,
    by: Caller,
    PoolPath(name): PoolPath,
) -> Reply<Pool> {
    Ok(Json(usecase::delete_pool(&consensus, &by, name).await?))
}
