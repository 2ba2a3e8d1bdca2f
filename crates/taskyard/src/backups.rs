//! `taskyard backup` without a server: list, verify and restore from where backups are.

use crate::backup_config;
use crate::config::{self, Problems};
use std::path::{Path, PathBuf};
use taskyard_backup::{Location, S3Settings, Store, Watch};
use taskyard_cli::host::{BackupAnswer, BackupAsk, BackupWhat, Progress};
use taskyard_client::api::{ApiError, Backup, ErrorCode, Invalid};

/// The number of the only server of a restored cluster.
const SERVER: u64 = 1;

/// Answers a question about backups.
pub(crate) async fn answer(ask: BackupAsk, progress: Progress<'_>) -> Result<BackupAnswer, ApiError> {
    let (location, s3) = place(&ask)?;
    let store = Store::open(&location, &s3)?;
    let watch = Watch::default();
    let mut told = watch.subscribe();
    let work = work(&store, &ask.what, &watch);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = told.changed() => progress(&(*told.borrow_and_update()).into()),
        }
    }
}

async fn work(store: &Store, what: &BackupWhat, watch: &Watch) -> Result<BackupAnswer, ApiError> {
    Ok(match what {
        BackupWhat::List => {
            BackupAnswer::Listed(taskyard_backup::list(store).await?.iter().map(Backup::from).collect())
        }
        BackupWhat::Verify { name } => {
            let scratch = PrivateDir::new()?;
            let checked = taskyard_backup::verify(store, name, &scratch.0.join("state"), watch).await?;
            BackupAnswer::Verified(Backup::from(&checked))
        }
        BackupWhat::Restore { name, data_dir } => {
            let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone());
            let rebuilt = taskyard_backup::restore(store, name, &data_dir, SERVER, watch).await?;
            BackupAnswer::Restored(rebuilt.shown(&data_dir))
        }
    })
}

/// Where the backups are, and how to get there.
fn place(ask: &BackupAsk) -> Result<(Location, S3Settings), ApiError> {
    let wrong = |error: config::ConfigError| ApiError::new(ErrorCode::Invalid, error.to_string());
    let file = config::backup_table(ask.config.as_deref()).map_err(wrong)?;
    let mut problems = Problems::default();
    let config = backup_config::backup(file, Path::new("/dev/null"), &mut problems);
    let config = problems.done(config).map_err(wrong)?;
    if let Some(from) = &ask.from {
        let named = config.stores.get(from).cloned();
        let location = named.map_or_else(|| Location::parse("--from", from), Ok)?;
        return Ok((location, config.s3));
    }
    let default = config.stores.get(taskyard_server::DEFAULT_STORE).cloned();
    let missing = || {
        Invalid::new(
            "--from",
            "",
            "the configuration file sets no [backup] to; name the place of the backups",
        )
    };
    Ok((default.ok_or_else(missing)?, config.s3))
}

/// A private directory that is removed afterwards.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn new() -> Result<PrivateDir, ApiError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("taskyard-verify-{}", std::process::id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map(|()| PrivateDir(path.clone())).map_err(|cause| {
            ApiError::new(
                ErrorCode::Internal,
                format!("cannot make the directory {}: {cause}", path.display()),
            )
            .remedy("set TMPDIR to a directory with room for the state")
        })
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
