//! A workload: jobs with their times and wishes, and the nodes they are to run on. What every reader and generator
//! makes.

use crate::TraceError;
use crate::limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use taskyard_model::constraint::Labels;
use taskyard_model::{Affinity, Amounts, Capacity, Constraint, PoolConfig, QueueConfig, Request, Span};

/// One job of a workload. Times are milliseconds since the trace's own zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceJob {
    /// Number in the trace.
    pub id: u64,
    /// When it was submitted.
    pub submit_ms: u64,
    /// How long it runs once started; never zero.
    pub run_ms: u64,
    /// What it needs while it runs.
    pub request: Request,
    /// How long its user said it would run. `None`: nothing was said.
    pub estimate_ms: Option<u64>,
    /// When it is killed at the latest, after its start. `None`: never.
    pub limit_ms: Option<u64>,
    /// Position in [`Workload::users`].
    pub user: u32,
    /// Processors, as traces count them: cpus rounded up.
    pub procs: u32,
}

impl TraceJob {
    /// How long it is expected to run, as far as anybody knows beforehand (see [`Span::expected_ms`]).
    pub fn expected_ms(&self) -> Option<u64> {
        Span { estimate_ms: self.estimate_ms, limit_ms: self.limit_ms }.expected_ms()
    }
}

/// A node of the simulated cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeShape {
    /// Unique in the workload.
    pub name: String,
    /// What it offers.
    pub capacity: Capacity,
    /// What constraints look at.
    pub labels: Labels,
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Malformed {
    /// Its number, from 1.
    pub line: u64,
    /// Which field, which value, what was expected.
    pub why: String,
}

/// Malformed lines: the first few in full, all of them counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MalformedLines {
    /// The first [`limits::MALFORMED_KEPT_MAX`].
    pub first: Vec<Malformed>,
    /// How many there were.
    pub total: u64,
}

/// What a job says of which traces know nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who submitted it.
    pub owner: String,
    /// Its queue; a name that [`ClusterSettings::queues`] has.
    pub queue: String,
    /// On whose account it runs.
    pub account: Option<String>,
    /// Its priority.
    pub priority: i32,
    /// Where its tasks may or like to be beside each other.
    pub affinity: Affinity,
    /// How many of its tasks may run at once.
    pub max_running: Option<u32>,
}

/// How a cluster that has a past is set up: its queues, pools and shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Queues by name.
    pub queues: Vec<(String, QueueConfig)>,
    /// Pools by name, in the order in which nodes are offered to them.
    pub pools: Vec<(String, PoolConfig)>,
    /// Weights of accounts, and of users on them; an empty account is work that names none.
    pub weights: Vec<(String, Option<String>, u32)>,
    /// In which time past use counts half.
    pub half_life_ms: Option<u64>,
}

/// Jobs and nodes of one simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// What reports call it.
    pub name: String,
    /// In order of submit; jobs of one instant keep the order of the trace.
    pub jobs: Vec<TraceJob>,
    /// Names of users, by their number.
    pub users: Vec<String>,
    /// The cluster, never empty.
    pub nodes: Vec<NodeShape>,
    /// Where a job may run, by its position in `jobs`; a job that is missing may run on every node.
    pub constraints: BTreeMap<usize, Constraint>,
    /// What else a job says, by its position in `jobs`. Neighbours of one id and one submit are tasks of one job.
    pub terms: BTreeMap<usize, Arc<Terms>>,
    /// Queues, pools and shares; `None`: one queue and one pool.
    pub settings: Option<Arc<ClusterSettings>>,
    /// What a reader must know of how the jobs were taken, a sentence each: what is known of them and not replayed,
    /// or what was assumed.
    pub notes: Vec<String>,
    /// Records left out, by rule.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records kept but changed, by rule.
    pub changed: BTreeMap<&'static str, u64>,
    /// Lines that could not be read.
    pub malformed: MalformedLines,
}

impl MalformedLines {
    /// Counts a line, and keeps why if it is one of the first.
    pub fn add(&mut self, line: u64, why: impl FnOnce() -> String) {
        self.total += 1;
        if self.first.len() < limits::MALFORMED_KEPT_MAX {
            self.first.push(Malformed { line, why: why() });
        }
    }
}

impl Workload {
    /// Thousandths of a core of all nodes together.
    pub fn cpu_milli(&self) -> u64 {
        self.nodes.iter().map(|n| n.capacity.amounts.cpu_milli).sum()
    }

    /// Thousandths of GPUs of all nodes together.
    pub fn gpu_milli(&self) -> u64 {
        self.nodes.iter().map(|n| u64::from(n.capacity.gpus) * 1_000).sum()
    }

    /// What the jobs ask of the cluster from the first submit to the last, as a share of its cpu: above 1 the queue
    /// only grows. `None` if all jobs are submitted at once.
    pub fn offered_load(&self) -> Option<f64> {
        let span = self.jobs.last()?.submit_ms - self.jobs.first()?.submit_ms;
        let work: u128 =
            self.jobs.iter().map(|j| u128::from(j.run_ms) * u128::from(j.request.amounts.cpu_milli)).sum();
        let offered = u128::from(self.cpu_milli()) * u128::from(span);
        (offered > 0).then(|| work as f64 / offered as f64)
    }

    /// Whether any node could ever run something.
    pub(crate) fn fits_some_node(&self, request: &Request, constraint: &Constraint) -> bool {
        let could = |node: &NodeShape| {
            constraint.broken(&node.labels).is_none() && node.capacity.could_hold(request).is_ok()
        };
        self.nodes.iter().any(could)
    }

