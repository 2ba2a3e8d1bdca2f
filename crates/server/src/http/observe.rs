//! Counts and logs each request. The logged path is the route's pattern: what users wrote into it may be private.

use crate::metrics::ServerMetrics;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;

/// The route of what matches none.
const NO_ROUTE: &str = "none";

pub(super) async fn observe(State(metrics): State<ServerMetrics>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let code = response.status().as_u16();
    metrics.answered(method.as_str(), route, code);
    let micros = began.elapsed().as_micros() as u64;
    tracing::debug!(%method, route, code, micros, "answered");
    response
}
