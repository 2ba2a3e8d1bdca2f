//! How much captured output the node keeps: a limit for each stream of an attempt, one for the node, and a part of the
//! disk that stays free. Beyond the last two, the output of the oldest jobs is dropped first.

use super::disk::DataDisk;
use crate::layout;
use crate::notes::Dropped;
use crate::packed;
use rustix::fs::{AtFlags, Dir, FallocateFlags, OFlags, fallocate, statat, unlinkat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of the file system, at most one part in this many is captured output.
const PART_OF_DISK: u64 = 4;

/// See the module.
pub(crate) struct Space {
    pub(crate) data_dir: PathBuf,
    pub(crate) disk: DataDisk,
    stream_max: u64,
    max: u64,
    used: Mutex<BTreeMap<u64, u64>>,
}

impl Space {
    /// Counts what is there.
    pub(crate) fn new(data_dir: &Path, stream_max: u64, node_max: u64) -> Space {
        let disk = DataDisk::new(data_dir);
        let max = node_max.min(disk.total() / PART_OF_DISK);
        let space = Space { data_dir: data_dir.to_owned(), disk, stream_max, max, used: Mutex::default() };
        for entry in std::fs::read_dir(layout::jobs_dir(data_dir)).into_iter().flatten().flatten() {
            let job = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some((job, dir)) =
                job.and_then(|job| Some((job, layout::open_job_dir(data_dir, job).ok()?)))
            {
                space.add(job, outputs(&dir).iter().map(|output| output.bytes).sum());
            }
        }
        space
    }

    /// Of one stream of one attempt, in bytes.
    pub(crate) fn stream_max(&self) -> u64 {
        self.stream_max
    }

    /// The limit of a stream while this many streams run with this much output: together they have half of the node's.
    pub(crate) fn running_max(&self, bytes: u64, streams: u64) -> u64 {
        let half = self.max / 2;
        if bytes <= half { self.stream_max } else { self.stream_max.min(half / streams.max(1)) }
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Output of a finished attempt is kept.
    pub(crate) fn add(&self, job: u64, bytes: u64) {
        *self.used().entry(job).or_default() += bytes;
    }

    /// The job's files are gone.
    pub(crate) fn forget(&self, job: u64) {
        self.used().remove(&job);
    }

    /// Drops the oldest output while there is too much; `running` bytes are of attempts that run, whose files stay.
    /// Never of those of which `is_running` says that they run.
    pub(crate) fn make_room(&self, running: u64, is_running: impl Fn(u64, &str) -> bool) {
        let Some((mut excess, cause)) = self.excess(running) else { return };
        let jobs: Vec<(u64, u64)> = self.used().iter().map(|(job, bytes)| (*job, *bytes)).collect();
        for (job, bytes) in jobs {
            let Ok(dropped) = self.drop_output(job, excess, cause, |name| is_running(job, name)) else {
                // The disk does not even hold the note for readers, so what is there stays.
                return;
            };
            let mut used = self.used();
            match used.get_mut(&job).filter(|_| dropped < bytes && dropped > 0) {
                Some(left) => *left -= dropped,
                None => drop(used.remove(&job)),
            }
            excess = excess.saturating_sub(dropped);
            if excess == 0 {
                return;
            }
        }
    }

    /// How much is to be dropped, and why; `None` if nothing.
    fn excess(&self, running: u64) -> Option<(u64, DropCause)> {
        let ended = self.used().values().sum::<u64>();
        to_drop(ended, (ended + running).saturating_sub(self.max), self.disk.lacking())
    }

    /// Drops at least this many bytes of a job's output, if there are. Says so in its directory first.
    fn drop_output(
        &self,
        job: u64,
        bytes: u64,
        cause: DropCause,
        is_running: impl Fn(&str) -> bool,
    ) -> Result<u64, Errno> {
        let Ok(dir) = layout::open_job_dir(&self.data_dir, job) else { return Ok(0) };
        let mut outputs = outputs(&dir);
        outputs.retain(|output| !is_running(&output.name));
        outputs.sort_by_key(|output| output.written);
        if outputs.is_empty() {
            return Ok(0);
        }
        let mut note = Dropped::read(&dir).unwrap_or_default();
        note.for_budget |= cause == DropCause::Budget;
        note.for_disk |= cause == DropCause::Disk;
        note.write(&dir)?;
        let mut dropped = 0;
        for output in outputs {
            if dropped >= bytes {
                break;
            }
            let gone = if output.name == packed::DATA {
                drop_packed(&dir, note).is_ok()
            } else {
                let _ = unlinkat(&dir, layout::cut_name(&output.name), AtFlags::empty());
                unlinkat(&dir, &output.name, AtFlags::empty()).is_ok()
            };
            dropped += if gone { output.bytes } else { 0 };
        }
        Ok(dropped)
    }
}

/// How much output of ended attempts is to go, out of `ended` bytes: for the budget that all output has passed, or else
/// for what the disk lacks.
fn to_drop(ended: u64, over_budget: u64, lacking: u64) -> Option<(u64, DropCause)> {
    if over_budget > 0 {
        return Some((over_budget, DropCause::Budget));
    }
    // Where all of it would not be enough, other files are the cause and will take what is given back.
    (1..=ended).contains(&lacking).then_some((lacking, DropCause::Disk))
}

/// Gives back the disk of packed output; what is appended later stays where its records say.
fn drop_packed(dir: &OwnedFd, note: Dropped) -> Result<(), Errno> {
    let file = layout::open_plain(dir, packed::DATA, OFlags::RDWR)?;
    let size = packed::size(&file)?;
    // Only up to here is a wrong checksum no damage.
    Dropped { packed_until: size, ..note }.write(dir)?;
    fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, size)
}

/// Why output is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DropCause {
    /// The node keeps more than it should.
    Budget,
    /// Other files leave too little of the disk free.
    Disk,
}

