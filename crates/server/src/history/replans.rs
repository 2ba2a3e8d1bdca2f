//! Planned starts that became others, as they are seen from one look to the next.

use super::{LookTime, WaitHistory};
use std::collections::{BTreeMap, VecDeque};
use taskyard_model::{JobId, View, limits};
use taskyard_sched::{ReservedStart, StartMove, reserved_starts};

/// A planned start may move by so much before that is worth a word: overdue work is always expected to end in a moment.
const SLACK_MS: u64 = 10_000;

/// A planned start that became another one, and when that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenMoved {
    /// State time.
    pub(crate) since_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) moved: StartMove,
}

/// What is planned, and what has become of what was.
#[derive(Default)]
pub(crate) struct Replans {
    now: Vec<ReservedStart>,
    moved: Vec<(JobId, StartMove)>,
}

impl Replans {
    /// Plans, and compares with what was planned before.
    pub(crate) fn of(view: &View, before: &[ReservedStart]) -> Replans {
        let now = reserved_starts(view, limits::REASONS_JOBS_MAX);
        let moved = |before: &ReservedStart| Some((before.job, before.moved(view, &now, SLACK_MS)?));
        let moved = before.iter().filter_map(moved).collect();
        Replans { now, moved }
    }
}

/// What is remembered of it.
#[derive(Default)]
pub(super) struct Plans {
    planned: Vec<ReservedStart>,
    /// The latest first.
    moved: BTreeMap<JobId, VecDeque<SeenMoved>>,
}

impl Plans {
    pub(super) fn retain(&mut self, waiting: impl Fn(JobId) -> bool) {
        self.moved.retain(|job, _| waiting(*job));
    }
}

impl WaitHistory {
    /// What was planned when somebody looked last.
    pub(crate) fn planned(&self, look: LookTime) -> Vec<ReservedStart> {
        self.with(look, |remembered| remembered.plans.planned.clone())
    }

    /// Takes note of what is planned now.
    pub(crate) fn note_plans(&self, look: LookTime, replans: Replans) {
        self.with(look, |remembered| {
            let Plans { planned, moved } = &mut remembered.plans;
            *planned = replans.now;
            for (job, new) in replans.moved {
                let seen = moved.entry(job).or_default();
                // Two may have looked at once.
                if seen.front().is_none_or(|last| last.moved != new) {
                    seen.push_front(SeenMoved { since_ms: look.now_ms, wall_ms: look.wall_ms, moved: new });
                    seen.truncate(limits::REASONS_PER_JOB_MAX);
                }
            }
            while moved.len() > limits::REASONS_JOBS_MAX {
                moved.pop_last();
            }
        });
    }

    /// How the planned start of a job has moved, the latest first.
    pub(crate) fn moves_of(&self, look: LookTime, job: JobId) -> Vec<SeenMoved> {
        self.with(look, |remembered| {
            let seen = remembered.plans.moved.get(&job);
            seen.map(|seen| seen.iter().cloned().collect()).unwrap_or_default()
        })
    }
}
