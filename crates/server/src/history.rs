//! Why jobs have waited so far. A leader looks every few seconds and remembers, in memory, the last reasons of the oldest waiting jobs: enough to
//! say "behind job 7 until 16:20, since then no node is free", and why a planned start was put off. It begins anew with each leadership, and nothing
//! depends on it.

mod replans;

pub(crate) use replans::{Replans, SeenMoved};

use crate::app::App;
use crate::leader::{led_term, until_leading};
use crate::usecase::heavy;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use taskyard_model::{Gate, JobId, JobView, Reason, View, limits};
use taskyard_sched::reasons;
use tokio::time::sleep;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A look may take this part of the time at most: the next one is later if it took longer.
const LOOK_SHARE: u32 = 20;
/// Unfinished jobs looked at for those that wait.
const JOBS_LOOKED_AT_MAX: usize = 100_000;
/// Nodes asked for one look, each once for each class.
const NODES_ASKED_MAX: u64 = 200_000;

/// A reason, and when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// State time.
    pub(crate) since_ms: u64,
    pub(crate) wall_ms: u64,
    pub(crate) reason: Reason,
}

/// What is remembered.
#[derive(Default)]
pub(crate) struct History(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// Of the leadership of this term.
    term: Option<u64>,
    /// The latest first.
    jobs: BTreeMap<JobId, VecDeque<Seen>>,
    plans: replans::Plans,
}

/// When a look was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) term: Option<u64>,
    pub(crate) now_ms: u64,
    pub(crate) wall_ms: u64,
}

impl History {
    /// Takes note of reasons. Whatever is of another leadership is forgotten.
    pub(crate) fn note(&self, look: Look, reasons: impl IntoIterator<Item = (JobId, Reason)>) {
        self.with(look, |Remembered { jobs, .. }| {
            for (job, reason) in reasons {
                let seen = jobs.entry(job).or_default();
                if seen.front().is_none_or(|last| last.reason != reason) {
                    seen.push_front(Seen { since_ms: look.now_ms, wall_ms: look.wall_ms, reason });
                    seen.truncate(limits::REASONS_PER_JOB_MAX);
                }
            }
            while jobs.len() > limits::REASONS_JOBS_MAX {
                jobs.pop_last();
            }
        });
    }

    /// Forgets jobs that do not wait any more.
    fn keep_only(&self, look: Look, waiting: impl Fn(JobId) -> bool) {
        self.with(look, |remembered| {
            remembered.jobs.retain(|job, _| waiting(*job));
            remembered.plans.retain(waiting);
        });
    }

    /// What is remembered of a job, the latest first.
    pub(crate) fn of(&self, look: Look, job: JobId) -> Vec<Seen> {
        self.with(look, |remembered| {
            let seen = remembered.jobs.get(&job);
            seen.map(|seen| seen.iter().cloned().collect()).unwrap_or_default()
        })
    }

    fn with<T>(&self, look: Look, work: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.term != look.term {
            *remembered = Remembered { term: look.term, ..Remembered::default() };
        }
        work(&mut remembered)
    }
}

fn waits(job: &JobView) -> bool {
    job.eligible > 0 || job.stopped || job.gate != Gate::Open
}

/// The reasons of the oldest jobs that wait.
fn look_at(view: &View) -> Vec<(JobId, Reason)> {
    let unfinished = view.jobs.iter().take(JOBS_LOOKED_AT_MAX);
    let waiting = unfinished.filter(|(_, job)| waits(job)).map(|(id, _)| *id);
    reasons(view, waiting.take(limits::REASONS_JOBS_MAX), NODES_ASKED_MAX)
}

/// Looks as long as this server leads.
pub(crate) async fn keep(app: App) {
    loop {
        until_leading(&app).await;
        let began = Instant::now();
        let term = led_term(&app);
        let taken = app.consensus.read(|state| {
            let look = Look { term, now_ms: state.now_ms(), wall_ms: state.wall_ms() };
            let view = Some(state.view()).filter(|view| !view.jobs.is_empty());
            (look, view.cloned())
        });
        let (look, view) = taken;
        match view {
            None => app.history.keep_only(look, |_| false),
            Some(view) => {
                let jobs = view.jobs.clone();
                let before = app.history.planned(look);
                let work = move || (look_at(&view), Replans::of(&view, &before));
                let (found, replans) = heavy(work).await.unwrap_or_default();
                app.history.keep_only(look, |job| jobs.get(&job).is_some_and(waits));
                app.history.note(look, found);
                app.history.note_plans(look, replans);
            }
        }
        app.metrics.looks.inc();
        sleep(LOOK_EVERY.max(began.elapsed() * LOOK_SHARE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::{Cause, Causes};

    #[test]
    fn remembers_changes_within_bounds_and_one_leadership() {
        let history = History::default();
        let look = |term, now_ms| Look { term: Some(term), now_ms, wall_ms: now_ms + 7 };
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

    #[test]
    fn jobs_that_wait_are_looked_at() {
        let mut view = View::default();
        let job = JobView {
            class: taskyard_model::ClassId(0),
            key: taskyard_model::OrderKey { rank: 0, job: JobId(1) },
            submitted_ms: 0,
            priority: 0,
            eligible: 0,
            assigned: 1,
            held: 0,
            max_running: None,
            stopped: false,
            gate: Gate::Open,
        };
        view.jobs.insert(JobId(1), job.clone());
        assert_eq!(look_at(&view), []);
        let held = JobView { stopped: true, eligible: 1, ..job };
        assert!(!waits(&view.jobs[&JobId(1)]) && waits(&held));
    }
}
