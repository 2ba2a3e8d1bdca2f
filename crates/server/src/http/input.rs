//! What requests bring: bodies, queries and parts of paths. Each is bounded before it is read, and each complaint names
//! the field.

use super::answer::invalid;
use crate::failure::ErrorResponse;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use taskyard_api::{ApiError, ErrorCode, body};
use taskyard_model::{JobId, limits};
use utoipa::IntoParams;

/// How long a body that is too large is read.
const DISCARD_MAX: Duration = Duration::from_secs(5);

/// A body that takes longer is not waited for.
const BODY_WITHIN: Duration = Duration::from_millis(limits::HTTP_BODY_MS);

/// A body in JSON.
pub(super) struct JsonBody<T>(pub(super) T);

/// A body in JSON that may be missing.
pub(super) struct MaybeJsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: body::RequestBody> FromRequest<S> for JsonBody<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ErrorResponse> {
        let (headers, bytes) = read(request).await?;
        is_json(&headers)?;
        Ok(JsonBody(body::parse(&bytes)?))
    }
}

impl<S: Send + Sync, T: body::RequestBody + Default> FromRequest<S> for MaybeJsonBody<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ErrorResponse> {
        let (headers, bytes) = read(request).await?;
        if bytes.is_empty() {
            return Ok(MaybeJsonBody(T::default()));
        }
        is_json(&headers)?;
        Ok(MaybeJsonBody(body::parse(&bytes)?))
    }
}

async fn read(request: Request) -> Result<(HeaderMap, Bytes), ErrorResponse> {
    let most = limits::HTTP_BODY_BYTES_MAX;
    let (parts, mut body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > most as u64) {
        // One that asks first sends nothing when it is refused.
        if !parts.headers.contains_key(header::EXPECT) {
            discard(&mut body).await;
        }
        return Err(too_large());
    }
    let whole = tokio::time::timeout(BODY_WITHIN, Limited::new(&mut body, most).collect()).await;
    let whole = whole.unwrap_or_else(|_| Err(format!("it took longer than {BODY_WITHIN:?}").into()));
    match whole {
        Ok(whole) => Ok((parts.headers, whole.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            Err(too_large())
        }
        Err(error) => Err(invalid("body", "", format!("the body was not received completely: {error}"))),
    }
}

/// Reads on for a while: closing a connection on which something still comes destroys the answer before its reader has
/// it.
async fn discard(body: &mut Body) {
    let mut left = limits::HTTP_BODY_DISCARDED_BYTES_MAX;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    // A slower caller learns it from a broken connection.
    let _ = tokio::time::timeout(DISCARD_MAX, read).await;
}

fn too_large() -> ErrorResponse {
    let most = limits::HTTP_BODY_BYTES_MAX;
    let message = format!("the body of a request has at most {most} bytes");
    let error = ApiError {
        field: Some("body".into()),
        ..ApiError::new(ErrorCode::TooLarge, message).remedy("put large input into a file on the nodes")
    };
    error.into()
}

/// A form or a file sent by mistake would else be reported as broken JSON; and a browser cannot send this type to
/// another site unasked.
fn is_json(headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let kind = headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let kind = kind.unwrap_or_default();
    let mut parts = kind.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|essence| essence == "application/json");
    let is_utf8 = |part: String| match part.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        _ => true,
    };
    if is_json && parts.all(is_utf8) {
        return Ok(());
    }
    let message = format!("the body has the unsupported type \"{kind}\"");
    let error = ApiError {
        field: Some("content-type".into()),
        value: Some(kind),
        ..ApiError::new(ErrorCode::MediaType, message)
    };
    Err(error.remedy("send the body as application/json, in UTF-8").into())
}

/// The query of a path.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(query) => Ok(Params(query.0)),
            Err(error) => Err(query_error(parts.uri.query().unwrap_or_default(), &error.body_text())),
        }
    }
}

/// From "Failed to deserialize query string: limit: invalid digit found in string" to the field and its value.
fn query_error(query: &str, text: &str) -> ErrorResponse {
    let cause = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let named = cause
        .split('`')
        .nth(1)
        .filter(|_| cause.contains("unknown field") || cause.contains("duplicate field"));
    let field = named.or_else(|| cause.split_once(": ").map(|(field, _)| field)).unwrap_or("query");
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == field);
    invalid(field, value.map_or(query, |(_, value)| value), cause)
}

/// Query of `GET /v1/cluster`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterQuery {
    /// Whether to include the digest of the state, which takes a walk over all of it.
    pub(super) digest: bool,
}

async fn param(parts: &mut Parts, name: &str) -> Result<String, ErrorResponse> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|error| invalid("path", parts.uri.path(), error.body_text()))?;
    let value = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    Ok(value.unwrap_or_default())
}

async fn number(parts: &mut Parts, name: &str) -> Result<u64, ErrorResponse> {
    let text = param(parts, name).await?;
    text.parse().map_err(|_| invalid(name, &text, format!("a {name} is named by its number, as in 12")))
}

pub(super) struct JobPath(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(JobPath(JobId(number(parts, "job").await?)))
    }
}

/// `{job}` and `{task}`.
pub(super) struct TaskPath(pub(super) JobId, pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(TaskPath(JobId(number(parts, "job").await?), number(parts, "task").await?))
    }
}

pub(super) struct NodePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NodePath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(NodePath(param(parts, "node").await?))
    }
}

pub(super) struct QueuePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for QueuePath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(QueuePath(param(parts, "queue").await?))
    }
}

pub(super) struct PoolPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PoolPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(PoolPath(param(parts, "pool").await?))
    }
}

pub(super) struct WindowPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for WindowPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(WindowPath(param(parts, "window").await?))
    }
}

pub(super) struct BackupPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for BackupPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(BackupPath(param(parts, "backup").await?))
    }
}

pub(super) struct ServerPath(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for ServerPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(ServerPath(number(parts, "server").await?))
    }
}

pub(super) struct NamespacePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NamespacePath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(NamespacePath(param(parts, "namespace").await?))
    }
}

pub(super) struct TokenPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TokenPath {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(TokenPath(param(parts, "token").await?))
    }
}

/// A request id, whose rules a submit has of its own.
pub(super) fn check_request_id(id: Option<&str>) -> Result<(), ErrorResponse> {
    let most = limits::REQUEST_ID_BYTES_MAX;
    match id {
        Some(id) if id.is_empty() || id.len() > most || id.chars().any(char::is_control) => {
            Err(invalid("request_id", id, format!("1 to {most} bytes without control characters")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;
    use taskyard_api::{JobsQuery, LogQuery};

    async fn query<T: DeserializeOwned>(text: &str) -> Result<T, (String, String)> {
        let uri: Uri = format!("/x?{text}").parse().unwrap();
        let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        let read = Params::<T>::from_request_parts(&mut parts, &()).await;
        read.map(|q| q.0).map_err(|e| (e.0.field.unwrap_or_default(), e.0.value.unwrap_or_default()))
    }

    #[tokio::test]
    async fn queries_name_the_field() {
        let good: JobsQuery = query("state=failed&limit=5").await.unwrap();
        assert_eq!((good.state.as_deref(), good.limit), (Some("failed"), Some(5)));
        assert!(query::<LogQuery>("follow=true&stream=stderr").await.unwrap().follow);
        let bad = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        assert_eq!(query::<JobsQuery>("limit=five").await.unwrap_err(), bad("limit", "five"));
        assert_eq!(query::<JobsQuery>("stat=failed").await.unwrap_err(), bad("stat", "failed"));
        assert_eq!(query::<LogQuery>("stream=both").await.unwrap_err().0, "stream");
    }
}
