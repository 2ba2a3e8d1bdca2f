//! What machines ask: the document, metrics, and whether the server is well.

use super::answer::Failure;
use crate::app::App;
use crate::{metrics, usecase};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use std::sync::OnceLock;
use taskyard_api::routes;

/// This API as an OpenAPI document
#[utoipa::path(
    get, path = routes::OPENAPI, operation_id = "openapi", tag = "server",
    responses((status = 200, description = "The document.", content_type = "application/json")),
)]
pub(super) async fn document() -> impl IntoResponse {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| super::openapi().to_json().unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], text.clone())
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = routes::METRICS, operation_id = "metrics", tag = "server",
    responses((status = 200, description = "Metrics.", content_type = "application/openmetrics-text", body = String), Failure),
)]
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Failure> {
    let text = metrics::render(&app).await?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

/// Whether the process answers
#[utoipa::path(
    get, path = routes::HEALTHZ, operation_id = "healthz", tag = "server",
    responses((status = 200, description = "It does.", content_type = "text/plain", body = String)),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can serve requests, by itself or through the leader
#[utoipa::path(
    get, path = routes::READYZ, operation_id = "readyz", tag = "server",
    responses((status = 200, description = "It can.", content_type = "text/plain", body = String), Failure),
)]
pub(super) async fn readyz(State(app): State<App>) -> Result<&'static str, Failure> {
    usecase::may_serve(&app)?;
    usecase::storage_takes(&app)?;
    Ok("ready\n")
}

/// Whether the server leads
///
/// For whoever wants to reach the leader without a detour; every server that is ready takes all requests.
#[utoipa::path(
    get, path = routes::LEADERZ, operation_id = "leaderz", tag = "server",
    responses((status = 200, description = "It does.", content_type = "text/plain", body = String), Failure),
)]
pub(super) async fn leaderz(State(app): State<App>) -> Result<&'static str, Failure> {
    match app.consensus.leadership().borrow().is_some() {
        true => Ok("leader\n"),
        false => Err(usecase::refusal::not_ready().into()),
    }
}
