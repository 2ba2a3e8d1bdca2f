//! The cluster as one of its servers sees it: who leads, who follows how far behind, and changes of membership.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{BasicNode, ChangeMembers};
use taskyard_state::{Command, ServerRole};

use crate::clock::boottime;
use crate::consensus::{Consensus, ConsensusInner};
use crate::peer::{self, Duplex};
use crate::types::StoredMembership;

/// A server that is so few entries behind has caught up; as many arrive in a moment under load.
const CAUGHT_UP_ENTRIES: u64 = 20_000;
/// A server that was not heard of for so long is taken for gone when quorums are counted.
const REACHABLE_WITHIN: Duration = Duration::from_secs(3);

/// How long a server that stops waits for the others to hear so.
const GOODBYE_WITHIN: Duration = Duration::from_millis(300);
/// A server that does not say within this whether its disk has room is not handed the leadership.
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// How often it is looked whether a leader has greeted that only the disk has named yet.
const LOOK_FOR_GREETING: Duration = Duration::from_millis(50);
/// While a leadership is handed over it is looked so often who has it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its number.
    pub id: u64,
    /// Where it is reached.
    pub url: String,
}

/// A server as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its number.
    pub id: u64,
    /// Where it is reached.
    pub url: String,
    /// Version of its program; empty before it was first heard of.
    pub version: String,
    /// Its process on its machine; 0 before it was first heard of.
    pub pid: u32,
    /// What it is meant to be.
    pub wanted: ServerRole,
    /// Whether it takes part in decisions; `None` while it is not in the membership. A change of voters goes through a joint membership,
    /// where both the old and the new voters must agree: who is not in both does not count yet.
    pub voter: Option<bool>,
    /// Whether it leads.
    pub leads: bool,
    /// The last entry it is known to have; the leader knows this of all, others of themselves.
    pub log_index: Option<u64>,
    /// Since it was last heard of here, by one connection or another; 0 for this server.
    pub silent_ms: Option<u64>,
    /// Why it and this server do not talk, or, for this server itself, why all others refuse it.
    pub refused: Option<String>,
}

/// Why a change of membership did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Another server leads, or none.
    #[error("this server does not lead")]
    NotLeader,
    /// The server is no voter.
    #[error("server {0} is not a voter, so it cannot lead")]
    NoVoter(u64),
    /// The library refused, or the change was not committed in time.
    #[error("{0}")]
    Failed(String),
}

impl Consensus {
    /// Answers another server's connection until it ends.
    pub async fn serve_peer(&self, stream: Box<dyn Duplex>) -> std::io::Result<()> {
        let (network, raft) = (Arc::clone(&self.inner.network), self.inner.raft.clone());
        let mut stopping = self.inner.stopping.subscribe();
        tokio::select! {
            served = peer::serve(network, raft, stream) => served,
            _ = stopping.wait_for(|stopping| *stopping) => Ok(()),
        }
    }

    /// This server's number.
    pub fn me(&self) -> u64 {
        self.inner.config.server_id
    }

    /// Name of the cluster.
    pub fn cluster_id(&self) -> &str {
        &self.inner.config.cluster_id
    }

    /// The newest term this server knows of.
    pub fn term(&self) -> u64 {
        self.inner.raft.server_metrics().borrow_watched().vote.leader_id.term
    }

    /// Who leads, as far as this server knows.
    pub fn leader(&self) -> Option<Leader> {
        let id = self.named_leader()?;
        // The vote on disk names who led before this process began. What answers at that address now may be of another cluster: nothing is
        // told or sent there until it has greeted.
        let is_heard = id == self.inner.config.server_id || self.inner.network.known.met(id).is_some();
        is_heard.then(|| Some(Leader { id, url: self.inner.url_of(id)? })).flatten()
    }

    fn named_leader(&self) -> Option<u64> {
        self.inner.raft.server_metrics().borrow_watched().current_leader
    }

    /// Waits until somebody else than `than` leads, or this server does; `None` when that takes longer than `within`.
    pub async fn until_leader(&self, than: Option<&Leader>, within: Duration) -> Option<Leader> {
        let mut metrics = self.inner.raft.server_metrics();
        let known = async {
            loop {
                metrics.borrow_and_update();
                let leader = self.leader().filter(|leader| Some(leader) != than);
                if let Some(leader) = leader {
                    return leader;
                }
                // A leader that is named and was not heard yet greets without a change of what is named.
                let unheard = self.named_leader().is_some_and(|id| than.is_none_or(|than| than.id != id));
                tokio::select! {
                    changed = metrics.changed() => if changed.is_err() {
                        return std::future::pending().await;
                    },
                    () = tokio::time::sleep(LOOK_FOR_GREETING), if unheard => {}
                }
            }
        };
        tokio::time::timeout(within, known).await.ok()
    }

