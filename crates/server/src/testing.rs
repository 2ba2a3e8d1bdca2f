//! Parts of views for tests.

use taskyard_model::{Capacity, Incarnation, NodeId, NodeStatus, NodeView, PoolId};

/// A node without work.
pub(crate) fn node(id: u32, cpus: u64, up: bool) -> NodeView {
    let mut capacity = Capacity::default();
    capacity.amounts.cpu_milli = cpus * 1_000;
    let mut status = NodeStatus::default();
    if up {
        status.register(Incarnation(1), None, false);
    }
    NodeView {
        id: NodeId(id),
        name: format!("n{id}"),
        status,
        pool: PoolId(1),
        alone: false,
        given: 0,
        maintenance: Vec::new(),
        free: capacity.amounts.clone(),
        capacity,
        gpu_free: Vec::new(),
        labels: Default::default(),
        running: 0,
        prefetched: 0,
        by_class: Default::default(),
        prefetched_jobs: Default::default(),
        ends: Default::default(),
    }
}
