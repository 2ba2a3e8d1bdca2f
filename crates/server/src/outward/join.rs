//! How a new server becomes part of a cluster: it asks any of its servers for a number, and then waits to be called.

use super::{Outward, whole};
use crate::error::ServerError;
use axum::http::{Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use taskyard_api::{ErrorBody, JoinRequest, JoinResponse, routes};
use taskyard_model::limits::JOIN_ANSWER_BYTES_MAX;

/// Between two rounds over the given addresses.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is tried: the cluster may be electing, or starting at the same time.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Asks to be admitted until one answers for good.
pub(crate) async fn join(
    outward: &Outward,
    servers: &[String],
    request: &JoinRequest,
) -> Result<JoinResponse, ServerError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut told = String::new();
    loop {
        let mut why = String::new();
        for server in servers {
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(outward, server, request)).await;
            match asked.unwrap_or_else(|_| Err(Refusal::Passing("no answer in time".into()))) {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Final(message)) => {
                    return Err(ServerError::NotAdmitted { server: server.clone(), why: message });
                }
                Err(Refusal::Passing(message)) => why = format!("{server}: {message}"),
            }
        }
        if tokio::time::Instant::now() > deadline {
            return Err(ServerError::NotAdmitted { server: servers.join(", "), why });
        }
        // Asked twice a second; the same reason again says nothing new.
        if why != told {
            tracing::info!(why, for_s = PATIENCE.as_secs(), "not admitted to the cluster yet; retrying");
            told = why;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Refusal {
    /// Asking again may help.
    Passing(String),
    Final(String),
}

async fn ask(outward: &Outward, server: &str, join: &JoinRequest) -> Result<JoinResponse, Refusal> {
    let passing = |error: &dyn std::fmt::Display| Refusal::Passing(error.to_string());
    let body = serde_json::to_vec(join).map_err(|error| Refusal::Final(error.to_string()))?;
    let request = Request::post(format!("{server}{}", routes::SERVERS))
        .header(header::CONTENT_TYPE, "application/json")
        .body(whole(Bytes::from(body)))
        .map_err(|_| Refusal::Final("this is not an address; write http://HOST:PORT".into()))?;
    let response = outward.send_own(request).await.map_err(|error| passing(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), JOIN_ANSWER_BYTES_MAX).collect().await;
    let bytes = body.map_err(|error| passing(&error))?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| Refusal::Final(error.to_string()));
    }
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(ErrorBody { error }) if error.retry_after_ms.is_none() => Err(Refusal::Final(error.to_string())),
        Ok(ErrorBody { error }) => Err(Refusal::Passing(error.message)),
        Err(_) => Err(Refusal::Passing(format!("it answered {status}"))),
    }
}
