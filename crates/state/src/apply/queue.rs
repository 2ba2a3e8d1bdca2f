//! Queues and pools.

use crate::outcome::{Event, Rejection, Reply};
use crate::{Pool, Queue, State};
use std::sync::Arc;
use taskyard_model::{Invalid, JobId, JobSpec, PoolConfig, QueueConfig, QueueId, limits};

/// The queue that is always there.
const DEFAULT: &str = "default";

impl State {
    /// The queue of a name.
    pub(crate) fn queue_named(&self, name: &str) -> Option<QueueId> {
        let at = self.core.queues.iter().position(|q| q.name == name && !q.deleted)?;
        Some(QueueId(at as u32 + 1))
    }

    /// Whether a queue takes a job like this one.
    pub(crate) fn admit(&self, queue: QueueId, spec: &JobSpec) -> Result<(), Invalid> {
        let queue = &self.core.queues[queue.0 as usize - 1];
        queue.config.admit(&queue.name, &spec.request, spec.time_limit_ms, spec.array.count)?;
        queue.config.admit_grace(&queue.name, spec.grace_ms)
    }

    pub(crate) fn set_queue(&mut self, name: &str, config: &QueueConfig, events: &mut Vec<Event>) -> Reply {
        if let Some(pool) = config.pool.as_ref().filter(|pool| self.pool_named(pool).is_none()) {
            return Reply::Rejected(Rejection::NoPool(pool.clone()));
        }
        // One that was deleted is taken up again: jobs of long ago refer to it.
        let known = self.core.queues.iter().position(|q| q.name == name);
        let queue = Arc::new(Queue { name: name.to_owned(), config: config.clone(), deleted: false });
        let id = match known {
            Some(at) => {
                self.core.queues[at] = queue;
                QueueId(at as u32 + 1)
            }
            None if self.core.queues.len() >= limits::QUEUES_MAX => {
                return Reply::Rejected(Rejection::Limit("queues", limits::QUEUES_MAX as u64));
            }
            None => {
                self.core.queues.push_back(queue);
                QueueId(self.core.queues.len() as u32)
            }
        };
        self.view_queue(id);
        self.reclass(id);
        self.view_rekey_queue(id);
        events.push(Event::QueueChanged { queue: name.to_owned() });
        Reply::Done
    }

    /// The queue's nodes may be others now. Jobs with tasks on nodes go on as they are.
    fn reclass(&mut self, queue: QueueId) {
        let jobs: Vec<JobId> = self.jobs_in(queue).collect();
        for id in jobs {
            let Some(job) = self.core.jobs.get(&id).cloned() else { continue };
            if !job.has_assigned()
                && self.constraint(queue, &job.spec) != self.class(job.head.class).constraint
            {
                self.move_to_class(id, queue);
            }
        }
    }

    /// Jobs of a queue that are not finished.
    fn jobs_in(&self, queue: QueueId) -> impl Iterator<Item = JobId> {
        let of_queue = move |class: u32| self.view.classes[class as usize].queue == queue;
        self.view.jobs.iter().filter(move |(_, job)| of_queue(job.class.0)).map(|(id, _)| *id)
    }

    /// Deletes a queue in which no job is left that is not finished.
    pub(crate) fn delete_queue(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        let Some(id) = self.queue_named(name) else {
            return Reply::Rejected(Rejection::NoQueue(name.to_owned()));
        };
        let jobs = self.jobs_in(id).count() as u64;
        if name == DEFAULT || jobs > 0 {
            return Reply::Rejected(Rejection::QueueBusy { queue: name.to_owned(), jobs });
        }
        Arc::make_mut(&mut self.core.queues[id.0 as usize - 1]).deleted = true;
        self.view_queue(id);
        events.push(Event::QueueDeleted { queue: name.to_owned() });
        Reply::Done
    }

    pub(crate) fn set_pool(&mut self, name: &str, config: &PoolConfig, events: &mut Vec<Event>) -> Reply {
        let pool = Arc::new(Pool { name: name.to_owned(), config: config.clone(), deleted: false });
        match self.core.pools.iter().position(|p| p.name == name) {
            Some(at) => self.core.pools[at] = pool,
            None if self.core.pools.len() >= limits::POOLS_MAX => {
                return Reply::Rejected(Rejection::Limit("pools", limits::POOLS_MAX as u64));
            }
            None => self.core.pools.push_back(pool),
        }
        self.view_pools();
        events.push(Event::PoolChanged { pool: name.to_owned() });
        Reply::Done
    }

    /// Deletes a pool that no queue uses. Its nodes go to the pools that select them now.
    pub(crate) fn delete_pool(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        let Some(id) = self.pool_named(name) else {
            return Reply::Rejected(Rejection::NoPool(name.to_owned()));
        };
        let users = self.core.queues.iter().filter(|q| !q.deleted && q.config.pool.as_deref() == Some(name));
        let queues: Vec<String> = users.map(|q| q.name.clone()).collect();
        if name == PoolConfig::DEFAULT || !queues.is_empty() {
            return Reply::Rejected(Rejection::PoolBusy { pool: name.to_owned(), queues });
        }
        Arc::make_mut(&mut self.core.pools[id.0 as usize - 1]).deleted = true;
        self.view_pools();
        events.push(Event::PoolDeleted { pool: name.to_owned() });
        Reply::Done
    }
}
