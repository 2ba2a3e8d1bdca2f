//! The Standard Workload Format of the Parallel Workloads Archive: one job a line, 18 numbers, comments after `;`.
//!
//! Reading ([`read`]) keeps each record as it is; what a record means is decided by a [`Filter`]
//! ([`Log::workloads`]), so that one reading serves several. The three filters do what published evaluations did, to
//! the job, because their numbers are what results are held against.

mod number;
mod options;
mod parse;
mod select;

pub use options::{Estimates, Filter, SwfOptions, Windows};
pub use parse::parse;

use crate::workload::MalformedLines;
use crate::{TraceError, input};
use std::path::Path;

/// A log as it is: nothing filtered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What reports call it.
    pub name: String,
    /// From the comments.
    pub header: Header,
    /// In order of the file.
    pub records: Vec<SwfRecord>,
    /// Lines that could not be read.
    pub malformed: MalformedLines,
    /// All lines.
    pub lines: u64,
}

/// What the comments say, as far as it counts. The first of each name holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `MaxProcs`.
    pub max_procs: Option<u32>,
    /// `MaxNodes`.
    pub max_nodes: Option<u32>,
    /// What `MaxProcs` says, if that is no number.
    pub max_procs_unread: Option<String>,
    /// `AllowOveruse`: a job may go on beyond what it asked for.
    pub allow_overuse: bool,
}

/// One line. Times are milliseconds, as far as the line is that exact; a minus one means that it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwfRecord {
    /// Field 1.
    pub id: u64,
    /// Field 2.
    pub submit_ms: i64,
    /// Field 4.
    pub run_ms: i64,
    /// Field 9: the time the user asked for; the job is killed when it has run that long.
    pub requested_ms: i64,
    /// Field 5.
    pub allocated: i32,
    /// Field 8.
    pub requested: i32,
    /// Field 11 is 2, 3 or 4: a stretch of a job that was stopped and went on, which has a line for the whole of it
    /// too.
    pub partial: bool,
    /// Field 12.
    pub user: i32,
    /// Whether all 18 fields are there.
    pub whole: bool,
}

/// Reads a log, plain, gzip or xz.
pub fn read(path: &Path) -> Result<Log, TraceError> {
    parse(&input::trace_name(path), input::open(path)?)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::public;
