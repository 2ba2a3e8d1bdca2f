//! Times in which nodes are to be maintained.

use super::{Attribution, change};
use crate::auth::Caller;
use crate::failure::Answer;
use taskyard_api::{ApiError, Maintenance, MaintenanceSettings};
use taskyard_consensus::Consensus;
use taskyard_model::validate;
use taskyard_state::{Command, Maintenance as Window, State};

/// Those that are not over.
pub(crate) fn list_maintenance(consensus: &Consensus) -> Vec<Maintenance> {
    consensus.read(|state| {
        let windows = state.maintenance().filter(|(_, window)| window.until_wall_ms > state.wall_ms());
        windows.map(|(name, window)| show(state, name, window)).collect()
    })
}

pub(crate) async fn set_maintenance(
    consensus: &Consensus,
    by: &Caller,
    name: String,
    settings: MaintenanceSettings,
) -> Answer<Maintenance> {
    validate::name("window", &name)?;
    let read = settings.window(consensus.read(State::wall_ms))?;
    let window = Window { nodes: read.nodes, from_wall_ms: read.from_ms, until_wall_ms: read.until_ms };
    change(consensus, on(by, &name), Command::SetMaintenance { name: name.clone(), window }).await?;
    find(consensus, &name)
}

/// Deletes a window; answers what it was.
pub(crate) async fn delete_maintenance(
    consensus: &Consensus,
    by: &Caller,
    name: String,
) -> Answer<Maintenance> {
    let window = find(consensus, &name)?;
    change(consensus, on(by, &name), Command::DeleteMaintenance { name }).await?;
    Ok(window)
}

fn on<'a>(by: &'a Caller, name: &str) -> Attribution<'a> {
    Attribution::everywhere(by, format!("maintenance {name}"))
}

fn find(consensus: &Consensus, name: &str) -> Answer<Maintenance> {
    let found = consensus.read(|state| {
        state.maintenance().find(|(known, _)| *known == name).map(|(name, window)| show(state, name, window))
    });
    found.ok_or_else(|| ApiError::not_found(format!("maintenance {name}")))
}

fn show(state: &State, name: &str, window: &Window) -> Maintenance {
    let nodes = || state.view().nodes.iter().filter(|node| window.nodes.broken(&node.labels).is_none());
    Maintenance {
        name: name.to_owned(),
        from_at_ms: window.from_wall_ms,
        until_at_ms: window.until_wall_ms,
        nodes: Some(window.nodes.to_string()).filter(|text| !text.is_empty()),
        nodes_count: nodes().count() as u64,
        running: nodes().map(|node| u64::from(node.running)).sum(),
    }
}
