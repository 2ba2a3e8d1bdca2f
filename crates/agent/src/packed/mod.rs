//! Small outputs of a job's tasks, one after the other in one file, with an index: a file for each would cost 4 KiB of
//! disk and an inode. The index says also how long the outputs are that have files of their own.
//!
//! The keeper appends when an attempt has ended; the agent reads. Every byte of both files is under a checksum, and the
//! records follow each other without gaps, so that damage is an error and never a shorter or another output. See
//! `docs/adr/0031-packed-output.md`.

#[cfg(test)]
mod tests;

use crate::layout::open_plain;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use taskyard_model::limits;

pub(crate) const DATA: &str = "output.data";
/// Messages stand behind its path.
const INDEX: &str = "the index";
const RECORD_BYTES: usize = 32;
/// Kinds of records.
const PACKED: u8 = 0;
const OWN_FILE: u8 = 1;
/// Records that are read at once.
const READ_RECORDS: usize = 4_096;
/// Records of one job that a reader keeps in memory; of larger ones it looks through the file each time.
const KEPT_RECORDS_MAX: usize = 1 << 20;

/// Whose output it is: index of the task, attempt, stream.
pub(crate) type Key = (u32, u32, u8);

/// Why an output cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(#[from] Errno),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at offset {offset}: {what}")]
pub(crate) struct Damage {
    pub(crate) file: &'static str,
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

impl Damage {
    fn of_index(offset: u64, what: &'static str) -> Damage {
        Damage { file: INDEX, offset, what }
    }

    pub(crate) fn is_of_index(&self) -> bool {
        self.file == INDEX
    }
}

/// Where the bytes of an attempt's stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Among those of other tasks.
    Packed(PackedEntry),
    /// In a file of its own, which had this size at the end of the attempt.
    OwnFile { bytes: u64 },
}

/// A part of the file with packed output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedEntry {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    checksum: u32,
}

/// What the index says of one output.
struct IndexRecord {
    key: Key,
    /// Where packed output went on when it was written.
    offset: u64,
    kept: Kept,
}

impl IndexRecord {
    /// Where the packed output of the next one begins.
    fn end(&self) -> u64 {
        match self.kept {
            Kept::Packed(entry) => self.offset.saturating_add(entry.length.into()),
            Kept::OwnFile { .. } => self.offset,
        }
    }

    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let (index, attempt, stream) = self.key;
        record[0..4].copy_from_slice(&index.to_le_bytes());
        record[4..8].copy_from_slice(&attempt.to_le_bytes());
        record[8] = stream;
        let (kind, low, high) = match self.kept {
            Kept::Packed(entry) => (PACKED, entry.length, entry.checksum),
            Kept::OwnFile { bytes } => (OWN_FILE, bytes as u32, (bytes >> 32) as u32),
        };
        record[9] = kind;
        record[12..16].copy_from_slice(&low.to_le_bytes());
        record[16..24].copy_from_slice(&self.offset.to_le_bytes());
        record[24..28].copy_from_slice(&high.to_le_bytes());
        let own = crc32c::crc32c(&record[..28]);
        record[28..].copy_from_slice(&own.to_le_bytes());
        record
    }

    fn decode(record: &[u8]) -> Option<IndexRecord> {
        let four = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
        if four(28)? != crc32c::crc32c(&record[..28]) {
            return None;
        }
        let offset = u64::from_le_bytes(record[16..24].try_into().ok()?);
        let (low, high) = (four(12)?, four(24)?);
        let kept = match record[9] {
            PACKED => Kept::Packed(PackedEntry { offset, length: low, checksum: high }),
            OWN_FILE => Kept::OwnFile { bytes: u64::from(high) << 32 | u64::from(low) },
            _ => return None,
        };
        Some(IndexRecord { key: (four(0)?, four(4)?, record[8]), offset, kept })
    }
}

/// The keeper's end.
pub(crate) struct Packer {
    data: OwnedFd,
    index: OwnedFd,
    data_bytes: u64,
    index_bytes: u64,
}

