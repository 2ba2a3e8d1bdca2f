//! The gate of all requests that need the leader: here, when this server leads; passed on with everything the user
//! sent, when another does.
//!
//! A request is passed on once. What may have taken effect is not sent a second time unless it only reads; the client
//! knows whether it may be.

use crate::app::App;
use crate::auth::{is_stranger, peer};
use crate::failure::{ErrorResponse, refusal};
use crate::outward::{PEER_PATH, own, whole};
use crate::secure::Peer;
use crate::usecase::{self, not_led};
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::time::Duration;
use taskyard_api::{ApiError, ErrorCode, routes};
use taskyard_consensus::{Leader, ProposeError};
use taskyard_model::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_MS};
use tokio::time::{Instant, timeout_at};

/// How long a request waits for a leader: longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take to send what is to be passed on.
const BODY_WITHIN: Duration = Duration::from_millis(HTTP_BODY_MS);
/// A leader proves every second that it leads. One that has not for this time may be cut off.
const PROOF_AGE_MAX: Duration = Duration::from_secs(3);
/// After a leader could not be reached, before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    if route.is_none_or(|route| is_local(route.as_str())) {
        return next.run(request).await;
    }
    // Refused at its route: nothing is read, proposed or passed on for a stranger.
    if is_stranger(&request) {
        return next.run(request).await;
    }
    let mut request = request;
    match consistency(&mut request) {
        Ok(Consistency::Linearizable) => {}
        Ok(Consistency::Stale) => return answer_stale(&app, request, next).await,
        Err(error) => return ErrorResponse(error).into_response(),
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        if app.consensus.leadership().borrow().is_some() {
            match timeout_at(deadline, prove(&app, request.method())).await {
                // No other server has taken the leadership, as far as it can hear.
                Err(_) => return ErrorResponse(refusal::not_proved()).into_response(),
                Ok(Ok(())) => return next.run(request).await,
                // Replaced a moment ago.
                Ok(Err(ProposeError::NotLeader { .. } | ProposeError::Unknown(_))) => {}
                Ok(Err(error)) => return ErrorResponse(refusal::not_proposed(&error)).into_response(),
            }
        }
        if request.headers().contains_key(routes::FORWARDED_HEADER) {
            return not_leading();
        }
        match pass_on(&app, request, deadline).await {
            Passed::Answered(response) => return response,
            Passed::Ours(back) => request = back,
        }
    }
}

/// Whether any server answers a route by itself: what is said of the server, and events, which are the same on all.
pub(crate) fn is_local(route: &str) -> bool {
    routes::OF_EACH_SERVER.contains(&route) || [taskyard_wire::SESSION_PATH, PEER_PATH].contains(&route)
}

/// A read is answered only after something proposed since was applied: no other server can have led then without this
/// server knowing. A sole voter cannot be replaced, and what it has applied is all that it acknowledged. A write proves
/// itself, but waits forever where there is no majority: it is not begun when the last proof is too old. So whatever
/// goes wrong here, nothing of the request has happened.
async fn prove(app: &App, method: &Method) -> Result<(), ProposeError> {
    let begins = *method != Method::GET && app.consensus.has_led_within(PROOF_AGE_MAX);
    if begins || app.consensus.is_alone() {
        return Ok(());
    }
    app.consensus.read_barrier().await
}

enum Consistency {
    Linearizable,
    /// Answered from what this server happens to know.
    Stale,
}

/// What the request asks for, taken out of its query: handlers know nothing of it.
fn consistency(request: &mut Request) -> Result<Consistency, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let mine = |pair: &&str| pair.split('=').next() == Some(routes::CONSISTENCY);
    let Some(value) = query.split('&').find(mine).map(|pair| pair.split_once('=').map_or("", |(_, v)| v))
    else {
        return Ok(Consistency::Linearizable);
    };
    let wanted = match value {
        "linearizable" => Consistency::Linearizable,
        "stale" if request.method() == Method::GET => Consistency::Stale,
        _ => {
            let error =
                ApiError::new(ErrorCode::Invalid, format!("consistency: \"{value}\" is not possible here"));
            let error =
                ApiError { field: Some(routes::CONSISTENCY.into()), value: Some(value.into()), ..error };
            return Err(error.remedy("write stale (for reads only) or linearizable (the default)"));
        }
    };
    let rest: Vec<&str> = query.split('&').filter(|pair| !mine(pair)).collect();
    let path = match rest.is_empty() {
        true => request.uri().path().to_owned(),
        false => format!("{}?{}", request.uri().path(), rest.join("&")),
    };
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    Ok(wanted)
}

