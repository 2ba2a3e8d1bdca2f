//! Names of files in the data directory. One place, because the agent reads what the keeper writes.

use std::path::{Path, PathBuf};
use taskyard_model::JobId;

/// Where jobs have their directories.
pub(crate) fn jobs_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("jobs")
}

/// Everything of one job on this node.
pub(crate) fn job_dir(data_dir: &Path, job: u64) -> PathBuf {
    jobs_dir(data_dir).join(job.to_string())
}

/// Jobs with files here that are older than `before`.
pub(crate) fn jobs_before(data_dir: &Path, before: JobId) -> Vec<JobId> {
    let entries = std::fs::read_dir(jobs_dir(data_dir)).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.map(JobId).filter(|job| *job < before).collect()
}

/// The captured output of an attempt, in its job's directory. A file that is missing after the attempt's end means that it wrote nothing.
pub(crate) fn output_name(index: u32, attempt: u32, stream: &str) -> String {
    format!("{index}.{attempt}.{stream}")
}

/// The snapshot of a job's script.
pub(crate) const SCRIPT: &str = "script";
/// A job's standard input, when it was given by value.
pub(crate) const STDIN: &str = "stdin";
