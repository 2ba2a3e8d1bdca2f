//! What a leader does on its own: plan, propose what is due, declare agents lost. Each loop starts from the state alone and rests while
//! another server leads.

use crate::app::App;
use crate::session::{Reports, keep_quarantines};
use std::time::{Duration, Instant};
use taskyard_consensus::boottime;
use taskyard_model::{Incarnation, NodeId};
use taskyard_sched::{Budget, schedule_beside};
use taskyard_state::{Command, Reply};
use tokio::time::{sleep, timeout};

/// After a proposal failed: long enough not to spin, short enough not to be noticed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// Waits until this process leads and its `LeaderStart` is applied.
pub(crate) async fn until_leading(app: &App) {
    let mut leadership = app.consensus.leadership();
    let _ = leadership.wait_for(Option::is_some).await;
}

pub(crate) fn led_term(app: &App) -> Option<u64> {
    app.consensus.leadership().borrow().map(|leadership| leadership.term)
}

/// Plans, one pass after the other: read the view, decide, propose, wait until it is applied. A pass that finds nothing waits for the next
/// entry; entries come at least each second, so that what depends on time is seen too.
pub(crate) async fn plan(app: App) {
    let mut applied = app.consensus.applied();
    let mut reports = Reports::new(app.config.heartbeat_ms);
    loop {
        until_leading(&app).await;
        applied.mark_unchanged();
        let began = Instant::now();
        let plan = app.consensus.read(|state| {
            let outside = reports.look(&app.nodes, state.view(), boot_ms());
            schedule_beside(state.view(), outside, Budget::default())
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

/// Proposes a `Pulse` when something is due.
pub(crate) async fn pulse(app: App) {
    let mut applied = app.consensus.applied();
    loop {
        until_leading(&app).await;
        applied.mark_unchanged();
        let (now, due) = app.consensus.read(|state| (state.now_ms(), state.next_deadline()));
        let wait = due.map_or(Duration::MAX, |due| Duration::from_millis(due.saturating_sub(now)));
        match timeout(wait, applied.changed()).await {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => return,
            Err(_due) => {}
        }
        if let Err(error) = app.consensus.propose_system(Command::Pulse).await {
            tracing::debug!(%error, "a pulse was not committed");
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

/// How much slower or faster one machine's clock may run than another's, in thousandths.
const CLOCK_RATE_ERROR_MILLI: u64 = 10;
/// How late a keeper may be in killing.
const KEEPER_SLACK_MS: u64 = 2_000;

/// How long an agent must not have been heard of before it may be declared lost.
pub(crate) fn lost_after_ms(lease_ms: u64) -> u64 {
    lease_ms + lease_ms * CLOCK_RATE_ERROR_MILLI / 1_000 + KEEPER_SLACK_MS
}

/// Declares agents lost whose lease has surely ended: not heard of since this leadership began, nor for D(1+ρ)+S.
pub(crate) async fn leases(app: App) {
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    loop {
        until_leading(&app).await;
        let leading_since = boot_ms();
        let term = led_term(&app);
        while term.is_some() && led_term(&app) == term {
            keep_quarantines(&app, leading_since).await;
            for (node, incarnation, lease_ms) in agents(&app) {
                let heard = app.nodes.last_heard_ms(node, incarnation).unwrap_or(0).max(leading_since);
                let silent_ms = boot_ms().saturating_sub(heard);
                if silent_ms > lost_after_ms(lease_ms) {
                    declare_lost(&app, node, incarnation, silent_ms).await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn agents(app: &App) -> Vec<(NodeId, Incarnation, u64)> {
    app.consensus.read(|state| {
        let alive =
            state.nodes().filter_map(|n| Some((n.head.id, n.head.incarnation?, n.head.registered.lease_ms)));
        alive.collect()
    })
}

/// From the moment it is proposed nothing more is granted to that life; a proposal that fails is made again by the next look.
async fn declare_lost(app: &App, node: NodeId, incarnation: Incarnation, silent_ms: u64) {
    let Some(term) = led_term(app) else { return };
    app.nodes.doom(node, incarnation, term);
    match app.consensus.propose_system(Command::Lost { node, incarnation, silent_ms }).await {
        Ok(committed) => {
            let tasks = if let Reply::Changed { tasks } = committed.reply { tasks } else { 0 };
            tracing::warn!(%node, %incarnation, tasks, "agent declared lost");
        }
        Err(error) => tracing::warn!(%node, %error, "the loss of an agent was not committed; trying again"),
    }
}

/// An agent said goodbye: nothing runs there, and what it did not report never started.
pub(crate) async fn left(app: &App, node: NodeId, incarnation: Incarnation) {
    let Some(term) = led_term(app) else { return };
    app.nodes.doom(node, incarnation, term);
    match app.consensus.propose_system(Command::Left { node, incarnation }).await {
        Ok(_) => tracing::info!(%node, %incarnation, "agent left"),
        // Its lease will end.
        Err(error) => tracing::warn!(%node, %error, "that an agent left was not committed"),
    }
}

/// CLOCK_BOOTTIME in milliseconds.
pub(crate) fn boot_ms() -> u64 {
    boottime().as_millis() as u64
}