async fn answer_stale(app: &App, request: Request, next: Next) -> Response {
    let age = app.consensus.applied_age_ms();
    let mut response = next.run(request).await;
    response.headers_mut().insert(routes::AGE_HEADER, HeaderValue::from(age));
    response
}

fn not_leading() -> Response {
    let mut response = ErrorResponse(refusal::not_ready()).into_response();
    response.headers_mut().insert(routes::NOT_LEADING_HEADER, HeaderValue::from_static("true"));
    response
}

enum Passed {
    Answered(Response),
    /// This server leads by now.
    Ours(Request),
}

/// What is sent, as often as it takes.
struct HeldRequest {
    parts: Parts,
    bytes: Bytes,
    /// Whose certificate it came with.
    peer: Option<Peer>,
}

async fn pass_on(app: &App, request: Request, deadline: Instant) -> Passed {
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let bytes = match tokio::time::timeout(BODY_WITHIN, to_bytes(body, HTTP_BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) | Err(_) => {
            let message = format!("the body could not be read, or has more than {HTTP_BODY_BYTES_MAX} bytes");
            return Passed::Answered(
                ErrorResponse(ApiError::new(ErrorCode::TooLarge, message)).into_response(),
            );
        }
    };
    let held = HeldRequest { parts, bytes, peer };
    loop {
        // Waiting for a leader is of no use where no server would say who leads.
        if let Some(apart) = usecase::stands_apart(&app.consensus) {
            return Passed::Answered(ErrorResponse(apart).into_response());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(leader) = app.consensus.until_leader(None, left).await else {
            return Passed::Answered(ErrorResponse(not_led(&app.consensus)).into_response());
        };
        if leader.id == app.consensus.me() {
            // Elected, and about to prove it.
            let mut leadership = app.consensus.leadership();
            let leads = timeout_at(deadline, leadership.wait_for(Option::is_some)).await;
            return match leads {
                Ok(Ok(_)) => Passed::Ours(Request::from_parts(held.parts, Body::from(held.bytes))),
                _ => Passed::Answered(ErrorResponse(refusal::not_ready()).into_response()),
            };
        }
        match held.send(app, &leader).await {
            SendResult::Answered(response) => return Passed::Answered(response),
            SendResult::Never if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            SendResult::Never => {
                return Passed::Answered(ErrorResponse(not_led(&app.consensus)).into_response());
            }
            SendResult::Perhaps(_) if held.parts.method == Method::GET && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            SendResult::Perhaps(why) => {
                return Passed::Answered(
                    ErrorResponse(refusal::lost_on_the_way(leader.id, &why)).into_response(),
                );
            }
        }
    }
}

enum SendResult {
    Answered(Response),
    /// It is certain that nothing happened.
    Never,
    /// It may have taken effect.
    Perhaps(String),
}

impl HeldRequest {
    async fn send(&self, app: &App, leader: &Leader) -> SendResult {
        let path = self.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request =
            axum::http::Request::builder().method(&self.parts.method).uri(format!("{}{path}", leader.url));
        for (name, value) in &self.parts.headers {
            // These are about the connection it came on.
            let of_the_connection =
                [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
            let of_the_peer = [routes::PEER_HEADER, routes::PEER_JOINED_HEADER];
            if !of_the_connection.contains(name) && !of_the_peer.contains(&name.as_str()) {
                request = request.header(name, value);
            }
        }
        if let Some(peer) = &self.peer {
            request = request.header(routes::PEER_HEADER, peer.write());
            request = request.header(routes::PEER_JOINED_HEADER, peer.joined);
        }
        let request =
            request.header(routes::FORWARDED_HEADER, app.consensus.me()).body(whole(self.bytes.clone()));
        let Ok(request) = request else { return SendResult::Never };
        let answered = tokio::select! {
            answered = app.outward.send(request) => answered,
            // A leader that is cut off answers no one; its successor is known here first.
            Some(_) = app.consensus.until_leader(Some(leader), Duration::MAX) => {
                return SendResult::Perhaps("another server leads meanwhile".into());
            }
        };
        match answered {
            Ok(response) if response.headers().contains_key(routes::NOT_LEADING_HEADER) => SendResult::Never,
            Ok(response) => SendResult::Answered(own(response)),
            Err(error) if error.is_connect() => SendResult::Never,
            Err(error) => SendResult::Perhaps(error.to_string()),
        }
    }
}
