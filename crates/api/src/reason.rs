//! Why something waits, as a word.

use serde::{Deserialize, Serialize};
use taskyard_model::Reason;
use utoipa::ToSchema;

/// The kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// A user holds it.
    Held,
    /// Other jobs must end first.
    After,
    /// The time of its begin has not come.
    NotBefore,
    /// As many tasks of the job run as it allows.
    JobLimit,
    /// It waits before its next try.
    Backoff,
    /// No agent is connected.
    NoNodes,
    /// No node could ever run it.
    NoNodeCould,
    /// Nodes could run it, and none takes it now: the sentence says which of them are busy, draining, down, kept for
    /// maintenance, …
    NoNodeFree,
    /// Another job goes first.
    Behind,
    /// The next pass will place it.
    Next,
    /// It is at a node already, held there until a like one ends.
    Prefetched,
    /// It runs.
    Running,
    /// It is being stopped, and has until the end of its grace.
    Stopping,
    /// It has ended.
    Finished,
}

impl From<&Reason> for ReasonCode {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Held => ReasonCode::Held,
            Reason::After { .. } => ReasonCode::After,
            Reason::NotBefore { .. } => ReasonCode::NotBefore,
            Reason::JobLimit { .. } => ReasonCode::JobLimit,
            Reason::Backoff { .. } => ReasonCode::Backoff,
            Reason::NoNodes => ReasonCode::NoNodes,
            Reason::NoNodeCould => ReasonCode::NoNodeCould,
            Reason::NoNodeFree(_) => ReasonCode::NoNodeFree,
            Reason::Behind { .. } => ReasonCode::Behind,
            Reason::Next => ReasonCode::Next,
        }
    }
}
