//! The servers of the cluster.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It decides.
    Leader,
    /// It votes, and follows the leader.
    Follower,
    /// It receives everything and does not vote.
    Learner,
    /// It was admitted, and is not a member yet.
    Joining,
    /// It was let go, and is a member still.
    Leaving,
}

impl ServerState {
    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            ServerState::Leader => "leader",
            ServerState::Follower => "follower",
            ServerState::Learner => "learner",
            ServerState::Joining => "joining",
            ServerState::Leaving => "leaving",
        }
    }
}

/// A server, as the answering one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    /// Its number, which is never reused.
    pub id: u64,
    /// Its address.
    pub url: String,
    /// What it does.
    pub role: ServerState,
    /// Its process id; missing before it was first heard from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Index of its last log entry. The leader knows that of all servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Entries it is behind the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Time since the answering server heard from it; missing if it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_age_ms: Option<u64>,
    /// Why it and the answering server do not talk to each other; for the answering server itself, why all others
    /// refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A new server asks to be admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Address for the other servers, as http://host:port.
    pub url: String,
    /// Random number of its data directory, in hexadecimal; repeating the request gives the same answer.
    pub directory: String,
    /// Join as a learner, which replicates the log and does not vote.
    #[serde(default)]
    pub learner: bool,
}

/// It is admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinResponse {
    /// The cluster's name.
    pub cluster_id: String,
    /// The server's number.
    pub server: u64,
}

/// Intended role of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// It votes once it has caught up.
    Voter,
    /// It receives everything and does not vote.
    Learner,
}

/// Changes a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerChange {
    /// Its intended role.
    pub role: Membership,
}

/// Hands the leadership over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Number of the new leader.
    pub to: u64,
}
