//! How a server learns that it was removed while it ran: nobody calls it any more, and a server that does not vote calls nobody. So one that
//! has heard of no leader for a while asks the others, whose greeting says it.
//!
//! Only the word of another server ends a process: one that is cut off, or that is left alone, waits for ever.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use taskyard_state::ServerRole;

use crate::clock::boottime;
use crate::consensus::ConsensusInner;
use crate::peer::PeerLink;

/// A server that has heard of no leader for so long asks whether it is still wanted. Elections are over sooner.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Between two looks at whether that is so, and between two rounds of questions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks, as long as no leader is heard of.
pub(crate) async fn ask_when_quiet(inner: Arc<ConsensusInner>) {
    let (mut heard, mut told) = (boottime(), false);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        heard = last_heard(&inner).map_or(heard, |at| at.max(heard));
        if boottime().saturating_sub(heard) <= QUIET_MAX {
            told = false;
            continue;
        }
        ask_all(&inner).await;
        if !told && inner.replica.expelled.borrow().is_none() {
            tracing::info!(
                "no leader is heard of; no server that could be asked says that this one was removed"
            );
            told = true;
        }
    }
}

/// When the leader was last heard of; the leader hears itself.
fn last_heard(inner: &ConsensusInner) -> Option<Duration> {
    let leader = inner.raft.server_metrics().borrow_watched().current_leader?;
    match leader == inner.config.server_id {
        true => Some(boottime()),
        false => inner.network.known.met(leader).map(|met| met.heard),
    }
}

/// A greeting with each server that was not removed, as far as this one knows. The refusal of one that knows better ends this process, see
/// [`crate::peer::Network`].
async fn ask_all(inner: &Arc<ConsensusInner>) {
    let others: Vec<(u64, String)> = {
        let live = inner.replica.live.read();
        let others = live.state.servers().filter(|server| server.role != ServerRole::Removed);
        others.map(|server| (server.id, server.url.clone())).collect()
    };
    for (id, url) in others.into_iter().filter(|(id, _)| *id != inner.config.server_id) {
        // Whoever cannot be reached says nothing, and is asked again in the next round.
        let _ = PeerLink::new(Arc::clone(&inner.network), id, url).open().await;
    }
}