struct Output {
    name: String,
    bytes: u64,
    /// When it was last written to.
    written: (i64, i64),
}

/// Captured output in a job's directory, as much of the disk as it takes.
fn outputs(dir: &OwnedFd) -> Vec<Output> {
    let is_output = |name: &str| {
        name == packed::DATA
            || (name.starts_with(|c: char| c.is_ascii_digit())
                && layout::STREAMS
                    .iter()
                    .any(|stream| name.rsplit_once('.').is_some_and(|(_, end)| end == *stream)))
    };
    let names = Dir::read_from(dir).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()));
    let output = |name: String| {
        let stat = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let bytes = u64::try_from(stat.st_blocks).ok()? * 512;
        Some(Output { name, bytes, written: (stat.st_mtime as i64, stat.st_mtime_nsec as i64) })
    };
    names.filter(|name| is_output(name)).filter_map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_oldest_goes_first_and_what_runs_stays() {
        let temp = tempfile::tempdir().unwrap();
        let write = |job: u64, name: &str, bytes: usize| {
            let dir = layout::job_dir(temp.path(), job);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(name), vec![b'x'; bytes]).unwrap();
        };
        write(3, "0.1.out", 40_960);
        write(3, "script", 40_960);
        write(5, "0.1.out", 40_960);
        write(5, "1.1.err", 40_960);
        write(7, "output.data", 40_960);
        let space = Space::new(temp.path(), 1 << 20, 100_000);
        assert_eq!(space.used().values().sum::<u64>(), 4 * 40_960);
        space.make_room(0, |job, name| (job, name) == (5, "0.1.out"));
        let left = |job: u64| {
            let mut names: Vec<String> = fs::read_dir(layout::job_dir(temp.path(), job))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(left(3), [layout::DROPPED, "script"]);
        assert_eq!(left(5), ["0.1.out", layout::DROPPED]);
        let note = Dropped::read(layout::open_job_dir(temp.path(), 5).unwrap()).unwrap();
        assert_eq!(note, Dropped { for_budget: true, ..Dropped::default() });
        assert_eq!(left(7), ["output.data"]);
        assert!(space.used().values().sum::<u64>() <= 100_000);
        space.make_room(0, |_, _| false);
        assert_eq!(left(5), ["0.1.out", layout::DROPPED], "there is room now");
    }

    #[test]
    fn the_cause_is_the_budget_or_the_disk_and_none_is_dropped_for_a_disk_that_stays_full() {
        assert_eq!(to_drop(100, 0, 0), None);
        assert_eq!(to_drop(100, 7, 50), Some((7, DropCause::Budget)));
        assert_eq!(to_drop(100, 0, 50), Some((50, DropCause::Disk)));
        assert_eq!(to_drop(100, 0, 100), Some((100, DropCause::Disk)));
        assert_eq!(to_drop(100, 0, 101), None, "it would not be enough");
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(layout::job_dir(temp.path(), 3)).unwrap();
        fs::write(layout::job_dir(temp.path(), 3).join("0.1.out"), vec![b'x'; 8_192]).unwrap();
        let space = Space::new(temp.path(), 1 << 20, 1 << 20);
        assert!(space.drop_output(3, 1, DropCause::Disk, |_| false).unwrap() >= 8_192);
        let note = Dropped::read(layout::open_job_dir(temp.path(), 3).unwrap()).unwrap();
        assert_eq!(note, Dropped { for_disk: true, ..Dropped::default() });
    }

    #[test]
    fn many_that_run_share_half_of_the_node() {
        let temp = tempfile::tempdir().unwrap();
        let space = Space::new(temp.path(), 1 << 20, 64 << 20);
        assert_eq!(space.running_max(32 << 20, 1_000), 1 << 20);
        assert_eq!(space.running_max(33 << 20, 64), 512 << 10);
    }
}