impl Packer {
    /// Goes on where an earlier keeper ended. What is there stays as it is, damaged or not: a reader must be able to
    /// tell what is lost, so nothing is cut off and nothing is written over.
    pub(crate) fn open(dir: impl AsFd, index: OwnedFd) -> Result<Packer, Errno> {
        let data = open_plain(&dir, DATA, OFlags::CREATE | OFlags::RDWR)?;
        let index_bytes = size(&index)?.next_multiple_of(RECORD_BYTES as u64);
        // A keeper that was killed between its two writes has left a record for bytes that are not there.
        let data_bytes = size(&data)?.max(last_end(&index, index_bytes)?);
        Ok(Packer { data, index, data_bytes, index_bytes })
    }

    /// Appends the output of an attempt that has ended. After an error the output is not there.
    pub(crate) fn append(&mut self, key: Key, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::FBIG)?;
        let entry = PackedEntry { offset: self.data_bytes, length, checksum: crc32c::crc32c(bytes) };
        // The record first. Then data that no record covers is proof that records are lost, at any moment, and a reader
        // needs no lock to see that. This output is not read before its attempt is reported, so a record whose bytes
        // are still to come misleads no reader.
        self.add(key, Kept::Packed(entry))?;
        write_at(&self.data, bytes, entry.offset).inspect_err(|_| {
            // The record stays, as one of bytes that are not there: readers that have seen it need not forget it. The
            // output keeps a file of its own, which they look for first.
            let _ = rustix::fs::ftruncate(&self.data, entry.offset);
        })
    }

    /// Notes the size of an output that has a file of its own: without it nothing would tell a file that was deleted
    /// from an attempt that wrote nothing.
    pub(crate) fn note_own_file(&mut self, key: Key, bytes: u64) -> Result<(), Errno> {
        self.add(key, Kept::OwnFile { bytes })
    }

    fn add(&mut self, key: Key, kept: Kept) -> Result<(), Errno> {
        let record = IndexRecord { key, offset: self.data_bytes, kept };
        write_at(&self.index, &record.encode(), self.index_bytes)?;
        self.index_bytes += RECORD_BYTES as u64;
        self.data_bytes = record.end();
        Ok(())
    }
}

/// Where the bytes of the last record end that is whole.
fn last_end(index: &OwnedFd, index_bytes: u64) -> Result<u64, Errno> {
    let mut record = [0; RECORD_BYTES];
    let mut at = index_bytes;
    while at > 0 {
        at -= RECORD_BYTES as u64;
        let count = read_at(index, &mut record, at)?;
        if let Some(record) = IndexRecord::decode(&record[..count]) {
            return Ok(record.end());
        }
    }
    Ok(0)
}

/// The agent's end: what it has read of the index of one job.
#[derive(Default)]
pub(crate) struct PackedIndex {
    entries: HashMap<Key, Kept>,
    read_bytes: u64,
    chain: Chain,
}

/// Whether the records read so far are all that were written.
#[derive(Debug, Default, Clone, Copy)]
struct Chain {
    /// Where the bytes of the last one end.
    end: u64,
    /// The first place where one is damaged or missing.
    broken: Option<Damage>,
}

impl Chain {
    /// Takes the next record, which is at this offset of the index.
    fn add(&mut self, record: &[u8], offset: u64) -> Option<IndexRecord> {
        let record = IndexRecord::decode(record);
        let damage = match &record {
            None => Some("the checksum of its record does not match"),
            Some(record) if record.offset != self.end => Some("records before it are missing"),
            Some(_) => None,
        };
        self.note(damage.map(|what| Damage::of_index(offset, what)));
        self.end = record.as_ref().map_or(self.end, IndexRecord::end);
        record
    }

    fn note(&mut self, damage: Option<Damage>) {
        self.broken = self.broken.or(damage);
    }
}

