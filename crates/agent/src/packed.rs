//! Small outputs of a job's tasks, one after the other in one file, with an index: a file for each would cost 4 KiB of disk and an inode.
//!
//! The keeper appends when an attempt has ended, the bytes first and then their record of fixed size; the agent reads. A record that is torn or
//! whose bytes do not match its checksum counts as not there. See `docs/adr/0031-packed-output.md`.

use crate::layout::open_plain;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use taskyard_model::limits;

pub(crate) const DATA: &str = "output.data";
const INDEX: &str = "output.index";
const RECORD_BYTES: usize = 32;
/// Records that are read at once.
const READ_RECORDS: usize = 4_096;
/// Records of one job that a reader keeps in memory; of larger ones it looks through the file each time.
const KEPT_RECORDS_MAX: usize = 1 << 20;

/// Whose output it is: index of the task, attempt, stream.
pub(crate) type Key = (u32, u32, u8);

/// Where the bytes of an attempt's stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    offset: u64,
    length: u32,
    checksum: u32,
}

impl Entry {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let (index, attempt, stream) = self.key;
        record[0..4].copy_from_slice(&index.to_le_bytes());
        record[4..8].copy_from_slice(&attempt.to_le_bytes());
        record[8] = stream;
        record[12..16].copy_from_slice(&self.length.to_le_bytes());
        record[16..24].copy_from_slice(&self.offset.to_le_bytes());
        record[24..28].copy_from_slice(&self.checksum.to_le_bytes());
        let own = crc32c::crc32c(&record[..28]);
        record[28..].copy_from_slice(&own.to_le_bytes());
        record
    }

    fn decode(record: &[u8]) -> Option<Entry> {
        let four = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
        if four(28)? != crc32c::crc32c(&record[..28]) {
            return None;
        }
        let offset = u64::from_le_bytes(record[16..24].try_into().ok()?);
        let key = (four(0)?, four(4)?, record[8]);
        Some(Entry { key, offset, length: four(12)?, checksum: four(24)? })
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
    /// Goes on where an earlier keeper ended.
    pub(crate) fn open(dir: impl AsFd) -> Result<Packer, Errno> {
        let flags = OFlags::CREATE | OFlags::RDWR;
        let (data, index) = (open_plain(&dir, DATA, flags)?, open_plain(&dir, INDEX, flags)?);
        let (data_bytes, index_bytes) = (size(&data)?, size(&index)?);
        // What a keeper that was killed has left torn is written over.
        let index_bytes = index_bytes - index_bytes % RECORD_BYTES as u64;
        Ok(Packer { data, index, data_bytes, index_bytes })
    }

    /// Appends the output of an attempt that has ended.
    pub(crate) fn append(&mut self, key: Key, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::FBIG)?;
        let entry = Entry { key, offset: self.data_bytes, length, checksum: crc32c::crc32c(bytes) };
        write_at(&self.data, bytes, self.data_bytes)?;
        write_at(&self.index, &entry.encode(), self.index_bytes)?;
        self.data_bytes += bytes.len() as u64;
        self.index_bytes += RECORD_BYTES as u64;
        Ok(())
    }
}

/// The agent's end: what it has read of the index of one job.
#[derive(Default)]
pub(crate) struct PackedIndex {
    entries: HashMap<Key, Entry>,
    read_bytes: u64,
}

impl PackedIndex {
    /// Finds the output of an attempt.
    pub(crate) fn find(&mut self, dir: impl AsFd, key: Key) -> Result<Option<Entry>, Errno> {
        if let Some(entry) = self.entries.get(&key) {
            return Ok(Some(*entry));
        }
        let index = match open_plain(dir, INDEX, OFlags::RDONLY) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let mut found = None;
        let mut at = self.read_bytes;
        let mut room = vec![0; READ_RECORDS * RECORD_BYTES];
        loop {
            let count = read_at(&index, &mut room, at)? / RECORD_BYTES;
            for entry in room[..count * RECORD_BYTES].chunks_exact(RECORD_BYTES).filter_map(Entry::decode) {
                if entry.key == key {
                    found = Some(entry);
                }
                if self.entries.len() < KEPT_RECORDS_MAX {
                    self.entries.insert(entry.key, entry);
                }
            }
            at += (count * RECORD_BYTES) as u64;
            if self.entries.len() < KEPT_RECORDS_MAX {
                self.read_bytes = at;
            }
            if count < READ_RECORDS {
                return Ok(found);
            }
        }
    }
}

