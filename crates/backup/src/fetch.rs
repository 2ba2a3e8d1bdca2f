//! Reading a backup: fetch the object, verify it, load the state, compare it with the manifest; and make a cluster of
//! it.

use crate::error::BackupError;
use crate::list::named;
use crate::manifest::Manifest;
use crate::progress::{BackupPhase, Watch};
use crate::store::Store;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use taskyard_consensus::{Copied, NewDir, Restored};

/// A backup that can be restored: all of it was read and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it is.
    pub manifest: Manifest,
}

/// A cluster that was made from a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// From what.
    pub manifest: Manifest,
    /// What came of it.
    pub restored: Restored,
}

/// Verifies a backup by loading it. `scratch` is a file to use meanwhile.
pub async fn verify(
    store: &Store,
    name: &str,
    scratch: &Path,
    watch: &Watch,
) -> Result<Checked, BackupError> {
    let manifest = named(store, name).await?;
    let loaded = load(store, &manifest, scratch, watch).await;
    let _ = std::fs::remove_file(scratch);
    loaded.map(|_| Checked { manifest })
}

/// Makes a new cluster of one server in an empty directory.
pub async fn restore(
    store: &Store,
    name: &str,
    data_dir: &Path,
    server: u64,
    watch: &Watch,
) -> Result<Rebuilt, BackupError> {
    // Before anything is fetched: a directory that cannot be used is known at once.
    let mut dir = NewDir::claim(data_dir)?;
    let manifest = named(store, name).await?;
    let copied = load(store, &manifest, &dir.begin(), watch).await?;
    let filled = tokio::task::spawn_blocking(move || dir.fill(copied, server)).await;
    let restored = filled.map_err(|error| BackupError::file("fill", data_dir)(io::Error::other(error)))??;
    Ok(Rebuilt { manifest, restored })
}

async fn load(store: &Store, manifest: &Manifest, file: &Path, watch: &Watch) -> Result<Copied, BackupError> {
    let object = manifest.object();
    let sha256 = store.download(&object, file, manifest.bytes, watch).await?;
    let place = store.describe(&object);
    if sha256 != manifest.sha256 {
        let what = format!("its SHA-256 is {sha256}, its manifest says {}", manifest.sha256);
        return Err(BackupError::damaged(place, what));
    }
    watch.tell(BackupPhase::Checking, 0, manifest.state_bytes);
    let (manifest, file) = (manifest.clone(), file.to_owned());
    let reading = tokio::task::spawn_blocking(move || unpack(&manifest, &place, &file)).await;
    reading.map_err(|error| BackupError::damaged(object, format!("reading it ended early: {error}")))?
}

/// Reads a state whose bytes are those that were written. Blocks.
fn unpack(manifest: &Manifest, object: &str, file: &Path) -> Result<Copied, BackupError> {
    let open = || {
        let input = zstd::Decoder::new(BufReader::with_capacity(256 << 10, File::open(file)?))?;
        Ok(BufReader::with_capacity(256 << 10, input))
    };
    let copied = Copied::read(object.as_ref(), open)?;
    manifest.compare(object, &copied)?;
    Ok(copied)
}
