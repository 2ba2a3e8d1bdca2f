//! Plans what waits.

use super::PAUSE_AFTER_FAILURE;
use crate::agents::LoadReports;
use crate::app::App;
use crate::clock::boot_ms;
use std::time::Instant;
use taskyard_sched::{Budget, schedule_beside};
use taskyard_state::Command;
use tokio::time::sleep;

/// Plans, one pass after the other: read the view, decide, propose, wait until it is applied. A pass that finds nothing
/// waits for the next entry; entries come at least each second, so that what depends on time is seen too.
pub(crate) async fn plan(app: App) {
    let mut applied = app.consensus.applied();
    let mut reports = LoadReports::new(app.config.heartbeat_ms);
    loop {
        app.consensus.until_leading().await;
        applied.mark_unchanged();
        let began = Instant::now();
        let plan = app.consensus.read(|state| {
            let other_load = reports.look(&app.agents, state.view(), boot_ms());
            schedule_beside(state.view(), other_load, Budget::default())
        });
        app.metrics.planned(began.elapsed(), &plan);
        if plan.is_empty() {
            if applied.changed().await.is_err() {
                return;
            }
            continue;
        }
        if let Err(error) = app.consensus.propose_system(Command::CommitPlan(plan)).await {
            tracing::debug!(%error, "a plan was not committed");
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}
