//! One job: what is known of its tasks, and which of them may be assigned next.

mod head;

pub use head::{JobHead, NotBefore, Skip};

use crate::block::{BLOCK, Block};
use crate::phase::Phase;
use crate::record::TaskRecord;
use crate::stored::{Stored, Whole};
use minicbor::{Decode, Encode};
use std::sync::Arc;
use taskyard_model::policy::Orderable;
use taskyard_model::{AttemptEnd, Fence, Gate, JobId, JobSpec, NodeId, Outcome, Span, TaskIndex, is_mutant};

/// One job. Tasks at or past `next` that have no record were never assigned and take no memory.
#[derive(Clone, Debug)]
pub struct Job {
    /// Everything but its tasks.
    pub head: JobHead,
    /// What was asked for, with later changes. Of a finished job what its tasks were run with (the driver's settings and `entries`) may be
    /// missing: see [`Job::whole`].
    pub spec: Arc<JobSpec>,
    /// Where all of it is on disk, as of a version of it.
    pub(crate) stored: Option<(u32, Stored)>,
    /// What its tasks were run with is on disk only.
    pub(crate) is_lean: bool,
    /// Records by number of block.
    pub(crate) blocks: imbl::OrdMap<u32, Arc<Block>>,
    /// Tasks before `next` that may be assigned again.
    pub(crate) again: imbl::OrdSet<TaskIndex>,
    /// Ended attempts of tasks that were tried again, by (index, attempt).
    pub(crate) past: imbl::OrdMap<(TaskIndex, u32), PastAttempt>,
}

/// An ended attempt of a task that was tried again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PastAttempt {
    /// Its fence.
    #[n(0)]
    pub fence: Fence,
    /// Where it ran.
    #[n(1)]
    pub node: NodeId,
    /// How it ended.
    #[n(2)]
    pub end: AttemptEnd,
    /// State time before which the task is not tried again.
    #[n(3)]
    pub again_ms: Option<u64>,
}

/// Consecutive tasks that get the same attempt number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TakenRun {
    pub(crate) first: TaskIndex,
    pub(crate) count: u32,
    pub(crate) attempt: u32,
}

/// What the end of a task means for its job.
pub(crate) struct AfterEnd {
    /// All tasks have ended.
    pub(crate) last: bool,
    /// More tasks have failed than the job allows.
    pub(crate) too_many_failed: bool,
}

impl Job {
    /// A new job, none of whose tasks has been assigned.
    pub(crate) fn new(head: JobHead, spec: Arc<JobSpec>) -> Job {
        Job {
            head,
            spec,
            stored: None,
            is_lean: false,
            blocks: imbl::OrdMap::new(),
            again: imbl::OrdSet::new(),
            past: imbl::OrdMap::new(),
        }
    }

    /// Forgets what is on disk, once it will not be run again.
    pub(crate) fn slim(&mut self) {
        let is_stored = self.stored.as_ref().is_some_and(|(version, _)| *version == self.head.spec_version);
        if self.is_finished() && is_stored && !self.is_lean {
            Arc::make_mut(&mut self.spec).drop_input();
            self.is_lean = true;
        }
    }

    /// What was asked for, with all that its tasks are run with.
    pub fn whole(&self) -> Whole {
        match &self.stored {
            Some((_, stored)) if self.is_lean => Whole::Stored(stored.clone()),
            _ => Whole::Here(Arc::clone(&self.spec)),
        }
    }

    /// The same job with a specification that [`Job::whole`] gave.
    #[must_use]
    pub fn with_spec(&self, spec: Arc<JobSpec>) -> Job {
        Job { spec, is_lean: false, ..self.clone() }
    }

    /// How many tasks it has.
    pub fn tasks(&self) -> u32 {
        self.spec.array.count
    }

