//! Shares of accounts and users, and what was used.

use super::answer::Reply;
use super::input::{JsonBody, Params};
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{ShareSettings, Shares, UsageQuery, UsageReport, routes};
use taskyard_consensus::Consensus;

/// List the shares of accounts and users
#[utoipa::path(
    get, path = routes::SHARES, operation_id = "list_shares", tag = "usage",
    responses((status = 200, description = "Accounts, each followed by its users.", body = Shares), ErrorResponse),
)]
pub(super) async fn list(State(consensus): State<Consensus>, by: Caller) -> Reply<Shares> {
    Ok(Json(usecase::shares(&consensus, &by)))
}

/// Set the weight of an account or a user, or the half-life of past usage
///
/// Takes effect at the next pass of the planner. Creates an account or a user that does not exist yet.
#[utoipa::path(
    put, path = routes::SHARES, operation_id = "set_shares", tag = "usage",
    request_body = ShareSettings,
    responses((status = 200, description = "The shares after the change.", body = Shares), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(settings): JsonBody<ShareSettings>,
) -> Reply<Shares> {
    Ok(Json(usecase::set_shares(&consensus, &by, settings).await?))
}

/// Show usage
///
/// By user, account or queue: what was allocated and used, in whole days, with running tasks counted up to now.
#[utoipa::path(
    get, path = routes::USAGE, operation_id = "show_usage", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "The usage.", body = UsageReport), ErrorResponse),
)]
pub(super) async fn usage(
    State(consensus): State<Consensus>,
    by: Caller,
    Params(query): Params<UsageQuery>,
) -> Reply<UsageReport> {
    let (sum_by, since) = query.check()?;
    Ok(Json(usecase::usage(&consensus, &by, sum_by, since).await?))
}
