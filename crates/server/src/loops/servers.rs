//! What agents are told of the cluster: who leads, and which servers there are. It is looked up once for all
//! connections.

use crate::agents::HEARTBEATS_PER_STANDBY;
use crate::app::App;
use std::time::Duration;
use taskyard_consensus::{Consensus, Leader};
use taskyard_state::ServerRole;
use taskyard_wire::Servers;

/// Who leads is noticed at once; which servers there are is in the state, and is looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keeps what agents are told up to date, as long as the server runs.
pub(crate) async fn tell_agents(app: App) {
    let mut leadership = app.consensus.leadership();
    let mut applied = app.consensus.applied();
    loop {
        leadership.borrow_and_update();
        applied.mark_unchanged();
        let known = app.consensus.leader();
        app.agents.set_servers(servers(&app));
        let look = async {
            tokio::time::sleep(LOOK_EVERY).await;
            applied.changed().await
        };
        tokio::select! {
            changed = leadership.changed() => if changed.is_err() { return },
            _ = app.consensus.until_leader(known.as_ref(), Duration::MAX) => {}
            changed = look => if changed.is_err() { return },
        }
    }
}

fn servers(app: &App) -> Servers {
    let led = app.consensus.led_term();
    let (term, leader) = led.map_or_else(|| follows(&app.consensus), |term| (term, None));
    let (all, as_of) = app.consensus.read(|state| {
        let all = state.servers().filter(|s| s.role != ServerRole::Removed && !s.url.is_empty());
        (all.map(|s| s.url.clone()).collect(), state.index())
    });
    let heartbeat_ms = app.config.heartbeat_ms * HEARTBEATS_PER_STANDBY;
    let from = app.consensus.me();
    Servers { from, term, leads: led.is_some(), leader: leader.map(|l| l.url), all, as_of, heartbeat_ms }
}

/// The leader that another server is, with the term that it leads in.
fn follows(consensus: &Consensus) -> (u64, Option<Leader>) {
    loop {
        let term = consensus.term();
        let leader = consensus.leader().filter(|leader| leader.id != consensus.me());
        // Read apart: they belong together if no election came between.
        if consensus.term() == term {
            return (term, leader);
        }
    }
}
