//! Whether jobs would be taken, all of them looked at before the first is submitted.

use crate::{ApiError, SubmitRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/check`: jobs in the order in which they are to be submitted. At most 10,000.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The jobs.
    pub jobs: Vec<SubmitRequest>,
}

/// Answer to it. Nothing was submitted, and nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// How many jobs were looked at: fewer than were sent where a hundred of them were refused.
    pub checked: u64,
    /// Those that a submit would refuse as things are, in their order.
    pub refused: Vec<RefusedJob>,
}

/// A job that a submit would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedJob {
    /// Which one, from 0.
    pub index: u64,
    /// What the submit would answer.
    pub error: ApiError,
}
