//! Connections that other servers make.

use crate::app::App;
use crate::outward::PEER_PROTOCOL;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;

/// `POST /v1/server/session`: one connection of another server.
pub(crate) async fn accept(State(app): State<App>, mut request: Request) -> Response {
    let wanted = request.headers().get(header::UPGRADE);
    if wanted.is_none_or(|v| !v.as_bytes().eq_ignore_ascii_case(PEER_PROTOCOL.as_bytes())) {
        let remedy =
            format!("this path is for servers: it needs Connection: Upgrade and Upgrade: {PEER_PROTOCOL}");
        return (StatusCode::UPGRADE_REQUIRED, remedy).into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let served = match upgrade.await {
            Ok(upgraded) => app.consensus.serve_peer(Box::new(TokioIo::new(upgraded))).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection of another server ended");
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PEER_PROTOCOL));
    response
}
