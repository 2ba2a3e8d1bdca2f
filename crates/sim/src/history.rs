//! What a cluster has run, as a workload on its own nodes: each task is a job of the workload, with the time from which it could have run, how long it ran,
//! and what it asked for.
//!
//! It is as true as what is remembered: jobs that retention has forgotten are not in it, and of a task that was tried several times the last try counts.

use crate::workload::{NodeShape, TraceJob, Workload};
use crate::{TraceError, limits};
use std::collections::BTreeMap;
use taskyard_model::{Constraint, Invalid, Request};

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
}

/// What became of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastTask {
    /// It ran so long.
    Ended {
        /// Milliseconds.
        ran_ms: u64,
    },
    /// It has run so long, and still runs.
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
    /// On these nodes.
    pub fn new(name: String, nodes: Vec<NodeShape>) -> Result<History, Invalid> {
        if nodes.is_empty() {
            return Err(Invalid::new(
                "nodes",
                0,
                "a cluster without nodes has nothing to run jobs on: start an agent",
            ));
        }
        Ok(History { workload: Workload { name, nodes, ..Workload::default() }, users: BTreeMap::new() })
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
        let fits = self.workload.fits_some_node(&job.request, &job.constraint);
        let user = self.user(&job.owner);
        for task in tasks {
            let ran_ms = match task {
                PastTask::NotStarted => Err("never_started"),
                PastTask::Ended { ran_ms: 0 } | PastTask::Running { ran_ms: 0 } => Err("run_not_positive"),
                PastTask::Ended { .. } | PastTask::Running { .. } if !fits => Err("fits_no_node"),
                PastTask::Ended { ran_ms } | PastTask::Running { ran_ms } => Ok(ran_ms),
            };
            if matches!((task, ran_ms), (PastTask::Running { .. }, Ok(_))) {
                *self.workload.changed.entry("still_running_taken_as_ended_now").or_default() += 1;
            }
            match ran_ms {
                Ok(ran_ms) => self.take(job, user, ran_ms)?,
                Err(rule) => *self.workload.dropped.entry(rule).or_default() += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, job: &PastJob, user: u32, run_ms: u64) -> Result<(), TraceError> {
        if self.tasks() >= limits::HISTORY_TASKS_MAX {
            let remedy =
                format!("at most {} tasks are read: ask for a shorter time", limits::HISTORY_TASKS_MAX);
            return Err(Invalid::new("since", "more tasks", remedy).into());
        }
        if !job.constraint.0.is_empty() {
            self.workload.constraints.insert(self.workload.jobs.len(), job.constraint.clone());
        }
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

    fn user(&mut self, owner: &str) -> u32 {
        let names = &mut self.workload.users;
        *self.users.entry(owner.to_owned()).or_insert_with(|| {
            names.push(owner.to_owned());
            (names.len() - 1) as u32
        })
    }

    /// The workload, its zero at the first submit. `clairvoyant` replaces estimates by how long tasks ran.
    pub fn workload(self, clairvoyant: bool) -> Result<Workload, TraceError> {
        let mut workload = self.workload.not_empty(0)?;
        let mut order: Vec<usize> = (0..workload.jobs.len()).collect();
        order.sort_by_key(|i| (workload.jobs[*i].submit_ms, workload.jobs[*i].id));
        let zero = workload.jobs[order[0]].submit_ms;
        let constraints = std::mem::take(&mut workload.constraints);
        let constrained = order.iter().enumerate();
        workload.constraints =
            constrained.filter_map(|(new, old)| Some((new, constraints.get(old)?.clone()))).collect();
        workload.jobs = order.iter().map(|i| workload.jobs[*i].clone()).collect();
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
mod tests {
    use super::*;
    use crate::workload::{machine, procs_request};

    fn past(id: u64, ready_ms: u64, procs: u32) -> PastJob {
        PastJob {
            id,
            owner: if id > 1 { "bob" } else { "ann" }.to_owned(),
            ready_ms,
            request: procs_request(procs),
            constraint: Constraint::default(),
            estimate_ms: Some(9),
            limit_ms: None,
        }
    }

    #[test]
    fn tasks_become_jobs_in_order_of_time() {
        let mut history = History::new("us".into(), vec![machine(4)]).unwrap();
        let mut late = past(2, 5_000, 1);
        late.constraint = Constraint::parse("c", "zone == a").unwrap();
        history.workload.nodes[0].labels.insert("zone".into(), "a".into());
        let ended = |ran_ms| PastTask::Ended { ran_ms };
        history.add(&late, [ended(10), PastTask::NotStarted, ended(0)]).unwrap();
        history.add(&past(1, 4_000, 1), [PastTask::Running { ran_ms: 7 }]).unwrap();
        history.add(&past(3, 4_500, 5), [ended(1)]).unwrap();
        let workload = history.clone().workload(false).unwrap();
        let times: Vec<_> = workload.jobs.iter().map(|j| (j.id, j.submit_ms, j.run_ms)).collect();
        assert_eq!(times, [(1, 0, 7), (2, 1_000, 10)]);
        assert_eq!(workload.constraints.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(workload.users[workload.jobs[0].user as usize], "ann");
        let dropped: Vec<_> = workload.dropped.into_iter().collect();
        assert_eq!(dropped, [("fits_no_node", 1), ("never_started", 1), ("run_not_positive", 1)]);
        assert_eq!(workload.changed["still_running_taken_as_ended_now"], 1);
        let told = history.workload(true).unwrap();
        assert_eq!(told.jobs[1].estimate_ms, Some(10));
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        assert!(History::new("us".into(), vec![]).is_err());
        let history = History::new("us".into(), vec![machine(4)]).unwrap();
        assert!(history.workload(false).unwrap_err().to_string().contains("no job is left"));
    }
}