    /// How many tasks are in a phase.
    pub fn count(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Skipped => self.head.skipped,
            phase => self.head.counts[phase as usize],
        }
    }

    /// Whether the job has a task in this phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.count(phase) > 0
    }

    /// Whether all tasks have ended.
    pub fn is_finished(&self) -> bool {
        self.head.finished_ms.is_some()
    }

    /// How the job as a whole stands.
    pub fn phase(&self) -> Phase {
        if !self.is_finished() {
            let active = self.count(Phase::Running) > 0 || self.head.started_wall_ms.is_some();
            return if active { Phase::Running } else { Phase::Pending };
        }
        if self.head.failed_too_often {
            Phase::Failed
        } else if self.head.cancelled {
            Phase::Cancelled
        } else if self.count(Phase::Failed) > 0 {
            Phase::Failed
        } else if self.count(Phase::Cancelled) > 0 && self.head.skip.is_none() {
            Phase::Cancelled
        } else if self.head.skip.is_some() {
            Phase::Skipped
        } else {
            Phase::Succeeded
        }
    }

    /// The record of a task; one that was never assigned has a fresh one. `None` past the end.
    pub fn record(&self, index: TaskIndex) -> Option<TaskRecord> {
        if index >= self.tasks() {
            return None;
        }
        let stored = self.blocks.get(&(index / BLOCK)).map(|b| b.record((index % BLOCK) as usize));
        Some(
            stored.filter(|r| r.attempt > 0 || r.phase != Phase::Pending).unwrap_or_else(|| self.untouched()),
        )
    }

    /// Visits tasks from `from` on until `visit` says to stop (`false`).
    pub fn each_record(&self, from: TaskIndex, mut visit: impl FnMut(TaskIndex, &TaskRecord) -> bool) {
        let mut index = from;
        while index < self.tasks() {
            let number = index / BLOCK;
            let end = ((number + 1) * BLOCK).min(self.tasks());
            let stored = self.blocks.get(&number).map(|b| b.records());
            for i in index..end {
                let record = stored.as_ref().map(|r| r[(i % BLOCK) as usize]);
                let record = record
                    .filter(|r| r.attempt > 0 || r.phase != Phase::Pending)
                    .unwrap_or_else(|| self.untouched());
                if !visit(i, &record) {
                    return;
                }
            }
            index = end;
        }
    }

    /// Ended attempts before the current or last one of a task, oldest first.
    pub fn past_attempts(&self, index: TaskIndex) -> impl Iterator<Item = (u32, &PastAttempt)> {
        self.past.range((index, 0)..=(index, u32::MAX)).map(|((_, attempt), past)| (*attempt, past))
    }

    /// State time of a task's next try, while it waits for that.
    pub fn again_ms(&self, index: TaskIndex) -> Option<u64> {
        let record = self.record(index).filter(|r| r.backing_off)?;
        self.past.get(&(index, record.attempt.into()))?.again_ms
    }

    /// The earliest of these times of all its tasks. A walk over the attempts of tasks that were tried again.
    pub fn next_again_ms(&self) -> Option<u64> {
        let mut earliest: Option<u64> = None;
        for ((index, _), past) in &self.past {
            let sooner = past.again_ms.filter(|at| earliest.is_none_or(|e| *at < e));
            if sooner.is_some() && self.again_ms(*index) == sooner {
                earliest = sooner;
            }
        }
        earliest
    }

    /// Tasks that could be assigned now, not counting holds and `max_running`.
    pub fn eligible(&self) -> u32 {
        self.count(Phase::Pending) - self.head.backing_off
    }

    /// What its order in a queue depends on.
    pub(crate) fn orderable(&self) -> Orderable {
        Orderable {
            job: self.head.id,
            submitted_ms: self.waiting_since_ms(),
            priority: self.spec.priority,
            estimate_ms: Span::of(&self.spec).expected_ms(),
            size: taskyard_model::policy::size(&self.spec.request),
        }
    }

    /// State time since which it waits for a place.
    pub fn waiting_since_ms(&self) -> u64 {
        self.head.submitted_ms.max(self.head.ready_ms)
    }

    /// Predecessors that have not ended, in order of id.
    pub fn waits_for(&self) -> impl Iterator<Item = JobId> {
        self.head.waits.iter().copied()
    }

    /// What must come before any of its tasks may be assigned. Both the planner (through the view) and `apply` go by it.
    pub fn gate(&self) -> Gate {
        match self.head.waits.first().filter(|_| !is_mutant("start-before-predecessors")) {
            Some(&job) => Gate::After { job, more: self.head.waits.len() as u32 - 1 },
            None => match self.head.begin {
                Some(begin) if !begin.passed => Gate::Begin { at_ms: begin.at_ms },
                _ => Gate::Open,
            },
        }
    }

    fn untouched(&self) -> TaskRecord {
        let mut record = TaskRecord::fresh();
        if self.head.skip.is_some() {
            record.phase = Phase::Skipped;
        }
        if self.head.rest_cancelled {
            record.phase = Phase::Cancelled;
            record.outcome = Outcome::Cancelled as u8;
        }
        record
    }

    /// The record to change, in an open block. `None` when its block is folded: everything in it has ended.
    pub(crate) fn record_mut(&mut self, index: TaskIndex) -> Option<&mut TaskRecord> {
        let number = index / BLOCK;
        if !self.blocks.contains_key(&number) {
            let len = (self.tasks() - number * BLOCK).min(BLOCK);
            self.blocks.insert(number, Arc::new(Block::fresh(len)));
        }
        let block = self.blocks.get_mut(&number)?;
        Arc::make_mut(block).record_mut((index % BLOCK) as usize)
    }

    /// An assigned task has ended for good.
    pub(crate) fn end_task(&mut self, index: TaskIndex, before: Phase, phase: Phase) -> AfterEnd {
        if let Some(block) = self.blocks.get_mut(&(index / BLOCK)).map(Arc::make_mut)
            && let Some(record) = block.record_mut((index % BLOCK) as usize)
        {
            record.phase = phase;
            self.head.count_end(record.outcome, record.code);
            block.ended(1);
        }
        self.moved(before, phase, 1);
        let failed = self.count(Phase::Failed);
        AfterEnd {
            last: [Phase::Pending, Phase::Queued, Phase::Running].iter().all(|p| self.count(*p) == 0),
            too_many_failed: !self.head.is_stopped() && self.spec.max_fails.is_some_and(|max| failed > max),
        }
    }

    /// Tasks of a block have ended for good.
    pub(crate) fn ended_in_block(&mut self, number: u32, count: u32) {
        if let Some(block) = self.blocks.get_mut(&number) {
            Arc::make_mut(block).ended(count);
        }
    }

    /// Counts a task's move from one phase to another.
    pub(crate) fn moved(&mut self, from: Phase, to: Phase, tasks: u32) {
        *self.head.count_mut(from) -= tasks;
        *self.head.count_mut(to) += tasks;
    }

    /// The first run of assignable tasks, at most `most` long: those to be retried first, then in order. Takes them out of the waiting.
    pub(crate) fn take_run(&mut self, most: u32) -> Option<TakenRun> {
        if let Some(&first) = self.again.get_min() {
            return Some(self.take_again(first, most));
        }
        while self.head.next < self.tasks() && !self.is_fresh(self.head.next) {
            self.head.next += 1;
        }
        let first = self.head.next;
        let mut count = 0;
        while count < most && first + count < self.tasks() && self.is_fresh(first + count) {
            count += 1;
        }
        self.head.next += count;
        (count > 0).then_some(TakenRun { first, count, attempt: 1 })
    }

    /// The task of a broadcast that waits for a node.
    pub(crate) fn take_for(&mut self, node: NodeId) -> Option<TakenRun> {
        let at = TaskIndex::try_from(self.head.targets.binary_search(&node).ok()?).ok()?;
        self.again.contains(&at).then(|| self.take_again(at, 1))
    }

    fn take_again(&mut self, first: TaskIndex, most: u32) -> TakenRun {
        let attempt_of = |job: &Job, index| job.record(index).map_or(0, |r| u32::from(r.attempt)) + 1;
        let attempt = attempt_of(self, first);
        let mut count = 0;
        while count < most
            && self.again.contains(&(first + count))
            && attempt_of(self, first + count) == attempt
        {
            self.again.remove(&(first + count));
            count += 1;
        }
        TakenRun { first, count, attempt }
    }

    /// Never assigned and not cancelled one by one.
    fn is_fresh(&self, index: TaskIndex) -> bool {
        self.blocks.get(&(index / BLOCK)).is_none_or(|block| match &**block {
            Block::Open(records, _) => {
                let record = &records[(index % BLOCK) as usize];
                record.attempt == 0 && record.phase == Phase::Pending && !self.again.contains(&index)
            }
            Block::Folded(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::{ClassId, QueueId};

    #[test]
    fn heads_of_older_versions_are_read() {
        let spec = JobSpec::command(vec!["x".into()]);
        let submit = crate::Submit { spec, owner: "ann".into(), request_id: "k".into(), retry_of: None };
        let old = minicbor::to_vec((&submit.spec, &submit.owner, &submit.request_id)).expect("encoded");
        assert_eq!(minicbor::decode::<crate::Submit>(&old).expect("decoded"), submit);
        let head = JobHead {
            input_bytes: 0,
            other_bytes: 0,
            ..JobHead::new(JobId(7), &submit, QueueId(1), ClassId(0))
        };
        let bytes = minicbor::to_vec(&head).expect("encoded");
        // As many fields as older versions knew.
        for known in [18u8, 20] {
            let mut fields = minicbor::Decoder::new(&bytes);
            assert!(fields.array().expect("an array") > Some(known.into()), "there are newer fields");
            let begin = fields.position();
            (0..known).for_each(|_| fields.skip().expect("a field"));
            let old = [&[0x80 | known], &bytes[begin..fields.position()]].concat();
            assert_eq!(minicbor::decode::<JobHead>(&old).expect("decoded"), head, "{known} fields");
        }
    }
}