impl PackedIndex {
    /// Finds the output of an attempt that has ended. `None` is certain: it has none. A damaged record might be the one
    /// that is looked for, so then there is no such answer. `dir` is the job's directory, if it is still there.
    pub(crate) fn find(
        &mut self,
        dir: Option<impl AsFd>,
        open_index: impl FnOnce() -> Result<OwnedFd, Errno>,
        key: Key,
    ) -> Result<Option<Kept>, Unreadable> {
        if let Some(kept) = self.entries.get(&key) {
            return Ok(Some(*kept));
        }
        // Before the index is opened, as the keeper writes the record first.
        let data = dir.map_or(Ok(None), |dir| present(open_plain(dir, DATA, OFlags::RDONLY)))?;
        let data_bytes = data.map_or(Ok(0), |data| size(&data))?;
        let Some(index) = present(open_index())? else {
            let lost = Damage::of_index(0, "it is missing, and output.data is there");
            return if data_bytes > 0 { Err(lost.into()) } else { Ok(None) };
        };
        let mut chain = self.chain;
        let found = self.scan(&index, key, &mut chain)?;
        if chain.end < data_bytes {
            let index_bytes = size(&index)?;
            chain.note(Some(Damage::of_index(index_bytes, "it breaks off: output.data has more in it")));
        }
        match (found, chain.broken) {
            (None, Some(damage)) => Err(damage.into()),
            (found, _) => Ok(found),
        }
    }

    /// Reads what was not read before.
    fn scan(&mut self, index: &OwnedFd, key: Key, chain: &mut Chain) -> Result<Option<Kept>, Errno> {
        let mut found = None;
        let mut at = self.read_bytes;
        let mut room = vec![0; READ_RECORDS * RECORD_BYTES];
        loop {
            let count = read_at(index, &mut room, at)?;
            let whole = count - count % RECORD_BYTES;
            for record in room[..whole].chunks_exact(RECORD_BYTES) {
                let entry = chain.add(record, at);
                at += RECORD_BYTES as u64;
                let Some(entry) = entry else { continue };
                // The last one holds: output whose packing failed has a file of its own.
                if entry.key == key {
                    found = Some(entry.kept);
                }
                if self.entries.len() < KEPT_RECORDS_MAX {
                    self.entries.insert(entry.key, entry.kept);
                }
            }
            if self.entries.len() < KEPT_RECORDS_MAX {
                (self.read_bytes, self.chain) = (at, *chain);
            }
            if whole < count {
                chain.note(Some(Damage::of_index(at, "it breaks off within a record")));
            }
            if count < room.len() {
                return Ok(found);
            }
        }
    }
}

/// Reads packed output.
pub(crate) fn read(dir: impl AsFd, entry: &PackedEntry) -> Result<Vec<u8>, Unreadable> {
    let damaged = |what| Damage { file: DATA, offset: entry.offset, what };
    let data = present(open_plain(dir, DATA, OFlags::RDONLY))?.ok_or_else(|| damaged("it is missing"))?;
    if entry.length as usize > limits::OUTPUT_PACKED_MANY_BYTES_MAX {
        return Err(damaged("its record claims more than is ever packed").into());
    }
    let mut bytes = vec![0; entry.length as usize];
    let count = read_at(&data, &mut bytes, entry.offset)?;
    if count < bytes.len() {
        return Err(damaged("it breaks off").into());
    }
    if crc32c::crc32c(&bytes) != entry.checksum {
        return Err(damaged("the checksum of the output does not match").into());
    }
    Ok(bytes)
}

/// A file, if it is there.
pub(crate) fn present(opened: Result<OwnedFd, Errno>) -> Result<Option<OwnedFd>, Errno> {
    match opened {
        Err(Errno::NOENT) => Ok(None),
        other => other.map(Some),
    }
}

/// Size of an open file.
pub(crate) fn size(file: &OwnedFd) -> Result<u64, Errno> {
    u64::try_from(rustix::fs::fstat(file)?.st_size).map_err(|_| Errno::IO)
}

/// Reads until the room is full or the file ends.
pub(crate) fn read_at(file: &OwnedFd, room: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < room.len() {
        match rustix::io::pread(file, &mut room[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

/// Writes all of it.
pub(crate) fn write_at(file: &OwnedFd, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::pwrite(file, &bytes[written..], offset + written as u64) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
