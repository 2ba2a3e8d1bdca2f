//! What commands about settings carry.

use minicbor::{Decode, Encode};

/// What [`crate::Command::SetAccount`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccountChange {
    /// Whether everybody who may submit may charge it; with `false`, those who were named.
    #[n(0)]
    pub everyone: Option<bool>,
    /// Users who may charge it from now on, and only those who are named so.
    #[n(1)]
    pub grant: Vec<String>,
    /// Users who may no longer.
    #[n(2)]
    pub revoke: Vec<String>,
}

/// What [`crate::Command::SetRetention`] changes; `None` leaves as it is. See [`taskyard_model::Retention`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct KeepChange {
    /// New time after the end.
    #[n(0)]
    pub keep_ms: Option<u64>,
    /// New number of jobs.
    #[n(1)]
    pub max_jobs: Option<u64>,
    /// New number of tasks.
    #[n(2)]
    pub max_tasks: Option<u64>,
    /// New bytes of inputs.
    #[n(3)]
    pub max_bytes: Option<u64>,
    /// New bytes of the state.
    #[n(4)]
    pub state_bytes: Option<u64>,
}
