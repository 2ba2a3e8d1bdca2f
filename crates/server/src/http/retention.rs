//! How long finished jobs are kept.

use super::answer::Reply;
use super::input::JsonBody;
use crate::auth::Caller;
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{RetentionSettings, RetentionStatus, routes};
use taskyard_consensus::Consensus;

/// Show how long finished jobs are kept
#[utoipa::path(
    get, path = routes::RETENTION, operation_id = "show_retention", tag = "cluster",
    responses((status = 200, description = "The rule, and what is kept.", body = RetentionStatus), ErrorResponse),
)]
pub(super) async fn show(State(consensus): State<Consensus>) -> Reply<RetentionStatus> {
    Ok(Json(usecase::retention(&consensus)))
}

/// Change how long finished jobs are kept
///
/// Applies to existing jobs too: jobs beyond the new limits are forgotten within moments, with their output.
#[utoipa::path(
    put, path = routes::RETENTION, operation_id = "set_retention", tag = "cluster",
    request_body = RetentionSettings,
    responses((status = 200, description = "The rule after the change.", body = RetentionStatus), ErrorResponse),
)]
pub(super) async fn set(
    State(consensus): State<Consensus>,
    by: Caller,
    JsonBody(settings): JsonBody<RetentionSettings>,
) -> Reply<RetentionStatus> {
    Ok(Json(usecase::set_retention(&consensus, &by, settings).await?))
}
