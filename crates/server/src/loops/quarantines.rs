//! Takes nodes out of use of which two agents are alive.

use crate::agents::lost_after_ms;
use crate::app::App;
use crate::clock::boot_ms;
use taskyard_state::Command;

/// Quarantines nodes of which two agents are alive, and ends quarantines of which one is left. A leader that has just
/// begun does not know yet who calls.
pub(super) async fn quarantine(app: &App, leading_since: u64) {
    let silent_ms = lost_after_ms(app.config.lease_ms);
    app.agents.drop_silent_rivals(silent_ms);
    let knows_all = boot_ms().saturating_sub(leading_since) > silent_ms;
    let is_news =
        |command: &Command| knows_all || !matches!(command, Command::Quarantine { rival: None, .. });
    let commands: Vec<Command> = app
        .consensus
        .read(|state| state.nodes().filter_map(|node| app.agents.quarantine(node)).filter(is_news).collect());
    for command in commands {
        let Command::Quarantine { node, rival, .. } = &command else { continue };
        match rival {
            Some(boot_id) => {
                tracing::warn!(%node, boot_id, "two machines run agents with the identity of this node; it is quarantined");
            }
            None => {
                tracing::info!(%node, "one machine is left with the identity of this node; the quarantine ends")
            }
        }
        if let Err(error) = app.consensus.propose_system(command).await {
            tracing::debug!(%error, "a quarantine was not committed; trying again");
        }
    }
}
