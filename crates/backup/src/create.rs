//! Making a backup from a file with the state: compress it, send it, then say in a manifest that it is there.

use crate::error::BackupError;
use crate::manifest::{self, FORMAT, Manifest};
use crate::progress::{BackupPhase, Watch};
use crate::store::{Store, hex};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use taskyard_consensus::SavedState;

/// Compresses a state to about a quarter at the speed of a disk.
const LEVEL: i32 = 3;

/// Where a backup comes from.
#[derive(Clone, Debug)]
pub struct BackupOrigin {
    pub cluster: String,
    /// The program.
    pub version: String,
    /// Wall clock now, milliseconds since 1970.
    pub now_ms: u64,
}

/// Makes a backup of the state in `file`, which is removed when it has been compressed. A file of the same name and
/// `.zst` is used meanwhile.
pub async fn create(
    store: &Store,
    saved: &SavedState,
    file: &Path,
    origin: &BackupOrigin,
    watch: &Watch,
) -> Result<Manifest, BackupError> {
    let packed = file.with_extension("zst");
    let guard = Temporary(packed.clone());
    let (from, to, telling, of) = (file.to_owned(), packed.clone(), watch.clone(), saved.bytes);
    let packing = tokio::task::spawn_blocking(move || pack(&from, &to, of, &telling)).await;
    let (bytes, sha256) =
        packing.map_err(|error| BackupError::file("compress", file)(io::Error::other(error)))??;
    let manifest = Manifest {
        format: FORMAT,
        name: manifest::name_of(origin.now_ms, saved.index, &origin.cluster),
        cluster: origin.cluster.clone(),
        index: saved.index,
        term: saved.term,
        state_at_ms: saved.wall_ms,
        digest: manifest::digest(saved.digest),
        jobs: saved.holds.jobs,
        tasks: saved.holds.tasks,
        nodes: saved.holds.nodes,
        made_at_ms: origin.now_ms,
        bytes,
        state_bytes: saved.bytes,
        sha256,
        version: origin.version.clone(),
    };
    store.upload(&manifest.object(), &packed, bytes, watch).await?;
    drop(guard);
    // Last: from here on it is a backup.
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    store.write_small(&manifest::manifest_of(&manifest.name), text).await?;
    Ok(manifest)
}

struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Compresses a file into another; length and SHA-256 of that. Blocks.
fn pack(from: &Path, to: &Path, of: u64, watch: &Watch) -> Result<(u64, String), BackupError> {
    let wrong = || BackupError::file("write", to);
    let input = File::open(from).map_err(BackupError::file("read", from))?;
    let mut input = ProgressReader { inner: BufReader::with_capacity(256 << 10, input), bytes: 0, of, watch };
    let sum = HashedFile {
        inner: taskyard_datadir::create(to).map_err(wrong())?,
        sum: Context::new(&SHA256),
        bytes: 0,
    };
    let mut out = zstd::Encoder::new(sum, LEVEL).map_err(wrong())?;
    out.include_checksum(true).map_err(wrong())?;
    io::copy(&mut input, &mut out).map_err(wrong())?;
    let HashedFile { sum, bytes, .. } = out.finish().map_err(wrong())?;
    let _ = std::fs::remove_file(from);
    Ok((bytes, hex(sum.finish().as_ref())))
}

/// Counts and sums what passes through.
struct HashedFile {
    inner: File,
    sum: Context,
    bytes: u64,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Tells how far a file has been read.
pub(crate) struct ProgressReader<'a, T> {
    pub(crate) inner: T,
    pub(crate) bytes: u64,
    pub(crate) of: u64,
    pub(crate) watch: &'a Watch,
}

impl<T: Read> Read for ProgressReader<'_, T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.bytes += read as u64;
        self.watch.tell(BackupPhase::Saving, self.bytes, self.of);
        Ok(read)
    }
}
