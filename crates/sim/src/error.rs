//! Why a workload could not be had.

use std::io;
use std::path::{Path, PathBuf};
use taskyard_model::Invalid;

/// Why a trace gave no workload. Single bad lines are no reason: they are counted (see [`crate::Malformed`]).
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened", path.display())]
    Open {
        /// As the user wrote it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed on the way: a disk, or a compressed file that is cut or damaged.
    #[error("{trace}: reading stopped after line {line}: the file is cut or damaged, fetch it again")]
    Read {
        /// Name of the trace.
        trace: String,
        /// Whole lines that were read.
        line: u64,
        /// What the system or the decoder said.
        source: io::Error,
    },
    /// A setting or a header that cannot be used.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The file is read, and nothing in it can be run.
    #[error("{trace}: no job remains of {records} records and {malformed} malformed lines ({why})")]
    Empty {
        /// Name of the trace.
        trace: String,
        /// Records that could be read.
        records: usize,
        /// Lines that could not.
        malformed: u64,
        /// The rules that dropped records with their counts, or the first malformed line.
        why: String,
    },
    /// More jobs than [`crate::limits::JOBS_MAX`].
    #[error("{trace}: more than {max} jobs: cut the file, or take windows of it", max = crate::limits::JOBS_MAX)]
    TooMany {
        /// Name of the trace.
        trace: String,
    },
}

impl TraceError {
    pub(crate) fn open(path: &Path, source: io::Error) -> TraceError {
        TraceError::Open { path: path.to_owned(), source }
    }
}
