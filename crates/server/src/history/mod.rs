//! Why jobs have waited so far. A leader looks every few seconds and remembers, in memory, the last reasons of the
//! oldest waiting jobs: enough to say "behind job 7 until 16:20, since then no node is free", and why a planned start
//! was put off. It starts empty with each leadership, and nothing depends on it.

mod replans;

pub(crate) use replans::{Replans, SeenMoved};

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use taskyard_model::{JobId, Reason, limits};

/// A reason, and when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenReason {
    /// State time.
    pub(crate) since_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) reason: Reason,
}

/// What is remembered.
#[derive(Default)]
pub(crate) struct WaitHistory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// Of the leadership of this term.
    term: Option<u64>,
    /// The latest first.
    jobs: BTreeMap<JobId, VecDeque<SeenReason>>,
    plans: replans::Plans,
}

/// When a look was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookTime {
    pub(crate) term: Option<u64>,
    pub(crate) now_ms: u64,
    pub(crate) wall_ms: u64,
}

impl WaitHistory {
    /// Takes note of reasons. Whatever is of another leadership is forgotten.
    pub(crate) fn note(&self, look: LookTime, reasons: impl IntoIterator<Item = (JobId, Reason)>) {
        self.with(look, |Remembered { jobs, .. }| {
            for (job, reason) in reasons {
                let seen = jobs.entry(job).or_default();
                if seen.front().is_none_or(|last| last.reason != reason) {
                    seen.push_front(SeenReason { since_ms: look.now_ms, wall_ms: look.wall_ms, reason });
                    seen.truncate(limits::REASONS_PER_JOB_MAX);
                }
            }
            while jobs.len() > limits::REASONS_JOBS_MAX {
                jobs.pop_last();
            }
        });
    }

    /// Forgets jobs that do not wait any more.
    pub(crate) fn keep_only(&self, look: LookTime, waiting: impl Fn(JobId) -> bool) {
        self.with(look, |remembered| {
            remembered.jobs.retain(|job, _| waiting(*job));
            remembered.plans.retain(waiting);
        });
    }

    /// What is remembered of a job, the latest first.
    pub(crate) fn of(&self, look: LookTime, job: JobId) -> Vec<SeenReason> {
        self.with(look, |remembered| {
            let seen = remembered.jobs.get(&job);
            seen.map(|seen| seen.iter().cloned().collect()).unwrap_or_default()
        })
    }

    fn with<T>(&self, look: LookTime, work: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.term != look.term {
            *remembered = Remembered { term: look.term, ..Remembered::default() };
        }
        work(&mut remembered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::{Cause, Causes};

    #[test]
    fn remembers_changes_within_bounds_and_one_leadership() {
        let history = WaitHistory::default();
        let look = |term, now_ms| LookTime { term: Some(term), now_ms, wall_ms: now_ms + 7 };
        let behind = |job| Reason::Behind { job: JobId(job) };
        history.note(look(1, 10), [(JobId(2), behind(1)), (JobId(3), Reason::Held)]);
        history.note(look(1, 20), [(JobId(2), behind(1))]);
        history.note(look(1, 30), [(JobId(2), Reason::NoNodeFree(Causes(vec![Cause::Busy])))]);
        let of = |term, job| history.of(look(term, 40), JobId(job));
        let seen: Vec<_> = of(1, 2).into_iter().map(|s| (s.since_ms, s.wall_ms, s.reason)).collect();
        assert_eq!(seen, [(30, 37, Reason::NoNodeFree(Causes(vec![Cause::Busy]))), (10, 17, behind(1))]);
        for n in 0..100 {
            history.note(look(1, 50 + n), [(JobId(2), behind(n))]);
        }
        assert_eq!(of(1, 2).len(), limits::REASONS_PER_JOB_MAX);
        history.note(look(1, 200), (10..3_000).map(|n| (JobId(n), Reason::Held)));
        assert_eq!((of(1, 10).len(), of(1, 2_999).len()), (1, 0), "the oldest are kept");
        history.keep_only(look(1, 210), |job| job.0 != 3);
        assert!(of(1, 3).is_empty());
        assert!(of(2, 2).is_empty(), "another leadership knows nothing");
    }
}
