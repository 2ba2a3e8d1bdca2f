//! What survives the agent's process: an append-only file in the data directory.
//!
//! `Starting` is written (write(2), so it survives the agent but not necessarily the machine) before an attempt may
//! have a process. Results are written before they are reported. A thread of its own makes the file durable at most
//! once a second: after a loss of power every task is dead anyway, and a result that is lost with it only means that
//! the task runs again.

mod record;
mod recover;
mod sync;

pub(crate) use record::JournalRecord;
pub(crate) use recover::{Recovered, recover};

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use sync::Syncer;

const NAME: &str = "journal";
const NEW_NAME: &str = "journal.new";
/// A journal past this is rewritten with only what still matters.
const ROTATE_BYTES: u64 = 8 << 20;
/// Blocks that are taken ahead of need, at least half of them at any time: on a disk that other files have filled, the
/// ends of what runs must still be written, as an agent without a journal has to end and takes its tasks with it.
const AHEAD_BYTES: u64 = 256 << 10;

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk says no.
    #[error("{path}: cannot be {what}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What is there is not what was written.
    #[error(
        "{path}: corrupt at byte {offset}; what this agent ran is unknown. Move the file away to start without it: the servers declare its \
         tasks lost when its lease ends"
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
}

pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Records of the next write.
    batch: Vec<u8>,
    framed: Vec<u8>,
    /// A run of starts that the next one may extend.
    starting: Option<JournalRecord>,
    bytes: u64,
    /// Up to here the file has blocks.
    reserved: u64,
    rotate_at: u64,
    sync: Syncer,
}

impl Journal {
    /// Begins a new file with these records, in place of the old one.
    pub(crate) fn create(data_dir: &Path, records: &[JournalRecord]) -> Result<Journal, JournalError> {
        let path = data_dir.join(NAME);
        let (file, bytes, sync) = write_new(data_dir, records).map_err(|e| written(&path, e))?;
        install(data_dir)?;
        let mut journal = Journal {
            path,
            file,
            batch: Vec::new(),
            framed: Vec::new(),
            starting: None,
            bytes,
            reserved: 0,
            rotate_at: ROTATE_BYTES,
            sync,
        };
        journal.reserve();
        Ok(journal)
    }

    /// Takes blocks for later writes. A file system that cannot, or is full, leaves it at what there is.
    fn reserve(&mut self) {
        if self.bytes + AHEAD_BYTES / 2 > self.reserved
            && fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.bytes, AHEAD_BYTES).is_ok()
        {
            self.reserved = self.bytes + AHEAD_BYTES;
        }
    }

    /// Adds a record to the batch.
    pub(crate) fn append(&mut self, record: &JournalRecord) {
        if let JournalRecord::Starting { first, count, attempt, fence } = record {
            if let Some(JournalRecord::Starting { first: f, count: c, attempt: a, fence: n }) =
                &mut self.starting
                && (f.job, f.index + *c, *a, *n) == (first.job, first.index, *attempt, *fence)
            {
                *c += count;
                return;
            }
            self.end_run();
            self.starting = Some(record.clone());
            return;
        }
        self.end_run();
        encode(record, &mut self.batch);
    }

    fn end_run(&mut self) {
        if let Some(run) = self.starting.take() {
            encode(&run, &mut self.batch);
        }
    }

    /// Writes the batch with one write(2). After an error nothing may be started any more.
    pub(crate) fn write(&mut self) -> Result<(), JournalError> {
        self.end_run();
        if self.batch.is_empty() {
            return Ok(());
        }
        self.framed.clear();
        record::frame(&self.batch, &mut self.framed);
        self.batch.clear();
        self.file.write_all(&self.framed).map_err(|e| written(&self.path, e))?;
        self.bytes += self.framed.len() as u64;
        self.reserve();
        self.sync.dirty();
        const KEPT_BYTES: usize = 1 << 16;
        if self.framed.capacity() > KEPT_BYTES {
            self.framed = Vec::new();
            self.batch = Vec::new();
        }
        Ok(())
    }

    /// It has grown so much that it should be rewritten.
    pub(crate) fn is_long(&self) -> bool {
        self.bytes > self.rotate_at
    }

    /// Rewrites the journal with only these records. Where there is no room for another file the long one is as good.
    pub(crate) fn rotate(&mut self, records: &[JournalRecord]) -> Result<(), JournalError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        self.rotate_at = self.bytes + ROTATE_BYTES;
        let (file, bytes, sync) = match write_new(dir, records) {
            Ok(new) => new,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "the journal cannot be shortened and grows on");
                return Ok(());
            }
        };
        // From here on there is no way back: the old file may have lost its name.
        install(dir)?;
        (self.file, self.sync) = (file, sync);
        (self.bytes, self.reserved) = (bytes, 0);
        self.reserve();
        self.rotate_at = ROTATE_BYTES.max(2 * bytes);
        Ok(())
    }
}

/// Writes a whole file, durably, to be put in the place of the journal.
fn write_new(dir: &Path, records: &[JournalRecord]) -> io::Result<(File, u64, Syncer)> {
    let new = dir.join(NEW_NAME);
    let mut payload = Vec::new();
    let mut bytes = record::MAGIC.to_vec();
    // A frame has a u32 for its length, and whole frames are checked: keep them small.
    for part in records.chunks(4_096) {
        payload.clear();
        part.iter().for_each(|record| encode(record, &mut payload));
        record::frame(&payload, &mut bytes);
    }
    let mut file = taskyard_datadir::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    let sync = Syncer::start(&file)?;
    Ok((file, bytes.len() as u64, sync))
}

fn install(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join(NAME);
    let replace = || {
        std::fs::rename(dir.join(NEW_NAME), &path)?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|e| written(&path, e))
}

fn encode(record: &JournalRecord, out: &mut Vec<u8>) {
    if minicbor::encode(record, out).is_err() {
        unreachable!("writing to memory cannot fail");
    }
}

fn written(path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { path: path.to_owned(), what: "written", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use taskyard_model::Incarnation;

    #[test]
    fn there_are_blocks_for_what_is_written_next() {
        let temp = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(temp.path(), &[]).unwrap();
        let mut examined = 0;
        while journal.bytes < 2 * AHEAD_BYTES {
            (0..500).for_each(|n| journal.append(&JournalRecord::Incarnation(Incarnation(n))));
            journal.write().unwrap();
            let file = journal.file.metadata().unwrap();
            assert_eq!(file.len(), journal.bytes);
            assert!(file.blocks() * 512 >= journal.bytes + AHEAD_BYTES / 2, "{} blocks", file.blocks());
            examined += 1;
        }
        assert!(examined > 10);
    }
}