    /// Whether this server is the only voter, so that nobody can have replaced it unawares.
    pub fn is_alone(&self) -> bool {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().eq([self.inner.config.server_id])
    }

    /// Every server that has not left.
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.inner.servers()
    }

    /// Why every other server refuses this one. It then takes no part in the cluster, and cannot know what goes on there.
    pub fn refused_by_all(&self) -> Option<String> {
        self.inner.refused_by_all()
    }

    /// How long nothing has been applied here: at least so old may be what this server knows.
    pub fn applied_age_ms(&self) -> u64 {
        self.inner.replica.clock.lock().age_ms(boottime())
    }

    /// Resolves when another server has said that this one can never be right; the process must then exit with this reason.
    pub async fn expelled(&self) -> String {
        let mut expelled = self.inner.replica.expelled.subscribe();
        match expelled.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            _ => std::future::pending().await,
        }
    }

    /// Hands the leadership to another voter; on return it leads, or an error says that it did not take over in time.
    pub async fn transfer(&self, to: u64, within: Duration) -> Result<(), ClusterError> {
        let inner = &self.inner;
        let metrics = inner.raft.server_metrics();
        let membership = Arc::clone(&metrics.borrow_watched().membership_config);
        if !membership.membership().voter_ids().any(|id| id == to) {
            return Err(ClusterError::NoVoter(to));
        }
        if to == inner.config.server_id {
            return Ok(());
        }
        let asked = inner.raft.trigger().transfer_leader(to).await;
        asked.map_err(|error| ClusterError::Failed(error.to_string()))?;
        let leader = Leader { id: to, url: inner.url_of(to).unwrap_or_default() };
        let mut metrics = inner.raft.server_metrics();
        let taken = async {
            while metrics.borrow_and_update().current_leader != Some(leader.id) {
                // A change in between may be missed where several follow each other at once.
                let _ = tokio::time::timeout(LOOK_AGAIN, metrics.changed()).await;
            }
        };
        let late = |_| {
            ClusterError::Failed(format!("server {to} did not take over in time; it may be down or behind"))
        };
        tokio::time::timeout(within, taken).await.map_err(late)
    }

    /// Hands the leadership to the voter that is least behind, if this server leads and there is one; for a stop in good order.
    pub async fn step_aside(&self, within: Duration) {
        if self.inner.leadership.borrow().is_none() {
            return;
        }
        if let Some(next) = self.successors().iter().max_by_key(|s| s.log_index)
            && let Err(error) = self.transfer(next.id, within).await
        {
            tracing::warn!(%error, "the leadership was not handed over");
        }
    }

    /// Tells the other servers that this one stops.
    pub(crate) async fn say_goodbye(&self) {
        let others: Vec<(u64, String)> = {
            let live = self.inner.replica.live.read();
            let all = live.about.membership.membership().nodes().map(|(id, node)| (*id, node.addr.clone()));
            all.filter(|(id, _)| *id != self.inner.config.server_id).collect()
        };
        let calls = others.into_iter().map(|(id, addr)| {
            let network = Arc::clone(&self.inner.network);
            async move { peer::PeerLink::new(network, id, addr).say_goodbye().await }
        });
        let _ = tokio::time::timeout(GOODBYE_WITHIN, futures_util::future::join_all(calls)).await;
    }

    /// Hands the leadership to the voter that is least behind of those whose disks have room, if this server leads and there is one.
    pub(crate) async fn yield_to_room(&self, within: Duration) {
        if self.inner.leadership.borrow().is_none() {
            return;
        }
        let mut successors = self.successors();
        successors.sort_by_key(|s| std::cmp::Reverse(s.log_index));
        for next in successors {
            let mut link = peer::PeerLink::new(Arc::clone(&self.inner.network), next.id, String::new());
            let status = tokio::time::timeout(ASK_WITHIN, link.status()).await;
            if !matches!(status, Ok(Ok(status)) if !status.full) {
                continue;
            }
            tracing::warn!(
                to = next.id,
                "the disk is full; handing the leadership to a server that has room"
            );
            match self.transfer(next.id, within).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the leadership was not handed over"),
            }
        }
    }

    /// The other voters, as far as they were heard of lately.
    fn successors(&self) -> Vec<ServerStatus> {
        let mut others = self.servers();
        let reachable =
            |s: &ServerStatus| s.silent_ms.is_some_and(|ms| u128::from(ms) < REACHABLE_WITHIN.as_millis());
        others.retain(|s| s.voter == Some(true) && s.id != self.inner.config.server_id && reachable(s));
        others
    }

    /// Does the next thing that brings the membership nearer to what the servers are meant to be; says whether there was one. Only for the leader.
    pub(crate) async fn reconcile(&self) -> Result<bool, ClusterError> {
        let inner = &self.inner;
        if inner.leadership.borrow().is_none() {
            return Err(ClusterError::NotLeader);
        }
        let next = || next_step(inner.config.server_id, &self.servers());
        let Some(step) = self.unsettled().map(MembershipStep::Settle).or_else(next) else { return Ok(false) };
        tracing::info!(?step, "changing the membership");
        let changes = match step {
            MembershipStep::Settle(voters) => ChangeMembers::ReplaceAllVoters(voters),
            MembershipStep::Add(id, url) => {
                ChangeMembers::AddNodes(BTreeMap::from([(id, BasicNode::new(url))]))
            }
            MembershipStep::Promote(id) => ChangeMembers::AddVoterIds(BTreeSet::from([id])),
            // As a learner first, so that it hears of it.
            MembershipStep::Demote(id) => {
                let demoted =
                    inner.raft.change_membership(ChangeMembers::RemoveVoters(BTreeSet::from([id])), true);
                return changed(demoted.await.map(|_| ()));
            }
            MembershipStep::Remove(id) => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
            MembershipStep::HandOver => {
                self.step_aside(Duration::from_secs(5)).await;
                return Ok(true);
            }
        };
        changed(inner.raft.change_membership(changes, true).await.map(|_| ()))
    }

    /// The voters to be, where a leader went down between the two halves of a change of voters.
    fn unsettled(&self) -> Option<BTreeSet<u64>> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        match metrics.membership_config.membership().get_joint_config().as_slice() {
            [_, .., voters] => Some(voters.clone()),
            _ => None,
        }
    }

    /// Waits for someone new to be met, so that the log can be told.
    pub(crate) async fn someone_met(&self) {
        self.inner.network.known.news.notified().await;
    }

    /// Commands that tell the log who speaks for which server now. Only for the leader.
    pub(crate) fn unrecorded_starts(&self) -> Vec<Command> {
        let inner = &self.inner;
        let known: Vec<_> = inner.replica.live.read().state.servers().cloned().collect();
        let mut met: Vec<_> =
            known.iter().filter_map(|s| inner.network.known.met(s.id)).map(|met| met.started).collect();
        met.push(inner.network.me.started.clone());
        met.retain(|started| {
            let record = known.iter().find(|s| s.id == started.id);
            record.is_none_or(|r| {
                (r.starts, r.process, &r.url) != (started.starts, started.process, &started.url)
                    && r.vet(started).is_ok()
            })
        });
        met.into_iter().map(|started| Command::ServerStarted(Box::new(started))).collect()
    }
}

