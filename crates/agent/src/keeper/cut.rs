//! Dropping the middle of a file that grew past its limit, while it is written to.
//!
//! The middle becomes a hole. The file's size still says how much was written, what is kept stays at its position, and
//! the disk gets its blocks back. A small file beside it notes what is dropped. It is written first, so that a reader
//! never takes the hole for zeros. On a file system without holes, the first half is kept, and what follows it is
//! truncated again and again.

use crate::layout;
use crate::notes::{self, NoteError};
use crate::packed::size;
use rustix::fs::{FallocateFlags, fallocate, ftruncate};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// What file systems give back at once; a multiple of it is as good.
const BLOCK_BYTES: u64 = 4 << 10;

/// What was dropped of a file: the bytes from `from` to `to`, and `lost` ones that followed `to` and are not in the
/// file at all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) from: u64,
    pub(crate) to: u64,
    lost: u64,
}

impl Cut {
    #[cfg(test)]
    pub(crate) fn of(from: u64, to: u64) -> Cut {
        Cut { from, to, lost: 0 }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.dropped() == 0
    }

    /// Bytes dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.hole() + self.lost
    }

    /// Bytes that the file's size does not count although they were written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes that the file's size counts although they are not there.
    pub(crate) fn hole(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// What was noted of a file; nothing if it was never cut.
    pub(crate) fn read(dir: impl AsFd, output_name: &str) -> Result<Cut, NoteError> {
        let [from, to, lost] = notes::read(dir, &layout::cut_name(output_name))?.unwrap_or_default();
        if from <= to { Ok(Cut { from, to, lost }) } else { Err(NoteError::Damaged) }
    }

    fn note(&self, dir: impl AsFd, output_name: &str) -> Result<(), Errno> {
        notes::write(dir, &layout::cut_name(output_name), [self.from, self.to, self.lost])
    }
}

/// Leaves about `max` bytes of a file: its first and its last half. An error leaves it for the next time.
pub(crate) fn cut(dir: &OwnedFd, output_name: &str, file: &OwnedFd, cut: &mut Cut, max: u64) {
    let Ok(size) = size(file) else { return };
    let from = if cut.is_none() { max / 2 } else { cut.from };
    // At the bound of a block, so that the next hole joins this one and leaves none of it.
    let to = size.saturating_sub(max - max / 2) / BLOCK_BYTES * BLOCK_BYTES;
    let begin = from.max(cut.to);
    if to <= begin {
        return;
    }
    let next = Cut { from, to, lost: cut.lost };
    if next.note(dir, output_name).is_err() {
        return;
    }
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if fallocate(file, hole, begin, to - begin).is_ok() {
        *cut = next;
    } else if ftruncate(file, from).and_then(|()| ftruncate(file, from + 1)).is_ok() {
        // One byte stays for what is gone, so that the place has a position.
        *cut = Cut { from, to: from + 1, lost: cut.dropped() + (size - begin) - 1 };
        let _ = cut.note(dir, output_name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{read_at, write_at};
    use rustix::fs::OFlags;

    #[test]
    fn the_first_and_the_last_half_stay_where_they_are() {
        let temp = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(temp.path()).unwrap());
        let file = layout::open_plain(&dir, "0.1.out", OFlags::CREATE | OFlags::RDWR).unwrap();
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        write_at(&file, &bytes, 0).unwrap();
        assert_eq!(Cut::read(&dir, "0.1.out").unwrap(), Cut::default());
        let mut known = Cut::default();
        cut(&dir, "0.1.out", &file, &mut known, 100_000);
        write_at(&file, &bytes, 1_000_000).unwrap();
        cut(&dir, "0.1.out", &file, &mut known, 100_000);
        assert_eq!(known, Cut { from: 50_000, to: 1_949_696, lost: 0 });
        assert_eq!(Cut::read(&dir, "0.1.out").unwrap(), known);
        let mut room = vec![0; 50_000];
        read_at(&file, &mut room, 0).unwrap();
        assert_eq!(room, bytes[..50_000]);
        read_at(&file, &mut room, 1_950_000).unwrap();
        assert_eq!(room, bytes[950_000..]);
        let blocks = rustix::fs::fstat(&file).unwrap().st_blocks as u64 * 512;
        assert!(blocks < 150_000, "{blocks} bytes of disk");
    }
}
