//! Tries whether this node can start a task: does what a start does, with a program of ours in place of the task's.

use super::launch::Launcher;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A little more than what a task needs at once.
const DESCRIPTORS: usize = 16;
/// Written and made durable.
static BYTES: [u8; 64 << 10] = [b'.'; 64 << 10];

/// Makes a directory and a file, writes, opens as much as a start does, and creates a process.
pub(crate) fn probe(jobs_dir: &Path, launcher: &mut Launcher) -> Result<(), Errno> {
    let dir = jobs_dir.join("probe");
    // What a probe before this one could not remove.
    remove(&dir);
    let result = tried(&dir, launcher);
    remove(&dir);
    result
}

fn tried(dir: &Path, launcher: &mut Launcher) -> Result<(), Errno> {
    rustix::fs::mkdir(dir, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir.join("file"), flags, Mode::from_raw_mode(0o600))?;
    let mut left = &BYTES[..];
    while !left.is_empty() {
        left = &left[rustix::io::write(&file, left)?..];
    }
    rustix::fs::fdatasync(&file)?;
    let more: Result<Vec<OwnedFd>, Errno> =
        (0..DESCRIPTORS).map(|_| rustix::io::fcntl_dupfd_cloexec(&file, 0)).collect();
    more?;
    launcher.start_nothing(dir)
}

fn remove(dir: &Path) {
    let _ = rustix::fs::unlink(dir.join("file"));
    let _ = rustix::fs::rmdir(dir);
}
