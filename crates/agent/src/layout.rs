//! Names of files in the data directory. One place, because the agent reads what the keeper writes.

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use taskyard_model::JobId;

/// Where jobs have their directories.
pub(crate) const JOBS: &str = "jobs";

/// Where the indexes of their output are: apart from them, so that they say what there was when a job's directory is
/// gone.
pub(crate) const INDEXES: &str = "output-index";

/// The first of them as a path.
pub(crate) fn jobs_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(JOBS)
}

/// Everything of one job on this node.
pub(crate) fn job_dir(data_dir: &Path, job: u64) -> PathBuf {
    jobs_dir(data_dir).join(job.to_string())
}

/// Jobs with files here that are older than `before`, or in one of the gaps.
pub(crate) fn jobs_among(data_dir: &Path, before: JobId, gaps: &[(JobId, JobId)]) -> Vec<JobId> {
    let dirs = [JOBS, INDEXES].map(|name| std::fs::read_dir(data_dir.join(name)));
    let entries = dirs.into_iter().flatten().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_among =
        |job: &JobId| *job < before || gaps.iter().any(|(first, last)| (first..=last).contains(&job));
    let jobs: BTreeSet<JobId> = numbers.map(JobId).filter(is_among).collect();
    jobs.into_iter().collect()
}

/// The index of a job's output.
pub(crate) fn index_path(data_dir: &Path, job: u64) -> PathBuf {
    data_dir.join(INDEXES).join(job.to_string())
}

/// Opens it without following links; with the flag to create it, its directory is made too.
pub(crate) fn open_index(data_dir: &Path, job: u64, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = data_dir.join(INDEXES);
    let open_dir = || rustix::fs::open(&path, DIRECTORY, Mode::empty());
    let dir = match open_dir() {
        Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {
            // Another job's output may have come first.
            let _ = rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700));
            open_dir()?
        }
        other => other?,
    };
    open_plain(&dir, &job.to_string(), flags)
}

/// Endings of files of standard output and standard error.
pub(crate) const STREAMS: [&str; 2] = ["out", "err"];

/// The captured output of an attempt, in its job's directory. If it is missing after the attempt's end, the output is
/// packed with that of other tasks (see [`crate::packed`]), or the attempt wrote nothing.
pub(crate) fn output_name(index: u32, attempt: u32, stream: usize) -> String {
    format!("{index}.{attempt}.{}", STREAMS[stream])
}

/// Which bytes of that file were dropped because it passed its limit.
pub(crate) fn cut_name(output_name: &str) -> String {
    format!("{output_name}.cut")
}

/// Says that output of this job was dropped because the node kept too much.
pub(crate) const DROPPED: &str = "output.dropped";

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Opens a job's directory without following links.
pub(crate) fn open_job_dir(data_dir: &Path, job: u64) -> Result<OwnedFd, Errno> {
    let jobs = rustix::fs::open(jobs_dir(data_dir), DIRECTORY, Mode::empty())?;
    openat(&jobs, job.to_string(), DIRECTORY, Mode::empty())
}

/// The user whose files are ours.
static OWNER: LazyLock<u32> = LazyLock::new(|| rustix::process::geteuid().as_raw());

/// Opens a file of ours in a job's directory, where tasks may have put anything. Links, devices and files with a second
/// name are refused: the agent may be root, and tasks could make it read or overwrite any file.
pub(crate) fn open_plain(dir: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    // A FIFO must not stop us.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = openat(dir, name, flags, Mode::from_raw_mode(0o600))?;
    let stat = rustix::fs::fstat(&fd)?;
    let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_nlink == 1
        && stat.st_uid == *OWNER;
    if is_plain { Ok(fd) } else { Err(Errno::LOOP) }
}

/// The snapshot of a job's script.
pub(crate) const SCRIPT: &str = "script";
/// A job's standard input, when it was given by value.
pub(crate) const STDIN: &str = "stdin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_jobs_are_those_before_the_first_and_in_gaps() {
        let dir = tempfile::tempdir().expect("made");
        for name in ["1", "3", "4", "6", "9", "notes"] {
            std::fs::create_dir_all(jobs_dir(dir.path()).join(name)).expect("made");
        }
        for job in [4, 10] {
            open_index(dir.path(), job, OFlags::CREATE | OFlags::RDWR).expect("made");
        }
        let jobs = jobs_among(dir.path(), JobId(3), &[(JobId(4), JobId(5)), (JobId(9), JobId(20))]);
        assert_eq!(jobs, [1, 4, 9, 10].map(JobId));
    }
}
