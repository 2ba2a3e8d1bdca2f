//! What is known of agents beyond the state: what was heard from them in this process's life. Agents write it;
//! everybody else reads.

mod external_load;
mod rivals;

pub(crate) use external_load::{LoadReports, idle, is_fresh};

use crate::clock::boot_ms;
use parking_lot::Mutex;
use rivals::Rivals;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use taskyard_model::{Incarnation, NodeId, limits};
use taskyard_wire::{Load, LogChunk, LogRead, Servers, ToAgent};
use tokio::sync::{mpsc, oneshot, watch};

/// An agent that stands by reports once in this number of heartbeats of a session: no lease depends on it.
pub(crate) const HEARTBEATS_PER_STANDBY: u64 = 9;
/// How much slower or faster one machine's clock may run than another's, in thousandths.
const CLOCK_RATE_ERROR_MILLI: u64 = 10;
/// How late a keeper may be in killing.
const KEEPER_SLACK_MS: u64 = 2_000;

/// How long an agent must be silent until it may be declared lost.
pub(crate) fn lost_after_ms(lease_ms: u64) -> u64 {
    lease_ms + lease_ms * CLOCK_RATE_ERROR_MILLI / 1_000 + KEEPER_SLACK_MS
}

/// Messages that wait to be written to one agent.
const OUTBOX_MESSAGES: usize = 256;
/// An agent answers a read of output within its wait and this.
const LOG_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Agents(Arc<Registry>);

#[derive(Default)]
struct Registry {
    nodes: Mutex<BTreeMap<NodeId, KnownAgent>>,
    next_session: AtomicU64,
    connected: watch::Sender<usize>,
    servers: watch::Sender<Arc<Servers>>,
    rivals: Mutex<Rivals>,
}

/// One agent as this process knows it.
struct KnownAgent {
    incarnation: Incarnation,
    /// CLOCK_BOOTTIME of the last heartbeat.
    heard_boot_ms: u64,
    load: Load,
    /// A loss was proposed in this term: nothing more is granted in it. In a later one that proposal is applied or
    /// void.
    lost: Option<u64>,
    session: Option<Handle>,
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) number: u64,
    pub(crate) outbox: mpsc::Sender<ToAgent>,
    pub(crate) reads: Arc<Mutex<BTreeMap<u64, oneshot::Sender<LogChunk>>>>,
    /// Set when a newer session of the same node begins.
    pub(crate) replaced: watch::Sender<bool>,
}

/// How an agent is right now.
#[derive(Clone, Debug)]
pub(crate) struct LiveAgent {
    pub(crate) load: Load,
    /// Since the last heartbeat.
    pub(crate) age_ms: u64,
}

/// Why output cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the node's agent is not connected; its output can be read when it is back")]
    NotConnected,
    #[error("the node's agent did not answer in time")]
    Timeout,
    #[error("too many reads of output wait for this node")]
    Busy,
}

impl Agents {
    /// How a connected agent is.
    pub(crate) fn live(&self, node: NodeId) -> Option<LiveAgent> {
        let nodes = self.0.nodes.lock();
        let known = nodes.get(&node).filter(|k| k.session.is_some())?;
        Some(LiveAgent { load: known.load, age_ms: boot_ms().saturating_sub(known.heard_boot_ms) })
    }

    /// How many agents are connected.
    pub(crate) fn connected(&self) -> usize {
        *self.0.connected.borrow()
    }

    /// Follows how many agents are connected.
    pub(crate) fn watch_connected(&self) -> watch::Receiver<usize> {
        self.0.connected.subscribe()
    }

    fn count(&self, nodes: &BTreeMap<NodeId, KnownAgent>) {
        self.0.connected.send_replace(nodes.values().filter(|k| k.session.is_some()).count());
    }

    /// CLOCK_BOOTTIME when this life of an agent was last heard of.
    pub(crate) fn last_heard_ms(&self, node: NodeId, incarnation: Incarnation) -> Option<u64> {
        let nodes = self.0.nodes.lock();
        nodes.get(&node).filter(|k| k.incarnation == incarnation).map(|k| k.heard_boot_ms)
    }

    /// Grants this life nothing more in this term.
    pub(crate) fn mark_lost(&self, node: NodeId, incarnation: Incarnation, term: u64) {
        let mut nodes = self.0.nodes.lock();
        if let Some(known) = nodes.get_mut(&node).filter(|k| k.incarnation == incarnation) {
            known.lost = Some(term);
            if let Some(session) = known.session.take() {
                session.replaced.send_replace(true);
            }
        }
        self.count(&nodes);
    }

