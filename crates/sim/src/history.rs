//! What a cluster has run, as a workload on its own nodes: each task is a job of the workload, with the time from
//! which it could have run, how long it ran, and what it asked for.
//!
//! It is as true as what is remembered: jobs that retention has forgotten are not in it, and of a task that was tried
//! several times the last try counts. What is known and not replayed is counted or said ([`Workload::changed`],
//! [`Workload::notes`]).

use crate::workload::{ClusterSettings, NodeShape, Terms, TraceJob, Workload};
use crate::{TraceError, limits};
use std::collections::BTreeMap;
use std::sync::Arc;
use taskyard_model::{Constraint, Invalid, PoolConfig, QueueConfig, Request};

/// A job of the past; its tasks follow it.
#[derive(Clone, Debug)]
pub struct PastJob {
    /// Its id.
    pub id: u64,
    /// Whose it is.
    pub owner: String,
    /// Wall clock from which it could have run: of its submit, or of what it had to wait for by its own wish.
    pub ready_ms: u64,
    /// What each task asked for.
    pub request: Request,
    /// Where each might run.
    pub constraint: Constraint,
    /// How long it was said to run.
    pub estimate_ms: Option<u64>,
    /// Its time limit.
    pub limit_ms: Option<u64>,
    /// Its queue, account and priority, and what its tasks may do beside each other.
    pub terms: Terms,
    /// It waited for the end of other jobs.
    pub waited_for_others: bool,
}

/// A task of a job of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastTask {
    /// How it ended.
    pub end: PastEnd,
    /// It was tried before.
    pub tried_before: bool,
    /// It was cancelled.
    pub cancelled: bool,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// How long it ran.
    Ended {
        /// Milliseconds.
        ran_ms: u64,
    },
    /// It still runs, and how long it has run.
    Running {
        /// Milliseconds.
        ran_ms: u64,
    },
    /// It never started.
    NotStarted,
}

/// Collects a workload.
#[derive(Clone, Debug)]
pub struct History {
    workload: Workload,
    users: BTreeMap<String, u32>,
}

impl History {
    /// On these nodes, with these queues, pools and shares. `notes` are sentences about what is known of the past and
    /// left out.
    pub fn new(
        name: String,
        nodes: Vec<NodeShape>,
        mut settings: ClusterSettings,
        notes: Vec<String>,
    ) -> Result<History, Invalid> {
        if nodes.is_empty() {
            return Err(Invalid::new(
                "nodes",
                0,
                "a cluster without nodes has nothing to run jobs on: start an agent",
            ));
        }
        // What a queue took was decided when the jobs were submitted.
        settings.queues.iter_mut().for_each(|(_, queue)| {
            let QueueConfig { policy, tier, weight, aging_ms, max_wait_ms, pool, factors, nodes, .. } =
                queue.clone();
            let kept = QueueConfig {
                policy,
                tier,
                weight,
                aging_ms,
                max_wait_ms,
                pool,
                factors,
                nodes,
                ..QueueConfig::default()
            };
            *queue = kept;
        });
        if !settings.queues.iter().any(|(name, _)| name == PoolConfig::DEFAULT) {
            settings.queues.insert(0, (PoolConfig::DEFAULT.to_owned(), QueueConfig::default()));
        }
        let settings = Some(Arc::new(settings));
        let workload = Workload { name, nodes, settings, notes, ..Workload::default() };
        Ok(History { workload, users: BTreeMap::new() })
    }

    /// Tasks taken so far.
    pub fn tasks(&self) -> usize {
        self.workload.jobs.len()
    }

