//! Backups and their errors in the words of the API, which a server and a command without one share.

use crate::error::BackupError;
use crate::fetch::{Checked, Rebuilt};
use crate::list::ListedBackup;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::store::full;
use std::path::Path;
use taskyard_api::{ApiError, Backup, BackupContent, BackupProgress, BackupRestored, BackupState, ErrorCode};
use taskyard_consensus::StartError;

impl From<&Manifest> for BackupContent {
    fn from(manifest: &Manifest) -> BackupContent {
        BackupContent {
            cluster_id: manifest.cluster.clone(),
            index: manifest.index,
            term: manifest.term,
            digest: manifest.digest.clone(),
            jobs: manifest.jobs,
            tasks: manifest.tasks,
            nodes: manifest.nodes,
            made_at_ms: manifest.made_at_ms,
            state_at_ms: manifest.state_at_ms,
            bytes: manifest.bytes,
            state_bytes: manifest.state_bytes,
            version: manifest.version.clone(),
        }
    }
}

impl From<&Manifest> for Backup {
    fn from(manifest: &Manifest) -> Backup {
        Backup {
            name: manifest.name.clone(),
            state: BackupState::Complete,
            problem: None,
            content: Some(manifest.into()),
        }
    }
}

impl From<&ListedBackup> for Backup {
    fn from(listed: &ListedBackup) -> Backup {
        let state = match (&listed.problem, listed.unfinished) {
            (None, _) => BackupState::Complete,
            (Some(_), true) => BackupState::Incomplete,
            (Some(_), false) => BackupState::Damaged,
        };
        Backup {
            name: listed.name.clone(),
            state,
            problem: listed.problem.clone(),
            content: listed.manifest.as_ref().map(BackupContent::from),
        }
    }
}

impl From<&Checked> for Backup {
    fn from(checked: &Checked) -> Backup {
        Backup { state: BackupState::Verified, ..Backup::from(&checked.manifest) }
    }
}

impl Rebuilt {
    /// What came of it, for people.
    pub fn shown(&self, data_dir: &Path) -> BackupRestored {
        BackupRestored {
            backup: Backup { state: BackupState::Verified, ..Backup::from(&self.manifest) },
            cluster_id: self.restored.cluster.clone(),
            index: self.restored.index,
            data_dir: data_dir.display().to_string(),
            tokens: self.restored.tokens,
            tls: data_dir.join("tls/ca.key").exists(),
        }
    }
}

impl From<Progress> for BackupProgress {
    fn from(Progress { phase, bytes, of }: Progress) -> BackupProgress {
        BackupProgress { phase: phase.name().to_owned(), bytes, of }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> ApiError {
        let code = match &error {
            BackupError::Invalid(invalid) => return invalid.clone().into(),
            BackupError::NotFound { .. } | BackupError::NoDirectory { .. } => ErrorCode::NotFound,
            BackupError::Damaged { .. } | BackupError::Version { .. } => ErrorCode::Conflict,
            BackupError::State(StartError::Io { .. } | StartError::Raft(_)) => ErrorCode::Internal,
            BackupError::State(StartError::Config(_)) => ErrorCode::Invalid,
            BackupError::State(_) => ErrorCode::Conflict,
            // It was tried again already; a client that tried longer would only be slower to say it.
            BackupError::Store { .. } | BackupError::File { .. } => ErrorCode::Internal,
        };
        ApiError::new(code, full(&error))
    }
}
