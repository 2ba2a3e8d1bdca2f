//! Queues and pools.

use crate::core::{Pool, Queue};
use crate::outcome::{Event, Rejection, Reply};
use crate::state::State;
use std::sync::Arc;
use taskyard_model::{Invalid, JobId, JobSpec, PoolConfig, QueueConfig, QueueId, limits};

impl State {
    /// Whether a queue takes a job like this one.
    pub(crate) fn admit(&self, queue: QueueId, spec: &JobSpec) -> Result<(), Invalid> {
        let queue = &self.core.queues[queue];
        queue.config.admit(&queue.name, &spec.request, spec.time_limit_ms, spec.array.count)?;
        queue.config.admit_grace(&queue.name, spec.grace_ms)
    }

    pub(crate) fn set_queue(&mut self, name: &str, config: &QueueConfig, events: &mut Vec<Event>) -> Reply {
        if let Some(pool) = config.pool.as_ref().filter(|pool| self.core.pool_named(pool).is_none()) {
            return Reply::Rejected(Rejection::NoPool(pool.clone()));
        }
        // One that was deleted is taken up again: jobs of long ago refer to it.
        let known = self.core.queues.find(|q| q.name == name);
        if known.is_none() && self.core.queues.len() >= limits::QUEUES_MAX {
            return Reply::Rejected(Rejection::Limit("queues", limits::QUEUES_MAX as u64));
        }
        let id = known.unwrap_or(self.core.queues.next_id());
        let queue = Queue { name: name.to_owned(), config: config.clone(), deleted: false };
        self.core.queues.put(id, Arc::new(queue));
        self.show_queue(id);
        self.reclass(id);
        self.rekey_queue(id);
        events.push(Event::QueueChanged { queue: name.to_owned() });
        Reply::Done
    }

    /// The queue's nodes may be others now. Jobs with tasks on nodes go on as they are.
    fn reclass(&mut self, queue: QueueId) {
        let jobs: Vec<JobId> = self.view.jobs_in(queue).collect();
        for id in jobs {
            let Some(job) = self.core.jobs.get(&id).cloned() else { continue };
            if !job.has_assigned()
                && self.core.constraint(queue, &job.spec) != self.core.class(job.head.class).constraint
            {
                self.move_to_class(id, queue);
            }
        }
    }

    /// Deletes a queue in which no job is left that is not finished.
    pub(crate) fn delete_queue(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        let Some(id) = self.core.queue_named(name) else {
            return Reply::Rejected(Rejection::NoQueue(name.to_owned()));
        };
        let jobs = self.view.jobs_in(id).count() as u64;
        if name == Queue::DEFAULT || jobs > 0 {
            return Reply::Rejected(Rejection::QueueBusy { queue: name.to_owned(), jobs });
        }
        Arc::make_mut(&mut self.core.queues[id]).deleted = true;
        self.show_queue(id);
        events.push(Event::QueueDeleted { queue: name.to_owned() });
        Reply::Done
    }

    pub(crate) fn set_pool(&mut self, name: &str, config: &PoolConfig, events: &mut Vec<Event>) -> Reply {
        let known = self.core.pools.find(|p| p.name == name);
        if known.is_none() && self.core.pools.len() >= limits::POOLS_MAX {
            return Reply::Rejected(Rejection::Limit("pools", limits::POOLS_MAX as u64));
        }
        let pool = Pool { name: name.to_owned(), config: config.clone(), deleted: false };
        self.core.pools.put(known.unwrap_or(self.core.pools.next_id()), Arc::new(pool));
        self.show_pools();
        events.push(Event::PoolChanged { pool: name.to_owned() });
        Reply::Done
    }

    /// Deletes a pool that no queue uses. Its nodes go to the pools that select them now.
    pub(crate) fn delete_pool(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        let Some(id) = self.core.pool_named(name) else {
            return Reply::Rejected(Rejection::NoPool(name.to_owned()));
        };
        let users = self.core.queues.iter().filter(|q| !q.deleted && q.config.pool.as_deref() == Some(name));
        let queues: Vec<String> = users.map(|q| q.name.clone()).collect();
        if name == PoolConfig::DEFAULT || !queues.is_empty() {
            return Reply::Rejected(Rejection::PoolBusy { pool: name.to_owned(), queues });
        }
        Arc::make_mut(&mut self.core.pools[id]).deleted = true;
        self.show_pools();
        events.push(Event::PoolDeleted { pool: name.to_owned() });
        Reply::Done
    }
}