    /// Adds tasks of a job.
    pub fn add(
        &mut self,
        job: &PastJob,
        tasks: impl IntoIterator<Item = PastTask>,
    ) -> Result<(), TraceError> {
        let (terms, fits) = self.terms(job);
        let user = self.user(&job.owner, job.terms.account.as_deref());
        for task in tasks {
            let (PastEnd::Ended { ran_ms } | PastEnd::Running { ran_ms }) = task.end else {
                self.drop("never_started");
                continue;
            };
            if ran_ms == 0 || !fits {
                self.drop(if ran_ms == 0 { "run_not_positive" } else { "fits_no_node" });
                continue;
            }
            let changes = [
                (matches!(task.end, PastEnd::Running { .. }), "still_running_taken_as_ended_now"),
                (task.tried_before, "tried_before_only_the_last_try_is_replayed"),
                (task.cancelled, "cancelled_while_running_taken_as_ended_then"),
                (job.waited_for_others, "after_other_jobs_taken_as_submitted_when_they_ended"),
                (job.terms.affinity.broadcast, "broadcast_taken_as_one_task_a_node"),
                (!self.knows_weight(&terms), "weight_not_visible_taken_as_100"),
                (terms.queue != job.terms.queue, "queue_is_gone_taken_as_the_default_one"),
            ];
            for (_, rule) in changes.iter().filter(|(is, _)| *is) {
                *self.workload.changed.entry(rule).or_default() += 1;
            }
            self.take(job, &terms, user, ran_ms)?;
        }
        Ok(())
    }

    fn drop(&mut self, rule: &'static str) {
        *self.workload.dropped.entry(rule).or_default() += 1;
    }

    /// Whether a job's account is among those that the user may see.
    fn knows_weight(&self, terms: &Terms) -> bool {
        let weights = self.workload.settings.as_ref().map_or(&[][..], |settings| &settings.weights);
        let account = terms.account.as_deref().unwrap_or_default();
        weights.is_empty() || weights.iter().any(|(of, ..)| of == account)
    }

    /// A job's terms as they are replayed, and whether some node could run its tasks.
    fn terms(&self, job: &PastJob) -> (Arc<Terms>, bool) {
        let mut terms = Terms { owner: job.owner.clone(), ..job.terms.clone() };
        if std::mem::take(&mut terms.affinity.broadcast) {
            terms.affinity.apart = true;
        }
        let could = |queue: &str| {
            let settings = self.workload.settings.as_ref()?;
            settings.could_run(queue, &self.workload.nodes, &job.request, &job.constraint)
        };
        let could_there = could(&terms.queue);
        if could_there.is_none() {
            PoolConfig::DEFAULT.clone_into(&mut terms.queue);
        }
        let fits = could_there.or_else(|| could(PoolConfig::DEFAULT)).unwrap_or(false);
        (Arc::new(terms), fits)
    }

    fn take(&mut self, job: &PastJob, terms: &Arc<Terms>, user: u32, run_ms: u64) -> Result<(), TraceError> {
        if self.tasks() >= limits::HISTORY_TASKS_MAX {
            let remedy =
                format!("at most {} tasks are read: ask for a shorter time", limits::HISTORY_TASKS_MAX);
            return Err(Invalid::new("since", "more tasks", remedy).into());
        }
        if !job.constraint.0.is_empty() {
            self.workload.constraints.insert(self.workload.jobs.len(), job.constraint.clone());
        }
        self.workload.terms.insert(self.workload.jobs.len(), terms.clone());
        let cpus = job.request.amounts.cpu_milli.div_ceil(1_000);
        self.workload.jobs.push(TraceJob {
            id: job.id,
            submit_ms: job.ready_ms,
            run_ms,
            request: job.request.clone(),
            estimate_ms: job.estimate_ms,
            limit_ms: job.limit_ms,
            user,
            procs: cpus.min(u64::from(limits::PROCS_MAX)) as u32,
        });
        Ok(())
    }

    /// Fair share divides among users on accounts, so that is what reports call a user.
    fn user(&mut self, owner: &str, account: Option<&str>) -> u32 {
        let name = account.map_or_else(|| owner.to_owned(), |account| format!("{owner} on {account}"));
        let names = &mut self.workload.users;
        *self.users.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            (names.len() - 1) as u32
        })
    }

    /// The workload, its zero at the first submit. `clairvoyant` replaces estimates by how long tasks ran.
    pub fn workload(self, clairvoyant: bool) -> Result<Workload, TraceError> {
        let workload = self.workload.not_empty(0)?;
        let mut order: Vec<usize> = (0..workload.jobs.len()).collect();
        order.sort_by_key(|i| (workload.jobs[*i].submit_ms, workload.jobs[*i].id));
        let mut workload = workload.reordered(&order);
        let zero = workload.jobs[0].submit_ms;
        for job in &mut workload.jobs {
            job.submit_ms -= zero;
            if clairvoyant {
                job.estimate_ms = Some(job.run_ms);
            }
        }
        Ok(workload)
    }
}

#[cfg(test)]
mod tests;
