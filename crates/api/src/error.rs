//! Errors of the API: a closed set of codes, each definite (nothing happened) or not.

use serde::{Deserialize, Serialize};
use taskyard_model::Invalid;
use utoipa::ToSchema;

/// Body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ApiError,
}

/// The kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The input is wrong; see field, value and remedy.
    Invalid,
    /// There is no such job, task, node, queue, log or path.
    NotFound,
    /// There is no credential with it, or none that is good.
    Unauthenticated,
    /// This user may not do that.
    Denied,
    /// It does not go with the state of things, such as a second use of a request id for another job.
    Conflict,
    /// The body is larger than the limit.
    TooLarge,
    /// What was asked for is no longer kept.
    Gone,
    /// The server has as much to do as it takes; nothing happened, try again after `retry_after_ms`.
    Overloaded,
    /// No leader is known or the server is starting or stopping; nothing happened.
    Unavailable,
    /// The server cannot say whether it happened. A retry with the same request id is safe.
    Indefinite,
    /// The path exists but not with this method.
    Method,
    /// The body is of a type that is not read here.
    MediaType,
    /// The answer cannot be had in any form that the caller accepts.
    NotAcceptable,
    /// A fault of the server.
    #[serde(other)]
    Internal,
}

impl ErrorCode {
    /// The HTTP status it goes with.
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::Invalid => 422,
            ErrorCode::NotFound => 404,
            ErrorCode::Unauthenticated => 401,
            ErrorCode::Denied => 403,
            ErrorCode::Conflict => 409,
            ErrorCode::TooLarge => 413,
            ErrorCode::Gone => 410,
            ErrorCode::Overloaded => 429,
            ErrorCode::Unavailable => 503,
            ErrorCode::Indefinite => 504,
            ErrorCode::Method => 405,
            ErrorCode::NotAcceptable => 406,
            ErrorCode::MediaType => 415,
            ErrorCode::Internal => 500,
        }
    }

    /// Whether it says that nothing happened.
    pub fn is_definite(self) -> bool {
        !matches!(self, ErrorCode::Indefinite | ErrorCode::Internal)
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind of error.
    pub code: ErrorCode,
    /// One sentence for people.
    pub message: String,
    /// The input field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// True: nothing happened. False: it may have.
    pub definite: bool,
    /// How long to wait before trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error of a kind with its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
            field: None,
            value: None,
            remedy: None,
            definite: code.is_definite(),
            retry_after_ms: None,
        }
    }

    /// Something that is not there: `job 12`.
    pub fn not_found(what: impl std::fmt::Display) -> ApiError {
        ApiError::new(ErrorCode::NotFound, format!("there is no {what}"))
    }

    /// As much to do as the server takes.
    pub fn overloaded(retry_after_ms: u64) -> ApiError {
        let message = format!("the server is overloaded; try again in {retry_after_ms} ms");
        ApiError { retry_after_ms: Some(retry_after_ms), ..ApiError::new(ErrorCode::Overloaded, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> ApiError {
        self.remedy = Some(remedy.into());
        self
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        ApiError {
            field: Some(invalid.field.clone()),
            value: Some(invalid.value.clone()),
            remedy: Some(invalid.remedy.clone()),
            ..ApiError::new(ErrorCode::Invalid, invalid.to_string())
        }
    }
}

impl From<ApiError> for ErrorBody {
    fn from(error: ApiError) -> Self {
        ErrorBody { error }
    }
}
