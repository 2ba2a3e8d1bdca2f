//! What a store holds: complete backups, and what only looks like one.

use crate::error::BackupError;
use crate::manifest::{MANIFEST, Manifest, OBJECT, parts_of};
use crate::store::Store;
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::limits::BACKUP_MANIFEST_BYTES_MAX;

/// Manifests read at a time.
const READS: usize = 8;

/// Something in a store that is a backup or was meant to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBackup {
    pub name: String,
    /// What it is; absent if that is not known.
    pub manifest: Option<Manifest>,
    /// Why it cannot be restored, as far as that can be seen without reading the object.
    pub problem: Option<String>,
    /// It has no manifest: it was not finished, or is being made.
    pub unfinished: bool,
}

impl ListedBackup {
    /// The manifest of a backup that has no problem.
    pub fn good(&self) -> Option<&Manifest> {
        self.manifest.as_ref().filter(|_| self.problem.is_none())
    }
}

/// Everything in a store, newest first.
pub async fn list(store: &Store) -> Result<Vec<ListedBackup>, BackupError> {
    let objects = store.names().await?;
    let mut names = BTreeSet::<String>::new();
    for object in objects.keys() {
        let name = object.strip_suffix(MANIFEST).or_else(|| object.strip_suffix(OBJECT));
        names.extend(name.filter(|name| parts_of(name).is_some()).map(str::to_owned));
    }
    let looks = names.into_iter().rev().map(|name| look(store, &objects, name));
    let listed: Vec<_> = futures_util::stream::iter(looks).buffered(READS).collect().await;
    listed.into_iter().filter_map(Result::transpose).collect()
}

/// `None` for one that has been removed since the names were read.
async fn look(
    store: &Store,
    objects: &BTreeMap<String, u64>,
    name: String,
) -> Result<Option<ListedBackup>, BackupError> {
    let (object, unfinished) =
        (format!("{name}{OBJECT}"), !objects.contains_key(&format!("{name}{MANIFEST}")));
    let (manifest, problem) = if unfinished {
        (None, Some("it has no manifest: it is unfinished, or still being made".to_owned()))
    } else {
        match (read(store, &name).await, objects.get(&object)) {
            (Ok(manifest), Some(len)) if *len == manifest.bytes => (Some(manifest), None),
            (Ok(manifest), len) => {
                let problem = misfit(&store.describe(&object), len.copied(), manifest.bytes);
                (Some(manifest), Some(problem.to_string()))
            }
            (Err(BackupError::NotFound { .. }), _) => return Ok(None),
            (Err(error @ (BackupError::Damaged { .. } | BackupError::Version { .. })), _) => {
                (None, Some(error.to_string()))
            }
            (Err(error), _) => return Err(error),
        }
    };
    Ok(Some(ListedBackup { name, manifest, problem, unfinished }))
}

async fn read(store: &Store, name: &str) -> Result<Manifest, BackupError> {
    let object = format!("{name}{MANIFEST}");
    let bytes = store.read_small(&object, BACKUP_MANIFEST_BYTES_MAX).await?;
    Manifest::parse(&store.describe(&object), name, &bytes)
}

fn misfit(object: &str, len: Option<u64>, said: u64) -> BackupError {
    let what = match len {
        None => "it is missing, though its manifest is there".to_owned(),
        Some(len) => format!("it has {len} bytes, its manifest says {said}"),
    };
    BackupError::damaged(object, what)
}

/// The newest backup that has no problem.
pub fn latest(listed: &[ListedBackup]) -> Option<&Manifest> {
    listed.iter().find_map(ListedBackup::good)
}

/// The manifest of a backup by name; `latest` names the newest that is complete. Its object has the length it should
/// have.
pub async fn named(store: &Store, name: &str) -> Result<Manifest, BackupError> {
    let missing = |what: String| BackupError::NotFound { what, store: store.location().to_string() };
    if name == "latest" {
        let listed = list(store).await?;
        return latest(&listed).cloned().ok_or_else(|| missing("complete backup".into()));
    }
    if parts_of(name).is_none() || name.contains('/') {
        return Err(missing(format!("backup {name}")));
    }
    let object = format!("{name}{OBJECT}");
    let len = store.len(&object).await?;
    let manifest = match (read(store, name).await, len) {
        (Err(BackupError::NotFound { .. }), None) => return Err(missing(format!("backup {name}"))),
        (Err(BackupError::NotFound { .. }), Some(_)) => {
            let what = "it is missing: this backup is unfinished, or still being made";
            return Err(BackupError::damaged(store.describe(&format!("{name}{MANIFEST}")), what));
        }
        (manifest, _) => manifest?,
    };
    if len != Some(manifest.bytes) {
        return Err(misfit(&store.describe(&object), len, manifest.bytes));
    }
    Ok(manifest)
}
