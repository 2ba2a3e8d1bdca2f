//! The disk of the data directory, which other files fill as well: when it has too little room to start tasks, and when
//! it was so full that tasks may have lost output. A task writes to its files itself, and the keeper does not see a
//! write that failed. So all that can be known is whether the disk was full while the task ran.

use super::health::NodeFault;
use crate::clock::boot_ms;
use rustix::fs::statvfs;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use taskyard_model::limits;

/// This part of the disk is left free of captured output, but no more than the limit.
const PART_LEFT_FREE: u64 = 20;
/// With less than this part of what is to be left free, no task is started: it would soon lose its output.
const PART_TO_START: u64 = 8;
/// With this part of it, tasks are started again: twice as much, so that a node does not come and go.
const PART_TO_START_AGAIN: u64 = 4;
/// With less than this, writes have failed, or would have.
const USED_UP_BYTES: u64 = 64 << 10;
/// A look is good for this long where only the next start depends on it.
const LOOK_GOOD_FOR_MS: u64 = 10;

/// See the module.
pub(crate) struct DataDisk {
    dir: PathBuf,
    /// When it was last seen full; 0 for never. CLOCK_BOOTTIME in milliseconds, as all times here.
    used_up_ms: AtomicU64,
    looked_ms: AtomicU64,
    /// Why a write of the keeper failed, until that is told; 0 for none.
    failed: AtomicI32,
}

/// What there is, in bytes.
#[derive(Debug, Clone, Copy)]
struct FreeSpace {
    total: u64,
    free: u64,
}

impl FreeSpace {
    fn left_free(self) -> u64 {
        (self.total / PART_LEFT_FREE).min(limits::DISK_LEFT_FREE_BYTES_MAX)
    }
}

impl DataDisk {
    pub(crate) fn new(dir: &Path) -> DataDisk {
        DataDisk {
            dir: dir.to_owned(),
            used_up_ms: AtomicU64::new(0),
            looked_ms: AtomicU64::new(0),
            failed: AtomicI32::new(0),
        }
    }

    fn look(&self) -> Option<FreeSpace> {
        let disk = statvfs(&self.dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let room = FreeSpace { total: bytes(disk.f_blocks), free: bytes(disk.f_bavail) };
        let now = boot_ms();
        self.looked_ms.store(now, Ordering::Relaxed);
        if room.free < USED_UP_BYTES {
            self.used_up_ms.store(now, Ordering::Relaxed);
        }
        Some(room)
    }

    /// Size of the disk.
    pub(crate) fn total(&self) -> u64 {
        self.look().map_or(u64::MAX, |room| room.total)
    }

    /// How many bytes are missing to what is to be left free.
    pub(crate) fn lacking(&self) -> u64 {
        self.look().map_or(0, |room| room.left_free().saturating_sub(room.free))
    }

    /// Whether it was seen full at some time since then.
    pub(crate) fn was_used_up_since(&self, since_ms: u64) -> bool {
        self.used_up_ms.load(Ordering::Relaxed) >= since_ms.max(1)
    }

    /// A write of the keeper failed, so one of a task may have failed too.
    pub(crate) fn note_failure(&self, errno: Errno) {
        if matches!(errno, Errno::NOSPC | Errno::DQUOT) {
            self.used_up_ms.store(boot_ms(), Ordering::Relaxed);
            self.failed.store(errno.raw_os_error(), Ordering::Relaxed);
        }
    }

    /// Why no task should be started now.
    pub(crate) fn fault(&self) -> Option<NodeFault> {
        let failed = self.failed.swap(0, Ordering::Relaxed);
        if failed != 0 {
            return Some(self.describe(Errno::from_raw_os_error(failed)));
        }
        self.is_short(PART_TO_START)
    }

    /// The same before a start, for which a look a moment ago will do.
    pub(crate) fn fault_before_start(&self) -> Option<NodeFault> {
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        if boot_ms() < looked_ms + LOOK_GOOD_FOR_MS { None } else { self.fault() }
    }

    /// Why tasks should not be started again.
    pub(crate) fn still_short(&self) -> Option<NodeFault> {
        self.is_short(PART_TO_START_AGAIN)
    }

    fn is_short(&self, part: u64) -> Option<NodeFault> {
        let room = self.look()?;
        (room.free < room.left_free() / part).then(|| self.describe(Errno::NOSPC))
    }

    /// A fault of the keeper's own files in words, with the figures of the disk where they are the reason.
    pub(crate) fn describe(&self, errno: Errno) -> NodeFault {
        let fault = NodeFault::of(errno);
        let (Errno::NOSPC, Ok(disk)) = (errno, statvfs(&self.dir)) else { return fault };
        let dir = self.dir.display();
        let text = if disk.f_files > 0 && disk.f_favail == 0 {
            format!("disk full: {dir} has no inodes free (ENOSPC)")
        } else {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            format!("disk full: {dir} has {free} bytes free (ENOSPC)")
        };
        NodeFault { text, ..fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_disk_is_used_further_than_a_small_one() {
        let of = |total: u64, part| FreeSpace { total, free: 0 }.left_free() / part;
        assert_eq!((of(64 << 20, PART_TO_START), of(64 << 20, PART_TO_START_AGAIN)), (419_430, 838_860));
        assert_eq!((of(1 << 40, PART_TO_START), of(1 << 40, PART_TO_START_AGAIN)), (128 << 20, 256 << 20));
    }

    #[test]
    fn a_write_that_failed_is_told_once_and_taints_what_ran() {
        let temp = tempfile::tempdir().unwrap();
        let disk = DataDisk::new(temp.path());
        let began = boot_ms();
        assert!(!disk.was_used_up_since(began), "the disk of the tests is not full");
        disk.note_failure(Errno::PIPE);
        assert!(disk.fault().is_none() && !disk.was_used_up_since(began));
        disk.note_failure(Errno::DQUOT);
        assert!(disk.fault().is_some_and(|fault| fault.text.contains("EDQUOT")));
        assert!(disk.fault().is_none() && disk.was_used_up_since(began));
        assert!(!disk.was_used_up_since(boot_ms() + 1));
        let text = disk.describe(Errno::NOSPC).text;
        assert!(text.starts_with(&format!("disk full: {} has ", temp.path().display())), "{text}");
    }
}
