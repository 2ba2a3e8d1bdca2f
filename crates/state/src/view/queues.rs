//! Queues and pools.

use super::PlannerView;
use crate::core::{Pool, Queue};
use taskyard_model::{PoolId, PoolView, QueueId, QueueView};

impl PlannerView {
    /// Shows all pools.
    pub(crate) fn set_pools<'a>(&mut self, pools: impl Iterator<Item = (PoolId, &'a Pool)>) {
        let pool = |(id, pool): (PoolId, &Pool)| PoolView {
            id,
            name: pool.name.clone(),
            config: pool.config.clone(),
            deleted: pool.deleted,
        };
        self.0.pools = pools.map(pool).collect();
    }

    /// Shows a queue's settings.
    pub(crate) fn set_queue(&mut self, id: QueueId, queue: &Queue, pool: PoolId) {
        match self.0.queues.get_mut(id) {
            Some(view) => {
                let ages = view.config.ages();
                (view.config, view.pool, view.deleted) = (queue.config.clone(), pool, queue.deleted);
                if view.config.ages() != ages {
                    self.0.find_firsts(id);
                }
            }
            None => drop(self.0.queues.push(QueueView {
                id,
                name: queue.name.clone(),
                config: queue.config.clone(),
                deleted: queue.deleted,
                pool,
                running_cpu_milli: 0,
                heads: Default::default(),
                ages: Default::default(),
            })),
        }
    }
}
