//! Making and verifying backups. One at a time: each takes disk, memory and a core for a while.

use crate::app::App;
use crate::auth::{CallOutcome, Caller};
use crate::failure::Answer;
use crate::heavy::heavy;
use std::path::PathBuf;
use std::time::Instant;
use taskyard_api::{ApiError, Backup, ErrorCode};
use taskyard_backup::{BackupError, BackupOrigin, ListedBackup, Location, Manifest, Store, Watch};
use taskyard_consensus::wall_ms;
use taskyard_model::EVERYWHERE;
use tokio::sync::OwnedSemaphorePermit;

/// When to ask again while another one is at work.
const RETRY_BUSY_MS: u64 = 2_000;

/// The right to make or verify one backup.
pub(crate) struct BackupWork {
    app: App,
    location: Location,
    _one: OwnedSemaphorePermit,
}

/// Begins a backup that somebody asked for.
pub(crate) fn begin_backup(app: &App, by: &Caller, store: Option<&str>) -> Answer<BackupWork> {
    let work = BackupWork::begin(app, "to", store)?;
    let to = store.unwrap_or("the default store");
    by.audit(&format!("backup to {to}"), EVERYWHERE, (CallOutcome::Done, None), Some("begun".into()));
    Ok(work)
}

/// Begins to verify a backup.
pub(crate) fn begin_verification(
    app: &App,
    by: &Caller,
    name: &str,
    store: Option<&str>,
) -> Answer<BackupWork> {
    let work = BackupWork::begin(app, "from", store)?;
    by.audit(&format!("backup {name}"), EVERYWHERE, (CallOutcome::Done, None), Some("begun".into()));
    Ok(work)
}

/// Everything in a store that is named, or in the default one.
pub(crate) async fn list_backups(app: &App, store: Option<&str>) -> Answer<Vec<Backup>> {
    let listed = backups_in(app, app.config.backup.store("from", store)?).await?;
    Ok(listed.iter().map(Backup::from).collect())
}

/// Everything in a store of the configuration.
pub(crate) async fn backups_in(app: &App, location: &Location) -> Answer<Vec<ListedBackup>> {
    let store = Store::open(location, &app.config.backup.s3)?;
    Ok(taskyard_backup::list(&store).await?)
}

impl BackupWork {
    /// Begins with a store of the configuration, which the field `field` of a request named.
    pub(crate) fn begin(app: &App, field: &str, store: Option<&str>) -> Answer<BackupWork> {
        let location = app.config.backup.store(field, store)?.clone();
        let one = app.backing_up.clone().try_acquire_owned().map_err(|_| ApiError {
            retry_after_ms: Some(RETRY_BUSY_MS),
            ..ApiError::new(ErrorCode::Overloaded, "another backup is being created or verified")
        })?;
        Ok(BackupWork { app: app.clone(), location, _one: one })
    }

    /// Makes a backup of the state as it is now.
    pub(crate) async fn create(self, watch: Watch) -> Answer<Backup> {
        let (began, metrics) = (Instant::now(), self.app.metrics.backup.clone());
        match self.make(watch).await {
            Ok(manifest) => {
                let (took, Manifest { name, bytes, made_at_ms, .. }) = (began.elapsed(), &manifest);
                metrics.made(*made_at_ms, took, *bytes);
                tracing::info!(name, bytes, ?took, store = %self.location, "backup made");
                Ok(Backup::from(&manifest))
            }
            Err(error) => {
                metrics.failed();
                tracing::error!(error = error.message, store = %self.location, "a backup failed");
                Err(error)
            }
        }
    }

    /// Reads a backup and compares it with its manifest.
    pub(crate) async fn verify(self, name: String, watch: Watch) -> Answer<Backup> {
        let store = Store::open(&self.location, &self.app.config.backup.s3)?;
        let checked = taskyard_backup::verify(&store, &name, &self.scratch()?, &watch).await?;
        tracing::info!(name = checked.manifest.name, "backup verified");
        Ok(Backup::from(&checked))
    }

    async fn make(&self, watch: Watch) -> Answer<Manifest> {
        let app = &self.app;
        let store = Store::open_to_write(&self.location, &app.config.backup.s3)?;
        let file = self.scratch()?;
        let (consensus, path) = (app.consensus.clone(), file.clone());
        let saved = heavy(move || consensus.save_state(&path)).await?;
        let saved =
            saved.map_err(|source| BackupError::File { what: "write", path: file.clone(), source })?;
        let origin = BackupOrigin {
            cluster: app.consensus.cluster_id().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_ms: wall_ms(),
        };
        let made = taskyard_backup::create(&store, &saved, &file, &origin, &watch).await;
        let _ = std::fs::remove_file(&file);
        Ok(made?)
    }

    /// A file to use meanwhile, in a directory where nothing else is.
    fn scratch(&self) -> Answer<PathBuf> {
        let dir = self.app.config.data_dir.join("backup");
        // What a process left that was killed.
        let _ = std::fs::remove_dir_all(&dir);
        taskyard_datadir::make_dir(&dir).map_err(|source| BackupError::File {
            what: "make the directory",
            path: dir.clone(),
            source,
        })?;
        Ok(dir.join("state"))
    }
}
