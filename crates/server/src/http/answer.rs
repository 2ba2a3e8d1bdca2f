//! What handlers return.

use crate::failure::Failure;
use axum::Json;
use taskyard_model::Invalid;

/// What most handlers return.
pub(super) type Reply<T> = Result<Json<T>, Failure>;

/// Complaints about input that come from this layer.
pub(super) fn invalid(field: &str, value: impl std::fmt::Display, remedy: impl Into<String>) -> Failure {
    Invalid::new(field, value, remedy).into()
}
