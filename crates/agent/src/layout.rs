//! Names of files in the data directory. One place, because the agent reads what the keeper writes.

use std::path::{Path, PathBuf};
use taskyard_model::JobId;

/// Where jobs have their directories.
pub(crate) const JOBS: &str = "jobs";

/// The same as a path.
pub(crate) fn jobs_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(JOBS)
}

/// Everything of one job on this node.
pub(crate) fn job_dir(data_dir: &Path, job: u64) -> PathBuf {
    jobs_dir(data_dir).join(job.to_string())
}

/// Jobs with files here that are older than `before`, or in one of the gaps.
pub(crate) fn jobs_among(data_dir: &Path, before: JobId, gaps: &[(JobId, JobId)]) -> Vec<JobId> {
    let entries = std::fs::read_dir(jobs_dir(data_dir)).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_among =
        |job: &JobId| *job < before || gaps.iter().any(|(first, last)| (first..=last).contains(&job));
    numbers.map(JobId).filter(is_among).collect()
}

/// The captured output of an attempt, in its job's directory. A file that is missing after the attempt's end means that it wrote nothing.
pub(crate) fn output_name(index: u32, attempt: u32, stream: &str) -> String {
    format!("{index}.{attempt}.{stream}")
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
        let mut jobs = jobs_among(dir.path(), JobId(3), &[(JobId(4), JobId(5)), (JobId(9), JobId(20))]);
        jobs.sort();
        assert_eq!(jobs, [1, 4, 9].map(JobId));
    }
}
