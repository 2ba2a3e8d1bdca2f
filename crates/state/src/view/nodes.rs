//! Nodes.

use super::PlannerView;
use crate::node::Node;
use taskyard_model::view::Window;
use taskyard_model::{Fence, NodeId, NodeView, PoolId, constraint::Labels};

impl PlannerView {
    /// Shows a node whose agent has just registered, was lost, drained or resumed. It runs nothing when its life changes.
    pub(crate) fn set_node(&mut self, node: &Node, pool: PoolId, maintenance: Vec<Window>) {
        match self.0.nodes.get_mut(node.head.id) {
            // What runs there was counted for this life, and stays.
            Some(view) if view.status.incarnation() == node.head.status.incarnation() => {
                view.status = node.head.status.clone();
            }
            Some(view) => *view = empty(node, pool, maintenance),
            None => drop(self.0.nodes.push(empty(node, pool, maintenance))),
        }
    }

    /// The index of the entry that last gave a node something.
    pub(crate) fn set_given(&mut self, node: NodeId, fence: Fence) {
        self.0.nodes[node].given = fence.0;
    }

    /// Finds again which pool each node is in.
    pub(crate) fn set_node_pools(&mut self, pool_of: impl Fn(&Labels) -> PoolId) {
        for node in &mut self.0.nodes {
            node.pool = pool_of(&node.labels);
        }
    }

    /// Finds again when each node is to be maintained.
    pub(crate) fn set_maintenance(&mut self, windows_of: impl Fn(&Labels) -> Vec<Window>) {
        for node in &mut self.0.nodes {
            node.maintenance = windows_of(&node.labels);
        }
    }
}

/// A node without work.
fn empty(node: &Node, pool: PoolId, maintenance: Vec<Window>) -> NodeView {
    let registered = &node.head.registered;
    NodeView {
        id: node.head.id,
        name: registered.name.clone(),
        status: node.head.status.clone(),
        pool,
        alone: false,
        given: node.head.given_at,
        maintenance,
        capacity: registered.capacity.clone(),
        free: registered.capacity.amounts.clone(),
        gpu_free: vec![1_000; registered.capacity.gpus as usize],
        labels: registered.labels.clone(),
        running: 0,
        prefetched: 0,
        by_class: Default::default(),
        prefetched_jobs: Default::default(),
        ends: Default::default(),
    }
}
