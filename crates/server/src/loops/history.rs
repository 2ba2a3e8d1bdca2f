//! Looks every few seconds why the oldest jobs wait, so that `explain` can say since when.

use crate::app::App;
use crate::heavy::heavy;
use crate::history::{LookTime, Replans};
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

/// Looks as long as this server leads.
pub(crate) async fn keep(app: App) {
    loop {
        app.consensus.until_leading().await;
        let began = Instant::now();
        let term = app.consensus.led_term();
        let taken = app.consensus.read(|state| {
            let look = LookTime { term, now_ms: state.now_ms(), wall_ms: state.wall_ms() };
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

fn waits(job: &JobView) -> bool {
    job.eligible > 0 || job.stopped || job.gate != Gate::Open
}

/// The reasons of the oldest jobs that wait.
fn look_at(view: &View) -> Vec<(JobId, Reason)> {
    let unfinished = view.jobs.iter().take(JOBS_LOOKED_AT_MAX);
    let waiting = unfinished.filter(|(_, job)| waits(job)).map(|(id, _)| *id);
    reasons(view, waiting.take(limits::REASONS_JOBS_MAX), NODES_ASKED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            prefetched: 0,
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
