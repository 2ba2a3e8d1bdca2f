//! Nodes that are shut out.

use crate::outcome::{Event, Rejection, Reply};
use crate::state::State;
use taskyard_model::{NodeChange, NodeId, limits};

impl State {
    /// Whether who joined under this name by the entry `joined` was removed since. A machine that joins anew does so by a later entry, so it is
    /// good again, and the keys from before are not.
    pub fn is_node_removed(&self, name: &str, joined: u64) -> bool {
        self.core.removed_nodes.get(name).is_some_and(|at| joined < *at)
    }

    /// Whether a node was removed and its last life has ended: it is only kept because others refer to it.
    pub fn is_gone(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.head.status.is_gone())
    }

    /// Shuts a node out. Its life ends as that of a node that is not heard of any more, by its lease: until then what it runs may run.
    pub(crate) fn remove_node(&mut self, name: &str, force: bool, events: &mut Vec<Event>) -> Reply {
        let known = self.node_named(name);
        let is_busy = known.is_some_and(|node| {
            let status = &node.head.status;
            status.is_alive() && !(status.drained().is_some() && node.runs.is_empty())
        });
        let id = known.map(|node| node.head.id);
        let was_known = id.is_some() || self.core.removed_nodes.contains_key(name);
        if !was_known && !force {
            return Reply::Rejected(Rejection::NoNodeNamed(name.to_owned()));
        }
        if is_busy && !force {
            return Reply::Rejected(Rejection::NodeBusy(name.to_owned()));
        }
        let removed = &mut self.core.removed_nodes;
        if !removed.contains_key(name) && removed.len() >= limits::NODES_REMOVED_MAX {
            let most = limits::NODES_REMOVED_MAX as u64;
            return Reply::Rejected(Rejection::Limit("removed nodes", most));
        }
        removed.insert(name.to_owned(), self.core.clock.index);
        if let Some(id) = id {
            self.mark_removed(id, events);
        }
        Reply::Done
    }

    fn mark_removed(&mut self, id: NodeId, events: &mut Vec<Event>) {
        if let Some(node) = self.core.node_mut(id) {
            node.head.status.remove();
        }
        self.show_node(id);
        events.push(Event::NodeChanged { node: id, change: NodeChange::Removed, why: String::new() });
    }
}
