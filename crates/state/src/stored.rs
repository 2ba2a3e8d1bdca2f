//! What the state takes of memory, and where the inputs of finished jobs are: in a snapshot on disk, not in memory.
//!
//! What is counted follows from the log alone, so that all servers refuse the same submits. Whether a job is lean does not: it depends on when a
//! server wrote a snapshot. Nothing in `apply` may depend on that.

use crate::State;
use crate::job::Job;
use crate::outcome::Rejection;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use taskyard_model::{JobId, JobSpec, limits};
use xxhash_rust::xxh3::xxh3_64;

/// A job without what its specification says, in bytes: its head, its places in maps.
const JOB_BYTES: u64 = 1_024;
/// A task: a record while it is under way, a few bytes once it has ended.
const TASK_BYTES: u64 = 8;
/// An ended attempt of a task that was tried again.
pub(crate) const PAST_BYTES: u64 = 128;
/// Places in other maps, each with what it usually holds.
const REQUEST_BYTES: u64 = 256;
const DEADLINE_BYTES: u64 = 128;
const NODE_BYTES: u64 = 4_096;
const TOKEN_BYTES: u64 = 512;
const NAMED_BYTES: u64 = 256;

/// A file with stored specifications.
pub trait Source: Debug + Send + Sync {
    /// Reads `len` bytes at the position `at` of the state in it.
    fn read(&self, at: u64, len: u32) -> io::Result<Vec<u8>>;
}

/// Where a specification is.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) place: Place,
}

/// The same without the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) len: u32,
    /// Checksum of these bytes.
    pub(crate) sum: u64,
    /// For digests: the checksum of the specification as this version encodes it.
    pub(crate) hash: u64,
}

/// A specification that a snapshot has, as of a version of it.
#[derive(Clone, Debug)]
pub struct Written {
    pub(crate) job: JobId,
    pub(crate) version: u32,
    pub(crate) place: Place,
}

/// A whole specification, to be read outside of whatever locks the state.
#[derive(Clone, Debug)]
pub enum Whole {
    /// It is in memory.
    Here(Arc<JobSpec>),
    /// It is on disk.
    Stored(Stored),
}

impl Whole {
    /// Reads it if need be; that may block.
    pub fn load(self) -> io::Result<Arc<JobSpec>> {
        match self {
            Whole::Here(spec) => Ok(spec),
            Whole::Stored(stored) => {
                minicbor::decode(&stored.bytes()?).map(Arc::new).map_err(io::Error::other)
            }
        }
    }
}

impl Stored {
    /// Its encoding, checked.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        let Place { at, len, sum, .. } = self.place;
        let bytes = self.source.read(at, len)?;
        match xxh3_64(&bytes) == sum {
            true => Ok(bytes),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a stored job is damaged: {len} bytes at {at} of the state in {:?}", self.source),
            )),
        }
    }
}

/// A job without its input and its tried attempts.
fn fixed_bytes(job: &Job) -> u64 {
    JOB_BYTES + job.head.other_bytes + TASK_BYTES * u64::from(job.tasks())
}

impl State {
    /// About how much memory the state takes. What finished jobs were run with is on disk and does not count.
    pub fn bytes(&self) -> u64 {
        let core = &self.core;
        let named = core.queues.len() + core.pools.len() + core.namespaces.len() + core.maintenance.len();
        let named = named + core.removed_nodes.len() + core.ledger.days.len() + core.shares.parties.len();
        self.lookup.job_bytes
            + REQUEST_BYTES * core.requests.len() as u64
            + DEADLINE_BYTES * core.deadlines.len() as u64
            + NODE_BYTES * core.nodes.len() as u64
            + TOKEN_BYTES * core.tokens.len() as u64
            + NAMED_BYTES * named as u64
    }

    /// What it may take.
    pub fn bytes_max(&self) -> u64 {
        self.core.retention.state_bytes
    }

    /// Inputs of finished jobs that are still in memory here, until a snapshot has them.
    pub fn unstored_bytes(&self) -> u64 {
        self.lookup.unstored_bytes
    }

    /// Why there is no room for another job. What goes on with the others is never refused.
    pub fn refusal_of_more(&self, spec: &JobSpec) -> Option<Rejection> {
        let (bytes, limit) = (self.bytes(), self.bytes_max());
        let more = spec.input_bytes() + spec.other_bytes() + TASK_BYTES * u64::from(spec.array.count);
        (bytes + more > limit).then_some(Rejection::StateFull { bytes, limit })
    }

    pub(crate) fn count_job(&mut self, job: &Job) {
        let past = PAST_BYTES * job.past.len() as u64;
        self.lookup.job_bytes += fixed_bytes(job) + job.head.input_bytes + past;
    }

    /// A job that was counted has finished.
    pub(crate) fn count_finished(&mut self, job: &Job) {
        let input = job.head.input_bytes;
        self.lookup.job_bytes -= input;
        self.lookup.finished_bytes += input;
        self.lookup.unstored_bytes += if job.is_lean { 0 } else { input };
    }

    /// A finished job is gone.
    pub(crate) fn count_forgotten(&mut self, job: &Job) {
        self.lookup.job_bytes -= fixed_bytes(job) + PAST_BYTES * job.past.len() as u64;
        self.lookup.finished_bytes -= job.head.input_bytes;
        self.lookup.unstored_bytes -= if job.is_lean { 0 } else { job.head.input_bytes };
    }

    /// A snapshot has these: finished jobs are read from it from now on, and the one before it is not needed any more.
    pub fn stored(&mut self, written: &[Written], source: &Arc<dyn Source>) {
        for Written { job: id, version, place } in written {
            let Some(job) = self.job_mut(*id).filter(|job| job.head.spec_version == *version) else {
                continue;
            };
            job.stored = Some((*version, Stored { source: Arc::clone(source), place: *place }));
            let was_unstored = job.is_finished() && !job.is_lean;
            job.slim();
            let input = job.head.input_bytes;
            self.lookup.unstored_bytes -= if was_unstored { input } else { 0 };
        }
    }
}

impl Job {
    /// Forgets what is on disk, once it will not be run again.
    pub(crate) fn slim(&mut self) {
        let is_stored = self.stored.as_ref().is_some_and(|(version, _)| *version == self.head.spec_version);
        if self.is_finished() && is_stored && !self.is_lean {
            Arc::make_mut(&mut self.spec).drop_input();
            self.is_lean = true;
        }
    }
}

/// Of the encoding of a specification.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

const _: () = assert!(limits::RETENTION_BYTES_MIN > JOB_BYTES);
