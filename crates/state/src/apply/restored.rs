//! The first entry of a cluster that was made from a backup.

use crate::outcome::Reply;
use crate::state::State;

impl State {
    /// Agents of the cluster that was backed up may still run what the state says they run. They are refused from now on and get nothing more,
    /// but what they run counts as running until their leases have surely ended: then `Lost` comes for each, as for any agent that is not heard
    /// of, and its attempts go the way of their `on_agent_lost`.
    pub(crate) fn restored(&mut self) -> Reply {
        self.core.clock.restored = Some(self.core.clock.index);
        let alive: Vec<_> =
            self.core.nodes.iter().filter(|n| n.head.status.is_alive()).map(|n| n.head.id).collect();
        for id in alive {
            if let Some(node) = self.core.node_mut(id) {
                node.head.status.stop();
            }
            self.show_node(id);
        }
        // The new cluster has one server, and numbers its own.
        self.core.servers.clear();
        Reply::Done
    }
}
