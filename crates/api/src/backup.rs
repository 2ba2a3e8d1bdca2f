//! Backups: what one is, and how far the making of one has come.

use crate::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /v1/backups`. May be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupRequest {
    /// Name of the store to write to, in the server's configuration. Default: that of `[backup] to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Which store to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct BackupQuery {
    /// Name of the store in the server's configuration. Default: that of `[backup] to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Whether a backup can be restored, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// Its manifest is there and fits its object.
    Complete,
    /// All of it was read and compared.
    Verified,
    /// It was not finished, or is being made.
    Incomplete,
    /// Something is missing or changed.
    Damaged,
}

impl BackupState {
    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            BackupState::Complete => "complete",
            BackupState::Verified => "verified",
            BackupState::Incomplete => "incomplete",
            BackupState::Damaged => "damaged",
        }
    }
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Its name: time, log index and cluster.
    pub name: String,
    /// Whether it can be restored.
    pub state: BackupState,
    /// Why it cannot be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Only backups with a manifest have the rest.
    #[serde(default, skip_serializing_if = "Option::is_none", flatten)]
    pub content: Option<BackupContent>,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupContent {
    /// Its cluster.
    pub cluster_id: String,
    /// Log index of its state.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Fingerprint of its state.
    pub digest: String,
    /// Jobs in it.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// Nodes ever registered.
    pub nodes: u64,
    /// When it was made.
    pub made_at_ms: u64,
    /// Of the last entry in it.
    pub state_at_ms: u64,
    /// Size in the store.
    pub bytes: u64,
    /// Size of its state before compression.
    pub state_bytes: u64,
    /// Version of the program that made it.
    pub version: String,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupProgress {
    /// Current step: `saving`, `uploading`, `downloading` or `checking`.
    pub phase: String,
    /// Bytes done.
    pub bytes: u64,
    /// Total amount; 0 if unknown.
    pub of: u64,
}

/// One line of the answer to creating or verifying a backup. The last one has `backup` or `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BackupLine {
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<BackupProgress>,
    /// It is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// It failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
}

/// What a restore made; no part of the HTTP API, since no server runs where one is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRestored {
    /// What was restored.
    pub backup: Backup,
    /// The new cluster.
    pub cluster_id: String,
    /// Index of its first entry.
    pub index: u64,
    /// Where it is.
    pub data_dir: String,
    /// Tokens that are valid: the cluster asked for credentials.
    pub tokens: u64,
    /// The directory has an authority, so that the cluster speaks TLS.
    pub tls: bool,
}
