//! Small files beside captured output that say what is no longer in it: numbers under a checksum, replaced as a whole.
//! A reader that believed a damaged one would show a hole as zeros, or blame the wrong cause.

use crate::layout::{self, open_plain};
use crate::packed::{read_at, write_at};
use rustix::fs::{OFlags, renameat};
use rustix::io::Errno;
use std::os::fd::AsFd;

const WORD_BYTES: usize = 8;
const SUM_BYTES: usize = 4;
/// Room for any note, and more, so that one that has grown is noticed.
const ROOM: usize = 64;

/// Why a note cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoteError {
    #[error("cannot be read: {0}")]
    Io(#[from] Errno),
    #[error("is damaged at offset 0: its checksum does not match")]
    Damaged,
}

/// Replaces a note. The old one stays until the new one is whole, as a reader may come at any moment.
pub(crate) fn write<const N: usize>(dir: impl AsFd, name: &str, words: [u64; N]) -> Result<(), Errno> {
    let mut bytes = words.map(u64::to_le_bytes).as_flattened().to_vec();
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    let new = format!("{name}.new");
    let file = open_plain(&dir, &new, OFlags::CREATE | OFlags::RDWR)?;
    write_at(&file, &bytes, 0)?;
    renameat(&dir, &new, &dir, name)
}

/// Reads a note, if it is there.
pub(crate) fn read<const N: usize>(dir: impl AsFd, name: &str) -> Result<Option<[u64; N]>, NoteError> {
    let file = match open_plain(dir, name, OFlags::RDONLY) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let mut room = [0; ROOM];
    let count = read_at(&file, &mut room, 0)?;
    let length = N * WORD_BYTES;
    let (bytes, sum) = room.split_at(length);
    if count != length + SUM_BYTES || sum[..SUM_BYTES] != crc32c::crc32c(bytes).to_le_bytes() {
        return Err(NoteError::Damaged);
    }
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<WORD_BYTES>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(Some(words))
}

/// Which output of a job the node has dropped to make room.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Of packed output, the bytes up to here.
    pub(crate) packed_until: u64,
    /// Output past the node's budget.
    pub(crate) for_budget: bool,
    /// Output that went because other files left too little of the disk free.
    pub(crate) for_disk: bool,
}

impl Dropped {
    /// The default if nothing was dropped.
    pub(crate) fn read(dir: impl AsFd) -> Result<Dropped, NoteError> {
        let [packed_until, for_budget, for_disk] = read(dir, layout::DROPPED)?.unwrap_or_default();
        Ok(Dropped { packed_until, for_budget: for_budget != 0, for_disk: for_disk != 0 })
    }

    pub(crate) fn write(self, dir: impl AsFd) -> Result<(), Errno> {
        write(dir, layout::DROPPED, [self.packed_until, self.for_budget.into(), self.for_disk.into()])
    }

    pub(crate) fn is_any(self) -> bool {
        self.for_budget || self.for_disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_note_is_what_was_written_or_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(fs::File::open(temp.path()).unwrap());
        assert_eq!(read::<3>(&dir, "note"), Ok(None));
        write(&dir, "note", [9, 9, 9]).unwrap();
        write(&dir, "note", [1, u64::MAX, 3]).unwrap();
        assert_eq!(read(&dir, "note"), Ok(Some([1, u64::MAX, 3])));
        let path = temp.path().join("note");
        let bytes = fs::read(&path).unwrap();
        let mut examined = 0;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            for harmed in [&changed[..], &bytes[..at]] {
                fs::write(&path, harmed).unwrap();
                assert_eq!(read::<3>(&dir, "note"), Err(NoteError::Damaged), "byte {at}");
                examined += 1;
            }
        }
        assert_eq!(examined, 2 * 28);
    }
}