fn changed<E: std::fmt::Display>(result: Result<(), E>) -> Result<bool, ClusterError> {
    result.map(|()| true).map_err(|error| ClusterError::Failed(error.to_string()))
}

/// One change of membership.
#[derive(Clone, Debug, PartialEq, Eq)]
enum MembershipStep {
    /// Ends a change that is half done.
    Settle(BTreeSet<u64>),
    Add(u64, String),
    Promote(u64),
    Demote(u64),
    Remove(u64),
    /// This server is to leave, and leads.
    HandOver,
}

/// What to do next: first admit, then promote who has caught up, then let go. One at a time, so that any two quorums in a row overlap.
fn next_step(me: u64, servers: &[ServerStatus]) -> Option<MembershipStep> {
    let newest = servers.iter().find(|s| s.leads).and_then(|s| s.log_index).unwrap_or(0);
    let caught_up = |s: &ServerStatus| s.log_index.is_some_and(|i| i + CAUGHT_UP_ENTRIES >= newest);
    let add = servers.iter().find(|s| s.voter.is_none() && s.wanted != ServerRole::Removed);
    let promote =
        servers.iter().find(|s| s.voter == Some(false) && s.wanted == ServerRole::Voter && caught_up(s));
    let demote = servers.iter().find(|s| s.voter == Some(true) && s.wanted != ServerRole::Voter);
    let remove = servers.iter().find(|s| s.voter == Some(false) && s.wanted == ServerRole::Removed);
    add.map(|s| MembershipStep::Add(s.id, s.url.clone()))
        .or_else(|| promote.map(|s| MembershipStep::Promote(s.id)))
        .or_else(|| {
            demote.map(|s| if s.id == me { MembershipStep::HandOver } else { MembershipStep::Demote(s.id) })
        })
        .or_else(|| remove.map(|s| MembershipStep::Remove(s.id)))
}

