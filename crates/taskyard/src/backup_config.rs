//! The table [backup] of a configuration file.

use crate::config::Problems;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use taskyard_backup::{Location, S3Settings, StoreSecret};
use taskyard_model::{Invalid, quantity};
use taskyard_server::{BackupConfig, DEFAULT_STORE};

/// Backups are kept unless the file says how many.
const KEEP: usize = 28;
/// More often is a mistake: each reads the whole state.
const EVERY_MS_MIN: u64 = 1_000;

/// See [`BackupConfig`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupFile {
    /// The default store.
    pub(crate) to: Option<String>,
    every: Option<String>,
    keep: Option<usize>,
    /// More stores by name.
    #[serde(default)]
    stores: BTreeMap<String, String>,
    #[serde(default)]
    s3: S3File,
}

/// Keys are in a file of their own or in the environment, so that this one can be shown to others.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct S3File {
    endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key_file: Option<PathBuf>,
}

/// Checks the table. `data_dir` is where backups must not be.
pub(crate) fn backup(file: BackupFile, data_dir: &Path, problems: &mut Problems) -> BackupConfig {
    let mut config = BackupConfig { keep: KEEP, s3: s3(&file.s3, problems), ..BackupConfig::default() };
    let stores = file.to.iter().map(|to| (DEFAULT_STORE.to_owned(), "backup.to".to_owned(), to));
    let more = file.stores.iter().map(|(name, to)| (name.clone(), format!("backup.stores.{name}"), to));
    for (name, field, to) in stores.chain(more) {
        match outside(&field, to, data_dir) {
            Ok(location) => drop(config.stores.insert(name, location)),
            Err(problem) => problems.add(problem),
        }
    }
    if let Some(text) = &file.every {
        config.every_ms = problems.keep(every(text, file.to.is_some()).map(Some));
    }
    match file.keep {
        Some(0) => problems.add(Invalid::new("backup.keep", 0, "at least 1")),
        Some(keep) => config.keep = keep,
        None => {}
    }
    config
}

fn outside(field: &str, to: &str, data_dir: &Path) -> Result<Location, Invalid> {
    if !to.contains("://") && !to.starts_with('/') {
        // It would depend on where the server was started.
        return Err(Invalid::new(field, to, "write an absolute path, file:///path or s3://bucket/prefix"));
    }
    let location = Location::parse(field, to)?;
    match &location {
        Location::Dir(path) if resolved(path).starts_with(resolved(data_dir)) => Err(Invalid::new(
            field,
            to,
            "this is inside the server's data directory and would be lost with it; name a place outside",
        )),
        _ => Ok(location),
    }
}

/// A path without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => resolved(parent).join(name),
        (Some(parent), Some(Component::ParentDir)) => {
            let mut path = resolved(parent);
            path.pop();
            path
        }
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

fn every(text: &str, has_store: bool) -> Result<u64, Invalid> {
    match quantity::duration_ms("backup.every", text)? {
        ms if ms < EVERY_MS_MIN => Err(Invalid::new("backup.every", text, "at least 1s")),
        _ if !has_store => Err(Invalid::new("backup.every", text, "set backup.to")),
        ms => Ok(ms),
    }
}

fn s3(file: &S3File, problems: &mut Problems) -> S3Settings {
    let secret = file.secret_access_key_file.as_ref().and_then(|path| match std::fs::read_to_string(path) {
        Ok(text) => Some(StoreSecret::new(&text)),
        Err(cause) => {
            let remedy = format!("this file cannot be read: {cause}");
            problems.add(Invalid::new("backup.s3.secret_access_key_file", path.display(), remedy));
            None
        }
    });
    S3Settings {
        endpoint: file.endpoint.clone(),
        region: file.region.clone(),
        access_key_id: file.access_key_id.clone(),
        secret_access_key: secret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BackupConfig, String> {
        let file: BackupFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut problems = Problems::default();
        let config = backup(file, "/var/lib/taskyard".as_ref(), &mut problems);
        problems.done(config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_place_beside_the_data_directory_is_outside_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, dir.path().join("link")).unwrap();
        let inside = |to: &str| outside("to", dir.path().join(to).to_str().unwrap(), &data).is_err();
        assert!(inside("data") && inside("data/b/c") && inside("link/b") && inside("b/../data/b"));
        assert!(!inside("b") && !inside("data-2") && !inside("data/../b"));
    }

    #[test]
    fn stores_and_times() {
        let config =
            read("to = \"/b\"\nevery = \"6h\"\nkeep = 3\n[stores]\naway = \"s3://bucket/x\"").unwrap();
        assert_eq!((config.every_ms, config.keep, config.stores.len()), (Some(6 * 3_600_000), 3, 2));
        assert_eq!(read("").unwrap().stores.len(), 0);
        for (wrong, parts) in [
            ("every = \"6h\"", ["backup.every", "backup.to"]),
            ("to = \"/b\"\nevery = \"1ms\"", ["backup.every", "1s"]),
            ("to = \"/b\"\nkeep = 0", ["backup.keep", "at least 1"]),
            ("to = \"/var/lib/taskyard/b\"", ["backup.to", "inside the server's data directory"]),
            ("to = \"ftp://x/y\"", ["backup.to", "s3://bucket/prefix"]),
            ("[s3]\nsecret_access_key_file = \"/nowhere/key\"", ["secret_access_key_file", "/nowhere/key"]),
            ("[s3]\nsecret_access_key = \"hunter2\"", ["unknown field", "secret_access_key_file"]),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{wrong}: {error}");
        }
    }
}
