//! What a server does on its own. Each loop starts from the state alone; those of the leader rest while another server
//! leads.

mod backups;
mod first_token;
mod history;
mod leases;
mod planning;
mod pulses;
mod quarantines;
mod renewal;
pub(crate) mod servers;

use crate::app::App;
use std::time::Duration;
use tokio::task::JoinSet;

/// After a proposal failed: long enough not to spin, short enough not to be noticed.
pub(super) const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// Begins all of them; they end with the set.
pub(crate) fn spawn(app: &App) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(planning::plan(app.clone()));
    loops.spawn(pulses::pulse(app.consensus.clone()));
    loops.spawn(leases::leases(app.clone()));
    loops.spawn(history::keep(app.clone()));
    loops.spawn(first_token::first_token(app.clone()));
    loops.spawn(servers::tell_agents(app.clone()));
    loops.spawn(backups::scheduled(app.clone()));
    loops.spawn(renewal::keep_renewed(app.clone()));
    loops
}
