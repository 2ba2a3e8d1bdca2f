//! Nodes, queues and servers.

use crate::command::Maintenance;
use crate::node::Node;
use crate::server::ServerRecord;
use crate::state::State;
use std::sync::Arc;
use taskyard_model::{Incarnation, NodeId, QueueId};

impl State {
    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.core.nodes.get(id)
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<&Arc<Node>> {
        self.core.nodes.iter().find(|n| n.head.registered.name == name)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.core.nodes.iter()
    }

    /// Whether this is the present life of the node's agent.
    pub fn is_alive(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.node(node).is_some_and(|n| n.head.status.incarnation() == Some(incarnation))
    }

    /// Times in which nodes are to be maintained, by name; also some that are over.
    pub fn maintenance(&self) -> impl Iterator<Item = (&str, &Maintenance)> {
        self.core.maintenance.iter().map(|(name, window)| (name.as_str(), window))
    }

    /// The queue of a name.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        self.core.queue_named(name)
    }

    /// Name of a queue.
    pub fn queue_name(&self, id: QueueId) -> &str {
        self.core.queues.get(id).map_or("", |q| q.name.as_str())
    }

    /// State time of the last `LeaderStart`.
    pub fn leader_since_ms(&self) -> u64 {
        self.core.clock.leader_since_ms
    }

    /// Every server there ever was, by number.
    pub fn servers(&self) -> impl Iterator<Item = &ServerRecord> {
        self.core.servers.values()
    }

    /// The server of a number.
    pub fn server(&self, id: u64) -> Option<&ServerRecord> {
        self.core.servers.get(&id)
    }
}