impl ConsensusInner {
    fn url_of(&self, id: u64) -> Option<String> {
        let live = self.replica.live.read();
        let joined_at = || live.about.membership.membership().get_node(&id).map(|node| node.addr.clone());
        live.state.server(id).map(|server| server.url.clone()).or_else(joined_at)
    }

    fn refused_by_all(&self) -> Option<String> {
        let live = self.replica.live.read();
        let others = live.about.membership.membership().nodes().map(|(id, _)| *id);
        self.network.refusals.by_all(others.filter(|id| *id != self.config.server_id))
    }

    fn servers(&self) -> Vec<ServerStatus> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched().clone();
        let records: Vec<_> = self.replica.live.read().state.servers().cloned().collect();
        let membership: &StoredMembership = &metrics.membership_config;
        let membership = membership.membership();
        let (me, now) = (self.config.server_id, boottime());
        let status = |record: taskyard_state::ServerRecord| {
            let id = record.id;
            let member = membership.get_node(&id).is_some();
            let replicated = metrics.replication.as_ref().and_then(|all| all.get(&id).cloned().flatten());
            let met = self.network.known.met(id);
            let silent = match id == me {
                true => Some(0),
                false => met.map(|met| now.saturating_sub(met.heard).as_millis() as u64),
            };
            ServerStatus {
                id,
                url: record.url,
                version: record.version,
                pid: record.pid,
                wanted: record.role,
                voter: member
                    .then(|| membership.get_joint_config().iter().all(|voters| voters.contains(&id))),
                leads: metrics.current_leader == Some(id),
                log_index: if id == me { metrics.last_log_index } else { replicated.map(|at| at.index) },
                silent_ms: silent,
                refused: if id == me { self.refused_by_all() } else { self.network.refusals.by(id) },
            }
        };
        let all = records.into_iter().map(status);
        all.filter(|s| s.wanted != ServerRole::Removed || s.voter.is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: u64, wanted: ServerRole, voter: Option<bool>, log_index: u64) -> ServerStatus {
        ServerStatus {
            id,
            url: format!("http://s{id}"),
            version: String::new(),
            pid: 0,
            wanted,
            voter,
            leads: id == 1,
            log_index: Some(log_index),
            silent_ms: Some(0),
            refused: None,
        }
    }

    #[test]
    fn membership_changes_one_at_a_time() {
        use ServerRole::{Learner, Removed, Voter};
        let check =
            |servers: &[ServerStatus], step: Option<MembershipStep>| assert_eq!(next_step(1, servers), step);
        let leader = server(1, Voter, Some(true), 1_000_000);
        check(std::slice::from_ref(&leader), None);
        check(&[leader.clone(), server(2, Voter, None, 0)], Some(MembershipStep::Add(2, "http://s2".into())));
        check(&[leader.clone(), server(2, Voter, Some(false), 5)], None);
        check(&[leader.clone(), server(2, Voter, Some(false), 999_000)], Some(MembershipStep::Promote(2)));
        check(&[leader.clone(), server(2, Learner, Some(false), 999_000)], None);
        check(&[leader.clone(), server(2, Learner, Some(true), 999_000)], Some(MembershipStep::Demote(2)));
        check(&[leader.clone(), server(2, Removed, Some(true), 9)], Some(MembershipStep::Demote(2)));
        check(&[leader, server(2, Removed, Some(false), 9)], Some(MembershipStep::Remove(2)));
        check(
            &[server(1, Removed, Some(true), 9), server(2, Voter, Some(true), 9)],
            Some(MembershipStep::HandOver),
        );
    }
}
