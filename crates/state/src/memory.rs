//! What the state takes of memory. What is counted follows from the log alone, so that all servers refuse the same submits.

use crate::core::Core;
use crate::job::Job;
use taskyard_model::{JobSpec, limits};

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

/// What jobs take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Tasks of finished jobs.
    pub(crate) finished_tasks: u64,
    /// All jobs, but for inputs of finished ones.
    pub(crate) job_bytes: u64,
    /// Inputs of finished jobs.
    pub(crate) finished_bytes: u64,
    /// Of these, what is in memory all the same, on this server, because no snapshot has it yet.
    pub(crate) unstored_bytes: u64,
}

/// A job without its input and its tried attempts.
fn fixed_bytes(job: &Job) -> u64 {
    JOB_BYTES + job.head.other_bytes + TASK_BYTES * u64::from(job.tasks())
}

/// What another job would take.
pub(crate) fn bytes_of(spec: &JobSpec) -> u64 {
    spec.input_bytes() + spec.other_bytes() + TASK_BYTES * u64::from(spec.array.count)
}

impl Memory {
    /// About how much memory a state takes. What finished jobs were run with is on disk and does not count.
    pub(crate) fn total(&self, core: &Core) -> u64 {
        let named = core.queues.len() + core.pools.len() + core.namespaces.len() + core.maintenance.len();
        let named = named + core.removed_nodes.len() + core.ledger.days.len() + core.accounts.parties.len();
        self.job_bytes
            + REQUEST_BYTES * core.requests.len() as u64
            + DEADLINE_BYTES * core.deadlines.len() as u64
            + NODE_BYTES * core.nodes.len() as u64
            + TOKEN_BYTES * core.tokens.len() as u64
            + NAMED_BYTES * named as u64
    }

    pub(crate) fn add_job(&mut self, job: &Job) {
        let past = PAST_BYTES * job.past.len() as u64;
        self.job_bytes += fixed_bytes(job) + job.head.input_bytes + past;
    }

    /// A task of a job is tried again: its ended attempt is kept.
    pub(crate) fn add_past_attempt(&mut self) {
        self.job_bytes += PAST_BYTES;
    }

    /// A job that was counted has finished.
    pub(crate) fn finish_job(&mut self, job: &Job) {
        let input = job.head.input_bytes;
        self.finished_tasks += u64::from(job.tasks());
        self.job_bytes -= input;
        self.finished_bytes += input;
        self.unstored_bytes += if job.is_lean { 0 } else { input };
    }

    /// A finished job's input is on disk from now on.
    pub(crate) fn store_job(&mut self, job: &Job) {
        self.unstored_bytes -= job.head.input_bytes;
    }

    /// A finished job is forgotten.
    pub(crate) fn forget_job(&mut self, job: &Job) {
        self.finished_tasks -= u64::from(job.tasks());
        self.job_bytes -= fixed_bytes(job) + PAST_BYTES * job.past.len() as u64;
        self.finished_bytes -= job.head.input_bytes;
        self.unstored_bytes -= if job.is_lean { 0 } else { job.head.input_bytes };
    }
}

const _: () = assert!(limits::RETENTION_BYTES_MIN > JOB_BYTES);
