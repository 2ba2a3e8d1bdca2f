//! Whether jobs would be taken, all of them looked at before the first is submitted.

use crate::{ApiError, SubmitRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/check`: at most 10,000 jobs in the order of submission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The jobs.
    pub jobs: Vec<SubmitRequest>,
}

/// Answer to it. Nothing was submitted or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// Number of jobs checked: fewer than were sent if a hundred of them were refused.
    pub checked: u64,
    /// Those that a submit would refuse now, in order.
    pub refused: Vec<RefusedJob>,
}

/// A job that a submit would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedJob {
    /// Its position, from 0.
    pub index: u64,
    /// The error that the submit would return.
    pub error: ApiError,
}
