//! What machines ask: the document, metrics, and whether the server is well.

use super::accept::{self, MediaType};
use super::exact;
use crate::app::App;
use crate::config::AuthMode;
use crate::failure::{ErrorResponse, not_ready};
use crate::usecase;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use std::sync::OnceLock;
use taskyard_api::{ApiError, ErrorCode, routes};
use taskyard_consensus::Consensus;

/// This API as an OpenAPI document
#[utoipa::path(
    get, path = routes::OPENAPI, operation_id = "openapi", tag = "server",
    responses((status = 200, description = "The document.", content_type = "application/json")),
)]
pub(super) async fn document(State(app): State<App>) -> impl IntoResponse {
    static DOCUMENTS: [OnceLock<Bytes>; 2] = [const { OnceLock::new() }; 2];
    let asks = app.config.auth == AuthMode::Token;
    let text = DOCUMENTS[usize::from(asks)].get_or_init(|| {
        let document = super::openapi();
        let document = if asks { document } else { exact::without_credentials(document) };
        document.to_json().unwrap_or_default().into()
    });
    ([(header::CONTENT_TYPE, "application/json")], text.clone())
}

/// The forms of metrics, first that of who does not say.
const FORMS: [MediaType; 2] = [
    MediaType {
        kind: ("text", "plain"),
        version: "0.0.4",
        content_type: "text/plain; version=0.0.4; charset=utf-8",
    },
    MediaType {
        kind: ("application", "openmetrics-text"),
        version: "1.0.0",
        content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
    },
];

/// Metrics for Prometheus
///
/// In the text format 0.0.4, or as OpenMetrics 1.0.0 if `Accept` prefers that.
#[utoipa::path(
    get, path = routes::METRICS, operation_id = "metrics", tag = "server",
    responses(
        (status = 200, description = "Metrics.", content(
            (String = "text/plain"),
            (String = "application/openmetrics-text"),
        )),
        ErrorResponse,
    ),
)]
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ErrorResponse> {
    let Some(form) = accept::choose(&headers, &FORMS) else {
        let message =
            "metrics are there as text/plain;version=0.0.4 and application/openmetrics-text;version=1.0.0";
        let error =
            ApiError { field: Some("accept".into()), ..ApiError::new(ErrorCode::NotAcceptable, message) };
        return Err(error.remedy("accept one of these").into());
    };
    let text = usecase::scrape(&app).await?;
    let text = if *form == FORMS[0] { usecase::as_plain(&text) } else { text };
    let headers = [(header::CONTENT_TYPE, form.content_type), (header::VARY, "accept")];
    Ok((headers, text))
}

/// Whether the process answers
#[utoipa::path(
    get, path = routes::HEALTHZ, operation_id = "healthz", tag = "server",
    responses((status = 200, description = "The process answers.", content_type = "text/plain", body = String)),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can serve requests, itself or through the leader
#[utoipa::path(
    get, path = routes::READYZ, operation_id = "readyz", tag = "server",
    responses((status = 200, description = "The server is ready.", content_type = "text/plain", body = String), ErrorResponse),
)]
pub(super) async fn readyz(State(app): State<App>) -> Result<&'static str, ErrorResponse> {
    usecase::may_serve(&app)?;
    usecase::storage_takes(&app.consensus)?;
    Ok("ready\n")
}

/// Whether the server leads
///
/// For balancers that send requests straight to the leader; every ready server takes all requests.
#[utoipa::path(
    get, path = routes::LEADERZ, operation_id = "leaderz", tag = "server",
    responses((status = 200, description = "The server leads.", content_type = "text/plain", body = String), ErrorResponse),
)]
pub(super) async fn leaderz(State(consensus): State<Consensus>) -> Result<&'static str, ErrorResponse> {
    match consensus.leadership().borrow().is_some() {
        true => Ok("leader\n"),
        false => Err(not_ready().into()),
    }
}
