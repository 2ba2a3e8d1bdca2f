//! The few things the log asks of a file system, behind a trait so that tests can lose unsynced data.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;

/// A directory's worth of file operations.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing in place.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a zero-filled file that appears under its name only when all of it is on the disk.
    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub(crate) trait DiskFile: Send + Sync {
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;
    /// Fills `bytes`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Length of the file.
    fn len(&self) -> io::Result<u64>;
}

/// The real file system.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let made = zero_fill(&temporary, len).and_then(|()| std::fs::rename(&temporary, path));
        if let Err(error) = made {
            // What was written of it may be all the space that is left.
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        sync_dir(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// Zeros are really written: fdatasync into blocks that are allocated but marked unwritten must update
/// metadata, and takes twice as long. Synced in pieces, so that the log's own syncs never wait for a long one.
fn zero_fill(path: &Path, len: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let file = taskyard_datadir::create(path)?;
    // Fails at once when space is short, instead of after having taken all of it. Not every file system has it.
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < len {
        let now = CHUNK.min(len - at);
        file.write_all_at(&zeros[..now as usize], at)?;
        at += now;
        if at.is_multiple_of(4 * CHUNK) {
            file.sync_data()?;
        }
    }
    file.sync_all()
}

/// Makes a rename or removal in the directory of `path` durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
