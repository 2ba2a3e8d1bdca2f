//! Jobs that may not start before a time.
//!
//! What is due is state time, like everything else. An instant of the wall clock becomes one with the two clocks of an entry: that of the submit
//! or update, and then again that of each `LeaderStart`, because state time stands still while no server runs. A delay is state time from the start.

use crate::job::NotBefore;
use crate::state::State;
use taskyard_model::{Begin, JobId};

impl State {
    /// When a job may begin, by the clocks of this entry.
    pub(crate) fn not_before(&self, begin: Begin) -> NotBefore {
        let (now_ms, wall_now) = (self.core.clock.now_ms, self.core.clock.wall_ms);
        let (wait_ms, wall_ms, is_instant) = match begin {
            Begin::At(wall_ms) => (wall_ms.saturating_sub(wall_now), wall_ms, true),
            Begin::After(delay_ms) => (delay_ms, wall_now.saturating_add(delay_ms), false),
        };
        NotBefore { at_ms: now_ms.saturating_add(wait_ms), wall_ms, is_instant, passed: wait_ms == 0 }
    }

    /// A job may begin at another time, or at once.
    pub(crate) fn set_begin(&mut self, id: JobId, begin: Option<NotBefore>) {
        let Some(job) = self.core.job_mut(id) else { return };
        let before = std::mem::replace(&mut job.head.begin, begin);
        self.forget_begin(id, before);
        self.note_begin(id, begin);
        self.gate_moved(id);
    }

    /// The time of a job has come.
    pub(crate) fn begin_is_due(&mut self, id: JobId) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        let passed = job.head.begin.map(|begin| NotBefore { passed: true, ..begin });
        self.set_begin(id, passed);
    }

    /// A leadership begins: instants become state time again, since it stood still while there was no leader.
    pub(crate) fn anchor_begins(&mut self) {
        let instants: Vec<JobId> = self.lookup.instants.iter().copied().collect();
        for id in instants {
            let begin = self.core.jobs.get(&id).and_then(|job| job.head.begin);
            let moved = begin.map(|begin| self.not_before(Begin::At(begin.wall_ms)));
            if moved != begin {
                self.set_begin(id, moved);
            }
        }
    }
}
