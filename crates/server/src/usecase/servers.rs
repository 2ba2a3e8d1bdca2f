//! The servers of the cluster.

use super::{Act, change};
use crate::app::App;
use crate::auth::Outcome;
use crate::failure::{Answer, refusal};
use std::time::Duration;
use taskyard_api::{ApiError, ErrorCode, Server, ServerState};
use taskyard_consensus::{ClusterError, ServerStatus};
use taskyard_state::{Command, Reply, ServerRole};

/// A server that takes over does so within an election; past this it did not.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);
/// A server that was not heard of for so long does not count when it is asked whether the others can decide.
const REACHABLE_MS: u64 = 5_000;

/// Every server that has not left.
pub(crate) fn servers(app: &App) -> Vec<Server> {
    let all = app.consensus.servers();
    let newest = all.iter().find(|s| s.leads).and_then(|s| s.log_index);
    all.into_iter().map(|status| server(status, newest)).collect()
}

fn server(status: ServerStatus, newest: Option<u64>) -> Server {
    let role = match (status.voter, status.wanted) {
        (None, _) => ServerState::Joining,
        (Some(_), ServerRole::Removed) => ServerState::Leaving,
        (Some(true), _) if status.leads => ServerState::Leader,
        (Some(true), _) => ServerState::Follower,
        (Some(false), _) => ServerState::Learner,
    };
    Server {
        id: status.id,
        url: status.url,
        role,
        pid: (status.pid != 0).then_some(status.pid),
        version: Some(status.version).filter(|v| !v.is_empty()),
        lag: newest.zip(status.log_index).map(|(newest, has)| newest.saturating_sub(has)),
        log_index: status.log_index,
        last_seen_age_ms: status.silent_ms,
        refused: status.refused,
    }
}

/// Proposes a change of the servers; answers the number of the one it is about.
pub(crate) async fn change_server(app: &App, act: Act<'_>, command: Command) -> Answer<u64> {
    match change(app, act, command).await? {
        Reply::Server { id } => Ok(id),
        other => Err(refusal::odd_reply(&other)),
    }
}

/// Whether the others could go on without this server.
pub(crate) fn may_remove(app: &App, id: u64) -> Answer<()> {
    let stay: Vec<_> =
        app.consensus.servers().into_iter().filter(|s| s.voter == Some(true) && s.id != id).collect();
    let away: Vec<_> = stay
        .iter()
        .filter(|s| s.silent_ms.is_none_or(|ms| ms > REACHABLE_MS))
        .map(|s| s.id.to_string())
        .collect();
    if stay.is_empty() || (stay.len() - away.len()) * 2 > stay.len() {
        return Ok(());
    }
    let message = format!(
        "without server {id} the remaining {} have no majority, because server {} cannot be reached",
        stay.len(),
        away.join(", ")
    );
    Err(ApiError::new(ErrorCode::Conflict, message).remedy("restart them, or remove them first"))
}

/// Hands the leadership over, and waits until the other server has it.
pub(crate) async fn transfer(app: &App, act: Act<'_>, to: u64) -> Answer<()> {
    if app.consensus.servers().iter().all(|s| s.id != to) {
        return Err(ApiError::not_found(format!("server {to}")));
    }
    let result = app.consensus.transfer(to, TRANSFER_WITHIN).await;
    let (outcome, why) = match &result {
        Ok(()) => (Outcome::Done, None),
        Err(error) => (Outcome::NotDone, Some(error.to_string())),
    };
    act.by.audit(&act.object, &act.namespace, (outcome, None), why);
    result.map_err(|error| match error {
        ClusterError::NoVoter(_) => ApiError::new(ErrorCode::Conflict, error.to_string())
            .remedy(format!("promote it first: taskyard cluster promote {to}")),
        ClusterError::NotLeader => refusal::not_ready(),
        ClusterError::Failed(_) => ApiError::new(ErrorCode::Conflict, error.to_string()).remedy("try again"),
    })
}
