//! A job without its tasks: what is small and read often.

use crate::phase::Phase;
use minicbor::{Decode, Encode};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{ClassId, JobId, NodeId, Outcome, QueueId, TaskIndex, limits};

/// A job without its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JobHead {
    /// Its id.
    #[n(0)]
    pub id: JobId,
    /// Whose it is.
    #[n(1)]
    pub owner: String,
    /// The client's key it was submitted with; may be empty.
    #[n(2)]
    pub request_id: String,
    /// Its queue.
    #[n(3)]
    pub queue: QueueId,
    /// Its class while it is not finished.
    #[n(4)]
    pub(crate) class: ClassId,
    /// State time of the submit.
    #[n(5)]
    pub submitted_ms: u64,
    /// The same on the leader's wall clock.
    #[n(6)]
    pub submitted_wall_ms: u64,
    /// Wall clock at the first assignment.
    #[n(7)]
    pub started_wall_ms: Option<u64>,
    /// Wall clock at the end of the last task.
    #[n(8)]
    pub finished_wall_ms: Option<u64>,
    /// State time of the same.
    #[n(9)]
    pub(crate) finished_ms: Option<u64>,
    /// A user holds it.
    #[n(10)]
    pub held: bool,
    /// A user ended it.
    #[n(11)]
    pub cancelled: bool,
    /// The first task never looked at.
    #[n(12)]
    pub(crate) next: TaskIndex,
    /// Tasks at or past `next` without a record are cancelled, not pending.
    #[n(13)]
    pub(crate) rest_cancelled: bool,
    /// Tasks that wait in the deadlines for their next try.
    #[n(14)]
    pub backing_off: u32,
    /// Tasks by phase, in the order of [`Phase::ALL`] without the last.
    #[n(15)]
    pub(crate) counts: [u32; 6],
    /// Counts changes of the spec, so that agents get it again.
    #[n(17)]
    pub spec_version: u32,
    /// Ended tasks by outcome of their last attempt.
    #[n(16)]
    pub outcomes: BTreeMap<u8, u32>,
    /// The job whose tasks this one runs again.
    #[n(18)]
    pub retry_of: Option<JobId>,
    /// Of these, by outcome and its code where it has one (see [`Outcome::has_code`]). What passed
    /// [`limits::END_CODES_PER_JOB_MAX`], or was counted by an older version, is in `outcomes` alone.
    #[n(19)]
    #[cbor(default)]
    pub codes: BTreeMap<(u8, i32), u32>,
    /// Predecessors that have not ended.
    #[n(20)]
    #[cbor(default)]
    pub(crate) waits: BTreeSet<JobId>,
    /// Why it never ran: tasks at or past `next` without a record are skipped, not pending.
    #[n(21)]
    pub skip: Option<Skip>,
    /// Tasks in [`Phase::Skipped`].
    #[n(22)]
    #[cbor(default)]
    pub(crate) skipped: u32,
    /// State time at which the last of what it had to wait for was there; 0 if that was at the submit.
    #[n(23)]
    #[cbor(default)]
    pub(crate) ready_ms: u64,
    /// Before when none of its tasks starts.
    #[n(24)]
    pub begin: Option<NotBefore>,
    /// For a broadcast: the node of each task, in order of id.
    #[n(25)]
    #[cbor(default)]
    pub(crate) targets: Vec<NodeId>,
    /// What its tasks are run with takes so much memory; an update does not count.
    #[n(30)]
    #[cbor(default)]
    pub(crate) input_bytes: u64,
    /// And the rest of it, as far as it was there at the submit.
    #[n(31)]
    #[cbor(default)]
    pub(crate) other_bytes: u64,
    /// More of its tasks failed than `max_fails` allows, so the rest was stopped.
    #[n(26)]
    #[cbor(default)]
    pub failed_too_often: bool,
}

/// Before when a job may not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NotBefore {
    /// State time at which it is due.
    #[n(0)]
    pub at_ms: u64,
    /// The same on the wall clock, for people.
    #[n(1)]
    pub wall_ms: u64,
    /// The user named an instant, so the wall clock counts.
    #[n(2)]
    pub(crate) is_instant: bool,
    /// That time has come.
    #[n(3)]
    pub passed: bool,
}

/// A predecessor that did not end as needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Skip {
    /// The predecessor.
    #[n(0)]
    pub job: JobId,
    /// How it ended.
    #[n(1)]
    pub phase: Phase,
}

impl JobHead {
    /// Nothing more of it starts, and what runs was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.cancelled || self.failed_too_often
    }

    pub(super) fn count_mut(&mut self, phase: Phase) -> &mut u32 {
        match phase {
            Phase::Skipped => &mut self.skipped,
            phase => &mut self.counts[phase as usize],
        }
    }
    /// Counts an ended task by how its last attempt ended.
    pub(super) fn count_end(&mut self, outcome: u8, code: i32) {
        *self.outcomes.entry(outcome).or_default() += 1;
        if !Outcome::from_u8(outcome).is_some_and(Outcome::has_code) {
            return;
        }
        let room = self.codes.len() < limits::END_CODES_PER_JOB_MAX;
        match self.codes.entry((outcome, code)) {
            Entry::Occupied(mut known) => *known.get_mut() += 1,
            Entry::Vacant(new) if room => drop(new.insert(1)),
            Entry::Vacant(_) => {}
        }
    }
}