/// Reads packed output. Of what a crash of the machine has damaged nothing is shown.
pub(crate) fn read(dir: impl AsFd, entry: &Entry) -> Result<Vec<u8>, Errno> {
    let data = open_plain(dir, DATA, OFlags::RDONLY)?;
    if entry.length as usize > limits::OUTPUT_PACKED_MANY_BYTES_MAX {
        return Err(Errno::IO);
    }
    let mut bytes = vec![0; entry.length as usize];
    let count = read_at(&data, &mut bytes, entry.offset)?;
    if count < bytes.len() || crc32c::crc32c(&bytes) != entry.checksum {
        return Err(Errno::IO);
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn dir_fd(path: &Path) -> OwnedFd {
        OwnedFd::from(fs::File::open(path).unwrap())
    }

    fn text(dir: &OwnedFd, index: &mut PackedIndex, key: Key) -> Option<String> {
        let entry = index.find(dir, key).unwrap()?;
        Some(String::from_utf8(read(dir, &entry).unwrap()).unwrap())
    }

    #[test]
    fn what_is_appended_is_found_also_by_a_reader_that_looked_before() {
        let temp = tempfile::tempdir().unwrap();
        let dir = dir_fd(temp.path());
        let mut index = PackedIndex::default();
        assert_eq!(index.find(&dir, (0, 1, 0)).unwrap(), None, "nothing was ever packed");
        let mut packer = Packer::open(&dir).unwrap();
        packer.append((0, 1, 0), b"one").unwrap();
        assert_eq!(text(&dir, &mut index, (0, 1, 0)).as_deref(), Some("one"));
        for task in 1..10_000 {
            packer.append((task, 1, 1), task.to_string().as_bytes()).unwrap();
        }
        assert_eq!(text(&dir, &mut index, (9_999, 1, 1)).as_deref(), Some("9999"));
        assert_eq!(text(&dir, &mut index, (7, 1, 1)).as_deref(), Some("7"));
        assert_eq!(index.find(&dir, (7, 2, 1)).unwrap(), None);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_keeper_goes_on_after_a_torn_end() {
        let temp = tempfile::tempdir().unwrap();
        let dir = dir_fd(temp.path());
        Packer::open(&dir).unwrap().append((0, 1, 0), b"whole").unwrap();
        for (name, cut) in [(INDEX, 7), (DATA, 0)] {
            let path = temp.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend_from_slice(&[7; 20][..20 - cut]);
            fs::write(&path, bytes).unwrap();
        }
        let mut index = PackedIndex::default();
        assert_eq!(index.find(&dir, (1, 1, 0)).unwrap(), None);
        Packer::open(&dir).unwrap().append((1, 1, 0), b"next").unwrap();
        assert_eq!(text(&dir, &mut index, (0, 1, 0)).as_deref(), Some("whole"));
        assert_eq!(text(&dir, &mut index, (1, 1, 0)).as_deref(), Some("next"));
    }

    #[test]
    fn damage_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = dir_fd(temp.path());
        Packer::open(&dir).unwrap().append((0, 1, 0), b"whole").unwrap();
        let entry = PackedIndex::default().find(&dir, (0, 1, 0)).unwrap().unwrap();
        fs::write(temp.path().join(DATA), "whale").unwrap();
        assert_eq!(read(&dir, &entry), Err(Errno::IO));
        let record = fs::read(temp.path().join(INDEX)).unwrap();
        for byte in 0..RECORD_BYTES {
            let mut flipped = record.clone();
            flipped[byte] ^= 1;
            assert_eq!(Entry::decode(&flipped), None, "byte {byte}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = dir_fd(temp.path());
        let secret = temp.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::hard_link(&secret, temp.path().join(DATA)).unwrap();
        assert!(Packer::open(&dir).is_err(), "it has another name");
        fs::remove_file(temp.path().join(DATA)).unwrap();
        std::os::unix::fs::symlink(&secret, temp.path().join(DATA)).unwrap();
        assert!(Packer::open(&dir).is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }
}