    /// Reads captured output on a node.
    pub(crate) async fn read_log(&self, node: NodeId, mut read: LogRead) -> Result<LogChunk, LogError> {
        let handle =
            self.0.nodes.lock().get(&node).and_then(|k| k.session.clone()).ok_or(LogError::NotConnected)?;
        let (answer, answered) = oneshot::channel();
        read.request = self.0.next_session.fetch_add(1, Ordering::Relaxed);
        let request = read.request;
        let wait = Duration::from_millis(read.wait_ms.into()) + LOG_ANSWER_WITHIN;
        {
            let mut reads = handle.reads.lock();
            if reads.len() >= limits::LOG_READS_PER_NODE_MAX {
                return Err(LogError::Busy);
            }
            reads.insert(request, answer);
        }
        let asked = async {
            handle.outbox.send(ToAgent::ReadLog(read)).await.map_err(|_| LogError::NotConnected)?;
            answered.await.map_err(|_| LogError::NotConnected)
        };
        let result = tokio::time::timeout(wait, asked).await.unwrap_or(Err(LogError::Timeout));
        handle.reads.lock().remove(&request);
        result
    }

    /// Follows who leads and which servers there are; from server 0 until it was looked at.
    pub(crate) fn servers(&self) -> watch::Receiver<Arc<Servers>> {
        self.0.servers.subscribe()
    }

    pub(crate) fn set_servers(&self, new: Servers) {
        self.0.servers.send_if_modified(|old| {
            // Another index alone is no news.
            let news = Servers { as_of: old.as_of, ..new.clone() } != **old;
            if news {
                *old = Arc::new(new);
            }
            news
        });
    }

    /// A new connection of a node; an older one ends. A life that is being declared lost is not heard of again.
    pub(crate) fn begin(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        term: u64,
    ) -> (Handle, mpsc::Receiver<ToAgent>) {
        let (outbox, inbox) = mpsc::channel(OUTBOX_MESSAGES);
        let number = self.0.next_session.fetch_add(1, Ordering::Relaxed) + 1;
        let handle = Handle { number, outbox, reads: Arc::default(), replaced: watch::Sender::new(false) };
        let mut nodes = self.0.nodes.lock();
        let lost = nodes.get(&node).filter(|k| k.incarnation == incarnation && k.lost == Some(term));
        let known = KnownAgent {
            incarnation,
            heard_boot_ms: lost.map_or_else(boot_ms, |k| k.heard_boot_ms),
            load: Load::default(),
            lost: lost.map(|_| term),
            session: Some(handle.clone()),
        };
        let before = nodes.insert(node, known);
        self.count(&nodes);
        drop(nodes);
        if let Some(old) = before.and_then(|k| k.session) {
            old.replaced.send_replace(true);
        }
        (handle, inbox)
    }

    pub(crate) fn end(&self, node: NodeId, session: u64) {
        let mut nodes = self.0.nodes.lock();
        if let Some(known) = nodes.get_mut(&node)
            && known.session.as_ref().is_some_and(|s| s.number == session)
        {
            known.session = None;
        }
        self.count(&nodes);
    }

    /// Notes a heartbeat; says whether the lease may go on.
    pub(crate) fn heard(&self, node: NodeId, session: u64, load: Load) -> bool {
        let mut nodes = self.0.nodes.lock();
        let Some(known) =
            nodes.get_mut(&node).filter(|k| k.session.as_ref().is_some_and(|s| s.number == session))
        else {
            return false;
        };
        let may_live = known.lost.is_none();
        if may_live {
            known.heard_boot_ms = boot_ms();
            known.load = load;
        }
        may_live
    }

    /// Whether this session's life is not being declared lost.
    pub(crate) fn may_live(&self, node: NodeId, session: u64) -> bool {
        let nodes = self.0.nodes.lock();
        let of_session = |k: &&KnownAgent| k.session.as_ref().is_some_and(|s| s.number == session);
        nodes.get(&node).filter(of_session).is_some_and(|k| k.lost.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_is_being_declared_lost_is_granted_nothing_in_a_new_session() {
        let agents = Agents::default();
        let (node, life) = (NodeId(1), Incarnation(7));
        let heard = |handle: &Handle| agents.heard(node, handle.number, Load::default());
        let (first, _inbox) = agents.begin(node, life, 5);
        assert!(heard(&first));
        agents.mark_lost(node, life, 5);
        assert!(!heard(&first));
        let before = agents.last_heard_ms(node, life);
        let (second, _inbox) = agents.begin(node, life, 5);
        assert!(!heard(&second), "the loss may be applied at any moment");
        assert_eq!(agents.last_heard_ms(node, life), before, "or the loss would not be proposed again");
        // The proposal did not survive the change of leaders.
        let (third, _inbox) = agents.begin(node, life, 6);
        assert!(heard(&third));
        agents.mark_lost(node, life, 6);
        let (next_life, _inbox) = agents.begin(node, Incarnation(9), 6);
        assert!(heard(&next_life));
    }
}
