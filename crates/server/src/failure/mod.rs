//! Answers that are no success: one shape, with the status of the error's code. What the log and the state refuse is
//! put into words in [`refusal`].

pub(crate) mod refusal;

pub(crate) use refusal::{internal, namespace_not_found, no_job, not_ready};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use taskyard_api::{ApiError, ErrorBody, ErrorCode};
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Documented, ResponseBuilder};

/// What a use case answers.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct ErrorResponse(pub(crate) ApiError);

impl<E: Into<ApiError>> From<E> for ErrorResponse {
    fn from(error: E) -> ErrorResponse {
        ErrorResponse(error.into())
    }
}

/// When a server without room for another connection is asked again.
const RETRY_ROOM_MS: u64 = 1_000;

/// What a caller hears for whom there is no room, as it is sent: nothing of its request is read.
pub(crate) fn refused_for_room() -> String {
    let error = ApiError {
        retry_after_ms: Some(RETRY_ROOM_MS),
        ..ApiError::new(ErrorCode::Unavailable, "this server has reached its limit of connections")
    };
    let error = error.remedy("close some, or try another server");
    let (status, seconds) = (error.code.status(), RETRY_ROOM_MS.div_ceil(1_000));
    let body = serde_json::to_string(&ErrorBody { error }).unwrap_or_default();
    format!(
        "HTTP/1.1 {status} Service Unavailable\r\ncontent-type: application/json\r\nretry-after: {seconds}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let ErrorResponse(error) = self;
        let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The header counts seconds; the body has it exactly.
        let is_unauthenticated = error.code == ErrorCode::Unauthenticated;
        let retry_after = error.retry_after_ms.map(|ms| ms.div_ceil(1_000).max(1));
        let mut response = (status, Json(ErrorBody { error })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if is_unauthenticated {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponses for ErrorResponse {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response = ResponseBuilder::new()
            .description("An error. The status follows from its code.")
            .content("application/json", content)
            .build();
        [("default".to_owned(), RefOr::T(response))].into()
    }
}
