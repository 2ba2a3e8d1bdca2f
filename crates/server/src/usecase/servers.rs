//! The servers of the cluster.

use super::{Attribution, change};
use crate::app::App;
use crate::auth::{CallOutcome, Caller};
use crate::failure::{Answer, refusal};
use std::time::Duration;
use taskyard_api::{ApiError, ErrorCode, JoinRequest, JoinResponse, Membership, Server, ServerState};
use taskyard_consensus::{ClusterError, Consensus, ServerStatus};
use taskyard_model::{EVERYWHERE, Invalid};
use taskyard_state::{Command, Reply, ServerRole};

/// A server that takes over does so within an election; past this it did not.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);
/// A server that has been silent for this time does not count when it is asked whether the others can decide.
const REACHABLE_MS: u64 = 5_000;

/// Every server that has not left.
pub(crate) fn servers(consensus: &Consensus) -> Vec<Server> {
    let all = consensus.servers();
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

/// Admits a new server; answers its number.
pub(crate) async fn join_server(app: &App, by: &Caller, request: JoinRequest) -> Answer<JoinResponse> {
    let JoinRequest { url, directory, learner } = request;
    let number = u64::from_str_radix(&directory, 16);
    let number =
        number.map_err(|_| Invalid::new("directory", &directory, "write up to 16 hexadecimal digits"))?;
    let scheme = if app.secured.is_some() { "https://" } else { "http://" };
    if !url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains('/')) {
        let remedy = format!("write the address at which other servers reach it, as {scheme}HOST:PORT");
        return Err(Invalid::new("url", &url, remedy).into());
    }
    let role = if learner { ServerRole::Learner } else { ServerRole::Voter };
    let on = Attribution::everywhere(by, format!("server {url}"));
    match change(&app.consensus, on, Command::AdmitServer { directory: number, url, role }).await? {
        Reply::Server { id } => {
            Ok(JoinResponse { cluster_id: app.consensus.cluster_id().to_owned(), server: id })
        }
        other => Err(refusal::odd_reply(&other)),
    }
}

/// Says whether a server votes; answers all of them as they are right after.
pub(crate) async fn update_server(
    consensus: &Consensus,
    by: &Caller,
    id: u64,
    membership: Membership,
) -> Answer<Vec<Server>> {
    let role = match membership {
        Membership::Voter => ServerRole::Voter,
        Membership::Learner => ServerRole::Learner,
    };
    set_role(consensus, by, id, role).await
}

/// Removes a server, unless the others could not go on without it; answers all as they are right after.
pub(crate) async fn remove_server(consensus: &Consensus, by: &Caller, id: u64) -> Answer<Vec<Server>> {
    may_remove(consensus, id)?;
    set_role(consensus, by, id, ServerRole::Removed).await
}

async fn set_role(consensus: &Consensus, by: &Caller, id: u64, role: ServerRole) -> Answer<Vec<Server>> {
    let on = Attribution::everywhere(by, format!("server {id}"));
    match change(consensus, on, Command::SetServer { id, role }).await? {
        Reply::Server { .. } => Ok(servers(consensus)),
        other => Err(refusal::odd_reply(&other)),
    }
}

/// Whether the others could go on without this server.
fn may_remove(consensus: &Consensus, id: u64) -> Answer<()> {
    let stay: Vec<_> =
        consensus.servers().into_iter().filter(|s| s.voter == Some(true) && s.id != id).collect();
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
pub(crate) async fn transfer(consensus: &Consensus, by: &Caller, to: u64) -> Answer<Vec<Server>> {
    if consensus.servers().iter().all(|s| s.id != to) {
        return Err(ApiError::not_found(format!("server {to}")));
    }
    let result = consensus.transfer(to, TRANSFER_WITHIN).await;
    let (outcome, why) = match &result {
        Ok(()) => (CallOutcome::Done, None),
        Err(error) => (CallOutcome::NotDone, Some(error.to_string())),
    };
    by.audit(&format!("leadership to server {to}"), EVERYWHERE, (outcome, None), why);
    result.map(|()| servers(consensus)).map_err(|error| match error {
        ClusterError::NoVoter(_) => ApiError::new(ErrorCode::Conflict, error.to_string())
            .remedy(format!("promote it first: taskyard cluster promote {to}")),
        ClusterError::NotLeader => refusal::not_ready(),
        ClusterError::Failed(_) => ApiError::new(ErrorCode::Conflict, error.to_string()).remedy("try again"),
    })
}
