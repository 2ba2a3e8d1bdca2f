//! Waiting for the end of a job.

use crate::app::App;
use crate::failure::{Answer, refusal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use taskyard_model::JobId;
use tokio::time::{Instant, sleep, timeout_at};

/// How many requests wait now.
static WAITING: AtomicU64 = AtomicU64::new(0);
/// Each look at the state costs a little, and every entry calls for one from each who waits. With many of them they
/// look less often, so that all of them together look at most once in this time.
const MICROS_BETWEEN_LOOKS: u64 = 20;
/// A rest shorter than this is none: the timer is no finer.
const REST_MIN: Duration = Duration::from_millis(1);
/// The end is told at the latest after this.
const REST_MAX: Duration = Duration::from_millis(250);

struct WaitPace;

impl WaitPace {
    fn begin() -> WaitPace {
        WAITING.fetch_add(1, Ordering::Relaxed);
        WaitPace
    }

    fn rest(&self) -> Duration {
        Duration::from_micros(WAITING.load(Ordering::Relaxed).saturating_mul(MICROS_BETWEEN_LOOKS))
    }
}

impl Drop for WaitPace {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until the job has finished, the time is over, or the server stops.
pub(crate) async fn until_finished(app: &App, id: JobId, wait: Duration) -> Answer<()> {
    let waiting = WaitPace::begin();
    let until = Instant::now() + wait;
    let mut applied = app.consensus.applied();
    let mut stopping = app.stopping();
    let wait = async {
        loop {
            applied.mark_unchanged();
            let finished = app.consensus.read(|state| {
                state.job(id).map(|job| job.is_finished()).ok_or_else(|| refusal::no_job(state, id))
            });
            if finished? || applied.changed().await.is_err() {
                return Ok(());
            }
            let rest = waiting.rest();
            if rest >= REST_MIN {
                sleep(rest.min(REST_MAX)).await;
            }
        }
    };
    tokio::select! {
        biased;
        done = timeout_at(until, wait) => done.unwrap_or(Ok(())),
        _ = stopping.wait_for(|s| *s) => Ok(()),
    }
}
