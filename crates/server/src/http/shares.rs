//! Shares of accounts and users, and what was used.

use super::answer::Reply;
use super::input::{Input, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{AccountAccess, ShareChange, ShareSettings, Shares, UsageQuery, UsageReport, routes};
use taskyard_model::EVERYWHERE;
use taskyard_state::{AccountChange, Command};

/// List the shares of accounts and users
#[utoipa::path(
    get, path = routes::SHARES, operation_id = "list_shares", tag = "usage",
    responses((status = 200, description = "Accounts, each followed by its users.", body = Shares), Failure),
)]
pub(super) async fn list(State(app): State<App>, by: Caller) -> Reply<Shares> {
    Ok(Json(usecase::shares(&app, &by)))
}

/// Set the weight of an account or a user, or how fast past use is forgotten
///
/// It takes effect with the next pass of the planner. An account or a user that is not known yet becomes known by it.
#[utoipa::path(
    put, path = routes::SHARES, operation_id = "set_shares", tag = "usage",
    request_body = ShareSettings,
    responses((status = 200, description = "The shares after it.", body = Shares), Failure),
)]
pub(super) async fn set(
    State(app): State<App>,
    by: Caller,
    Input(settings): Input<ShareSettings>,
) -> Reply<Shares> {
    let ShareChange { weight, half_life_ms, access } = settings.check()?;
    let act = |object: String| Act { by: &by, object, namespace: EVERYWHERE.into() };
    if let Some((account, user, weight)) = weight {
        let named = settings.account.unwrap_or_default();
        let of_user = user.as_ref().map(|user| format!(" user {user}")).unwrap_or_default();
        let command = Command::SetShare { account, user, weight };
        usecase::change(&app, act(format!("account {named}{of_user}")), command).await?;
    }
    if let Some(AccountAccess { account, everyone, grant, revoke }) = access {
        let object = act(format!("account {account}"));
        let change = AccountChange { everyone, grant, revoke };
        usecase::change(&app, object, Command::SetAccount { name: account, change }).await?;
    }
    if let Some(ms) = half_life_ms {
        usecase::change(&app, act("half-life".into()), Command::SetHalfLife { ms }).await?;
    }
    Ok(Json(usecase::shares(&app, &by)))
}

/// Show what was used
///
/// By user, account or queue: what was allocated and used, in whole days, with what runs counted up to now.
#[utoipa::path(
    get, path = routes::USAGE, operation_id = "show_usage", tag = "usage", params(UsageQuery),
    responses((status = 200, description = "What was used.", body = UsageReport), Failure),
)]
pub(super) async fn usage(
    State(app): State<App>,
    by: Caller,
    Params(query): Params<UsageQuery>,
) -> Reply<UsageReport> {
    let (sum_by, since) = query.check()?;
    Ok(Json(usecase::usage(&app, &by, sum_by, since).await?))
}
