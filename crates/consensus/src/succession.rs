//! What a follower does when its leader's process dies: the kernel closes the dead process's connections and refuses new ones, which tells more,
//! and sooner, than silence. Then the follower that is least behind stands for election at once, as if the leader had handed over.
//!
//! Elections at any time are safe; this only decides when. A machine that is cut off or loses power is noticed by silence, as ever.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::TransferLeaderRequest;

use crate::consensus::ConsensusInner;
use crate::peer::{PeerLink, PeerStatus};

/// Others are given this much time each to go first, by rank.
const TURN: Duration = Duration::from_millis(150);
/// A follower that does not say how far it is within this is not waited for.
const ASK_WITHIN: Duration = Duration::from_millis(200);
/// Looks at a dead leader and its possible successors, until there is a new leader or it is left to the timers.
const ROUNDS: u32 = 5;

/// Waits for the leader's connections to break, again and again.
pub(crate) async fn watch_leader(inner: Arc<ConsensusInner>) {
    loop {
        let lost = inner.network.known.lost().await;
        if follows(&inner) == Some(lost) {
            succeed(&inner, lost).await;
        }
    }
}

/// Whom this server follows, and could succeed.
fn follows(inner: &ConsensusInner) -> Option<u64> {
    let metrics = inner.raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let me = inner.config.server_id;
    let votes = metrics.membership_config.membership().voter_ids().any(|id| id == me);
    metrics.current_leader.filter(|leader| votes && *leader != me)
}

/// Stands for election if the leader is dead, once it is this server's turn.
async fn succeed(inner: &Arc<ConsensusInner>, leader: u64) {
    for _ in 0..ROUNDS {
        if follows(inner) != Some(leader) || !is_dead(inner, leader).await {
            return;
        }
        if let Some(turn) = turn(inner, leader).await {
            tokio::time::sleep(TURN * turn).await;
            let metrics = inner.raft.server_metrics();
            let vote = metrics.borrow_watched().vote;
            if follows(inner) == Some(leader) && is_dead(inner, leader).await {
                tracing::info!(leader, "the leader's process is gone; standing for election");
                let stand = TransferLeaderRequest::new(vote, inner.config.server_id, None);
                let _ = inner.raft.handle_transfer_leader(stand).await;
                return insist(inner, leader).await;
            }
        }
        tokio::time::sleep(TURN).await;
    }
}

/// Two that stand at once may both lose. Whoever did tries again after a time of its own, until there is a leader.
async fn insist(inner: &Arc<ConsensusInner>, dead: u64) {
    let me = inner.config.server_id;
    let membership = Arc::clone(&inner.raft.server_metrics().borrow_watched().membership_config);
    let before = membership.membership().voter_ids().filter(|id| *id < me && *id != dead).count() as u32;
    for round in 1..=ROUNDS {
        tokio::time::sleep(TURN * 2 * round + TURN * before).await;
        if inner.raft.server_metrics().borrow_watched().current_leader.is_some() {
            return;
        }
        let _ = inner.raft.trigger().elect(false).await;
    }
}

/// Nobody listens at its address: no process is there. Anything else may be the network.
async fn is_dead(inner: &Arc<ConsensusInner>, leader: u64) -> bool {
    let url = inner.network.url_of(leader, "");
    matches!(inner.network.dial.dial(url).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

/// How many go first: none that is behind, among equals those with a lower number. `None`: another one is ahead, and must go first.
async fn turn(inner: &Arc<ConsensusInner>, leader: u64) -> Option<u32> {
    let me = inner.config.server_id;
    let mine = inner.store.last_index();
    let membership = Arc::clone(&inner.raft.server_metrics().borrow_watched().membership_config);
    let mut first = 0;
    for id in membership.membership().voter_ids().filter(|id| *id != me && *id != leader) {
        let mut link = PeerLink::new(Arc::clone(&inner.network), id, String::new());
        match tokio::time::timeout(ASK_WITHIN, link.status()).await {
            Ok(Ok(PeerStatus { last_index, .. })) if last_index > mine => return None,
            Ok(Ok(PeerStatus { leader: Some(other), .. })) if other != leader => return None,
            Ok(Ok(PeerStatus { last_index, .. })) if last_index < mine => {}
            // Also one that does not say how far it is: two that stand at once both lose.
            _ if id < me => first += 1,
            _ => {}
        }
    }
    Some(first)
}
