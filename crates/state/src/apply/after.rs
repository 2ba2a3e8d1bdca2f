//! Jobs that wait for the end of others.
//!
//! Whom a job still waits for stands in its head; who waits for a job is looked up in `Dependants`. A predecessor has a smaller id than its
//! dependants, so there are no cycles, and its end is told to each of them in the same entry: a job never waits for one that has ended.

use crate::job::Skip;
use crate::outcome::{Event, Rejection};
use crate::phase::Phase;
use crate::state::State;
use std::collections::{BTreeSet, VecDeque};
use taskyard_model::{After, Gate, JobId, Need};

/// What becomes of a new job because of its predecessors.
pub(crate) struct Outlook {
    /// Those that have not ended.
    pub(crate) waits: BTreeSet<JobId>,
    /// The first that has ended otherwise than needed.
    pub(crate) skip: Option<Skip>,
}

impl State {
    /// Looks at the predecessors of a new job.
    pub(crate) fn outlook(&self, after: &[After]) -> Result<Outlook, Rejection> {
        let mut outlook = Outlook { waits: BTreeSet::new(), skip: None };
        for &After { job: id, need } in after {
            let Some(job) = self.core.jobs.get(&id) else {
                let was_there = id.0 > 0 && id.0 <= self.core.clock.last_job;
                return Err(Rejection::NoPredecessor { job: id, was_there });
            };
            let phase = job.phase();
            if !job.is_finished() {
                outlook.waits.insert(id);
            } else if !accepts(need, phase) {
                outlook.skip.get_or_insert(Skip { job: id, phase });
            }
        }
        Ok(outlook)
    }

    /// Tells those who wait for jobs that have just ended. What is skipped by that has ended too, and so on.
    pub(crate) fn tell_dependants(&mut self, mut ended: VecDeque<(JobId, Phase)>, events: &mut Vec<Event>) {
        while let Some((predecessor, phase)) = ended.pop_front() {
            for id in self.lookup.dependants.take(predecessor) {
                ended.extend(self.predecessor_ended(id, Skip { job: predecessor, phase }, events));
            }
        }
    }

    /// One of those for whom a job waits has ended. Answers with the job's own end if it is skipped for that.
    fn predecessor_ended(&mut self, id: JobId, end: Skip, events: &mut Vec<Event>) -> Option<(JobId, Phase)> {
        let job = self.core.job_mut(id)?;
        if !job.head.waits.remove(&end.job) {
            return None;
        }
        let need = job.spec.after.iter().find(|after| after.job == end.job)?.need;
        if accepts(need, end.phase) {
            self.gate_moved(id);
            return None;
        }
        self.skip_job(id, end, events)
    }

    /// Ends what waits of a job, because a predecessor ended otherwise than needed. Nothing of it has ever been assigned.
    pub(crate) fn skip_job(
        &mut self,
        id: JobId,
        why: Skip,
        events: &mut Vec<Event>,
    ) -> Option<(JobId, Phase)> {
        let job = self.core.job_mut(id)?;
        job.head.skip = Some(why);
        job.end_waiting(Phase::Skipped);
        events.push(Event::JobChanged { job: id, what: "skipped" });
        self.close(id, events)
    }

    /// What a job must wait for has changed. Its waiting for a place begins when that was the last of it.
    pub(crate) fn gate_moved(&mut self, id: JobId) {
        let now_ms = self.core.clock.now_ms;
        let was_open = self.view.jobs.get(&id).is_none_or(|view| view.gate == Gate::Open);
        let Some(job) = self.core.job_mut(id) else { return };
        if !was_open && job.gate() == Gate::Open {
            job.head.ready_ms = now_ms;
        }
        self.rekey_job(id);
    }
}

/// Whether a job that ended in this phase is what was needed.
fn accepts(need: Need, phase: Phase) -> bool {
    match need {
        Need::Ok => phase == Phase::Succeeded,
        Need::Any => true,
        Need::Fail => matches!(phase, Phase::Failed | Phase::Cancelled),
    }
}
