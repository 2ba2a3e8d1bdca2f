//! Lets the state do what is due by now.

use super::PAUSE_AFTER_FAILURE;
use std::time::Duration;
use taskyard_consensus::Consensus;
use taskyard_state::Command;
use tokio::time::{sleep, timeout};

/// Proposes a `Pulse` when something is due.
pub(crate) async fn pulse(consensus: Consensus) {
    let mut applied = consensus.applied();
    loop {
        consensus.until_leading().await;
        applied.mark_unchanged();
        let (now, due) = consensus.read(|state| (state.now_ms(), state.next_deadline()));
        let wait = due.map_or(Duration::MAX, |due| Duration::from_millis(due.saturating_sub(now)));
        match timeout(wait, applied.changed()).await {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => return,
            Err(_due) => {}
        }
        if let Err(error) = consensus.propose_system(Command::Pulse).await {
            tracing::debug!(%error, "a pulse was not committed");
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}
