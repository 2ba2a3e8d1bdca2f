//! Declares agents lost that are silent for too long.

use super::quarantines::quarantine;
use crate::agents::lost_after_ms;
use crate::app::App;
use crate::clock::boot_ms;
use std::time::Duration;
use taskyard_consensus::Consensus;
use taskyard_model::{Incarnation, NodeId};
use taskyard_state::{Command, Reply};
use tokio::time::sleep;

/// Declares agents lost whose lease has surely ended: not heard of since this leadership began, nor for D(1+ρ)+S.
pub(crate) async fn leases(app: App) {
    const LOOK_EVERY: Duration = Duration::from_millis(500);
    loop {
        app.consensus.until_leading().await;
        let leading_since = boot_ms();
        let term = app.consensus.led_term();
        while term.is_some() && app.consensus.led_term() == term {
            quarantine(&app, leading_since).await;
            for (node, incarnation, lease_ms) in agents(&app.consensus) {
                let heard = app.agents.last_heard_ms(node, incarnation).unwrap_or(0).max(leading_since);
                let silent_ms = boot_ms().saturating_sub(heard);
                if silent_ms > lost_after_ms(lease_ms) {
                    declare_lost(&app, node, incarnation, silent_ms).await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn agents(consensus: &Consensus) -> Vec<(NodeId, Incarnation, u64)> {
    consensus.read(|state| {
        let alive = state
            .nodes()
            .filter_map(|n| Some((n.head.id, n.head.status.incarnation()?, n.head.registered.lease_ms)));
        alive.collect()
    })
}

/// From the moment it is proposed nothing more is granted to that life; a proposal that fails is made again by the next
/// look.
async fn declare_lost(app: &App, node: NodeId, incarnation: Incarnation, silent_ms: u64) {
    let Some(term) = app.consensus.led_term() else { return };
    app.agents.mark_lost(node, incarnation, term);
    match app.consensus.propose_system(Command::Lost { node, incarnation, silent_ms }).await {
        Ok(committed) => {
            let tasks = if let Reply::Changed { tasks } = committed.reply { tasks } else { 0 };
            tracing::warn!(%node, %incarnation, tasks, "agent declared lost");
        }
        Err(error) => tracing::warn!(%node, %error, "the loss of an agent was not committed; trying again"),
    }
}
