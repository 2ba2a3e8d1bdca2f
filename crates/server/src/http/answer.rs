//! What handlers return.

use crate::failure::ErrorResponse;
use axum::Json;
use taskyard_model::Invalid;

/// What most handlers return.
pub(super) type Reply<T> = Result<Json<T>, ErrorResponse>;

/// Complaints about input that come from this layer.
pub(super) fn invalid(
    field: &str,
    value: impl std::fmt::Display,
    remedy: impl Into<String>,
) -> ErrorResponse {
    Invalid::new(field, value, remedy).into()
}