    /// The same jobs in another order: `order` has the present position of each.
    pub(crate) fn reordered(self, order: &[usize]) -> Workload {
        let constraints = moved(&self.constraints, order);
        let terms = moved(&self.terms, order);
        let jobs = order.iter().map(|i| self.jobs[*i].clone()).collect();
        Workload { jobs, constraints, terms, ..self }
    }

    /// How many jobs from a position on are submitted as one: the tasks of one job of a cluster's past.
    pub(crate) fn batch(&self, position: usize) -> usize {
        let Some(first) = self.jobs.get(position).filter(|_| self.terms.contains_key(&position)) else {
            return 1;
        };
        let same = |job: &&TraceJob| job.id == first.id && job.submit_ms == first.submit_ms;
        self.jobs[position..].iter().take_while(same).count()
    }

    /// Refuses a workload without jobs, and says where they went.
    pub(crate) fn not_empty(self, records: usize) -> Result<Workload, TraceError> {
        if !self.jobs.is_empty() {
            return Ok(self);
        }
        let rules: Vec<String> = self.dropped.iter().map(|(rule, n)| format!("{rule}: {n}")).collect();
        let why = match (rules.is_empty(), self.malformed.first.first()) {
            (false, _) => format!("dropped by {}", rules.join(", ")),
            (true, Some(first)) => format!("line {}: {}", first.line, first.why),
            (true, None) => "the file holds nothing but comments".to_owned(),
        };
        Err(TraceError::Empty { trace: self.name, records, malformed: self.malformed.total, why })
    }
}

/// What is kept beside jobs, after they have been put in another order.
fn moved<T: Clone>(of: &BTreeMap<usize, T>, order: &[usize]) -> BTreeMap<usize, T> {
    if of.is_empty() {
        return BTreeMap::new();
    }
    order.iter().enumerate().filter_map(|(new, old)| Some((new, of.get(old)?.clone()))).collect()
}

impl ClusterSettings {
    /// Whether some node that a queue uses could ever run something; `None` if there is no such queue.
    pub(crate) fn could_run(
        &self,
        queue: &str,
        nodes: &[NodeShape],
        request: &Request,
        constraint: &Constraint,
    ) -> Option<bool> {
        let (_, queue) = self.queues.iter().find(|(name, _)| name == queue)?;
        let pool = queue.pool.as_deref().unwrap_or(PoolConfig::DEFAULT);
        let allowed = |node: &NodeShape| {
            let labels = &node.labels;
            self.pool_of(labels) == pool
                && constraint.broken(labels).is_none()
                && queue.nodes.as_ref().is_none_or(|nodes| nodes.broken(labels).is_none())
        };
        Some(nodes.iter().any(|node| allowed(node) && node.capacity.could_hold(request).is_ok()))
    }

    /// The pool that has a node: the first that selects it.
    fn pool_of(&self, labels: &Labels) -> &str {
        let selects = |(name, pool): &&(String, PoolConfig)| {
            name != PoolConfig::DEFAULT && pool.nodes.broken(labels).is_none()
        };
        self.pools.iter().find(selects).map_or(PoolConfig::DEFAULT, |(name, _)| name)
    }
}

/// One node of `procs` cpus and nothing else: the machine of traces that know only processors.
pub fn machine(procs: u32) -> NodeShape {
    NodeShape {
        name: "machine".to_owned(),
        capacity: Capacity { amounts: cpus(procs), gpus: 0 },
        labels: Labels::new(),
    }
}

/// Whole cpus and nothing else.
pub fn cpus(procs: u32) -> Amounts {
    Amounts { cpu_milli: u64::from(procs) * 1_000, ..Amounts::default() }
}

/// A request for whole cpus and nothing else.
pub fn procs_request(procs: u32) -> Request {
    Request { amounts: cpus(procs), ..Request::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(submit_ms: u64, run_ms: u64, procs: u32) -> TraceJob {
        let request = procs_request(procs);
        TraceJob { id: 1, submit_ms, run_ms, request, estimate_ms: None, limit_ms: None, user: 0, procs }
    }

    #[test]
    fn load_is_work_over_capacity() {
        let jobs = vec![job(0, 5_000, 2), job(10_000, 5_000, 2)];
        let mut workload = Workload { jobs, nodes: vec![machine(4)], ..Workload::default() };
        assert_eq!(workload.offered_load(), Some(0.5));
        workload.jobs.pop();
        assert_eq!(workload.offered_load(), None, "all at once");
    }

    #[test]
    fn keeps_the_first_malformed_lines_and_counts_all() {
        let mut lines = MalformedLines::default();
        (1..=1_000).for_each(|line| lines.add(line, || "bad".to_owned()));
        assert_eq!((lines.first.len(), lines.total), (limits::MALFORMED_KEPT_MAX, 1_000));
    }

    #[test]
    fn an_empty_one_says_where_the_jobs_went() {
        let workload = Workload { name: "x".into(), ..Workload::default() };
        let why = workload.clone().not_empty(0).unwrap_err().to_string();
        assert!(why.contains("nothing but comments"), "{why}");
        let dropped = [("run_not_positive", 3)].into();
        let why = Workload { dropped, ..workload }.not_empty(3).unwrap_err().to_string();
        assert!(why.contains("3 records") && why.contains("run_not_positive: 3"), "{why}");
    }
}
