//! A cluster of one process: each change is an entry of a log, applied by `state`.

use super::Setup;
use crate::workload::{ClusterSettings, Terms, Workload};
use taskyard_model::report::Item;
use taskyard_model::spec::{Driver, Null};
use taskyard_model::{
    AttemptEnd, CutOutput, Fence, Finish, Incarnation, JobId, JobSpec, NodeId, Outcome, Plan, PoolConfig,
    Report, TaskRef, View, policy::OrderKey,
};
use taskyard_state::{Command, Entry, Event, KeepChange, Phase, Register, Reply, State, Submit};

/// A simulation that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The cluster refuses something.
    #[error("{what} was refused: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What came back.
        why: String,
    },
    /// Jobs that no node of the cluster can run, or that it never came to.
    #[error("{jobs} jobs never started: no node of the simulated cluster can hold them")]
    NeverStarted {
        /// How many.
        jobs: usize,
    },
    /// The shortcut starts something when the scheduler does not.
    #[error(
        "{what}: the shortcut for one machine and the scheduler do not agree, which is a mistake in Taskyard: simulate with --thorough, and report it"
    )]
    Disagreement {
        /// The run, or the job.
        what: String,
    },
}

/// The state, and where each job of the workload stands in it.
pub(super) struct SimulatedCluster<'w> {
    state: State,
    workload: &'w Workload,
    index: u64,
    pub(super) now_ms: u64,
    nodes: Vec<(NodeId, Incarnation)>,
    /// By position in the workload, as far as they were submitted.
    jobs: Vec<InState>,
    /// Position in the workload of the first task, by number of the job in the state, from 1.
    positions: Vec<usize>,
}

#[derive(Clone, Copy, Default)]
struct InState {
    id: JobId,
    index: u32,
    fence: Fence,
    node: NodeId,
}

impl<'w> SimulatedCluster<'w> {
    pub(super) fn new(workload: &'w Workload, setup: &Setup) -> Result<Self, EngineError> {
        let mut cluster = SimulatedCluster {
            state: State::new(),
            workload,
            index: 0,
            now_ms: 0,
            nodes: Vec::new(),
            jobs: Vec::new(),
            positions: Vec::new(),
        };
        let keep = KeepChange {
            max_jobs: Some(1),
            max_tasks: Some(1),
            // The memory is that of the user who simulates.
            state_bytes: Some(u64::MAX),
            ..KeepChange::default()
        };
        cluster.set("retention", Command::SetRetention(keep))?;
        match &workload.settings {
            Some(settings) => cluster.set_up(settings, setup)?,
            None => {
                let name = || PoolConfig::DEFAULT.to_owned();
                cluster.set("the pool", Command::SetPool { name: name(), config: setup.pool.clone() })?;
                cluster.set("the queue", Command::SetQueue { name: name(), config: setup.queue.clone() })?;
            }
        }
        for shape in &workload.nodes {
            let register = Register {
                name: shape.name.clone(),
                agent_uuid: shape.name.clone(),
                boot_id: String::new(),
                capacity: shape.capacity.clone(),
                labels: shape.labels.clone(),
                isolation: String::new(),
                lease_ms: 15_000,
                joined: None,
                replaces: None,
                unfit: None,
            };
            match cluster.apply(Command::Register(Box::new(register))).0 {
                Reply::Registered { node, incarnation } => cluster.nodes.push((node, incarnation)),
                reply => return Err(refused(&format!("node {}", shape.name), &reply)),
            }
        }
        Ok(cluster)
    }

    /// Makes the pools, queues and shares of a cluster that has a past.
    fn set_up(&mut self, settings: &ClusterSettings, setup: &Setup) -> Result<(), EngineError> {
        for (name, config) in &settings.pools {
            let config = setup.pool(config);
            self.set(&format!("pool {name}"), Command::SetPool { name: name.clone(), config })?;
        }
        for (name, config) in &settings.queues {
            let config = setup.queue(config);
            self.set(&format!("queue {name}"), Command::SetQueue { name: name.clone(), config })?;
        }
        for (account, user, weight) in settings.weights.iter().cloned() {
            let what = format!("the share of account {account}");
            self.set(&what, Command::SetShare { account, user, weight })?;
        }
        if let Some(ms) = settings.half_life_ms {
            self.set("the half-life", Command::SetHalfLife { ms })?;
        }
        Ok(())
    }

    pub(super) fn view(&self) -> &View {
        self.state.view()
    }

    fn set(&mut self, what: &str, command: Command) -> Result<(), EngineError> {
        match self.apply(command).0 {
            reply @ Reply::Rejected(_) => Err(refused(what, &reply)),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, command: Command) -> (Reply, Vec<Event>) {
        self.index += 1;
        let entry = Entry { now_ms: self.now_ms, wall_ms: self.now_ms, command };
        let applied = self.state.apply(self.index, &entry);
        (applied.reply, applied.events)
    }

    /// Submits a job of the workload, or several tasks as one job: they differ in nothing but how long they run.
    pub(super) fn submit(&mut self, position: usize, tasks: usize) -> Result<(), EngineError> {
        let job = &self.workload.jobs[position];
        let mut spec = JobSpec::command(Vec::new());
        spec.driver = Driver::Null(Null::default());
        spec.request = job.request.clone();
        spec.constraint = self.workload.constraints.get(&position).cloned().unwrap_or_default();
        spec.estimate_ms = job.estimate_ms;
        spec.time_limit_ms = job.limit_ms;
        spec.array.count = tasks as u32;
        let terms = self.workload.terms.get(&position);
        if let Some(terms) = terms {
            take_terms(&mut spec, terms);
        }
        let owner = terms.map_or(&self.workload.users[job.user as usize], |terms| &terms.owner).clone();
        let submit = Submit { spec, owner, request_id: String::new(), retry_of: None };
        let id = match self.apply(Command::Submit(Box::new(submit))).0 {
            Reply::Submitted { job, .. } => job,
            reply => return Err(refused(&format!("job {}", job.id), &reply)),
        };
        self.jobs.extend((0..tasks as u32).map(|index| InState { id, index, ..InState::default() }));
        self.positions.push(position);
        Ok(())
    }

    /// A job of the workload ends.
    pub(super) fn end(&mut self, position: usize, start_ms: u64) {
        let InState { id, index, fence, node } = self.jobs[position];
        let end = AttemptEnd {
            outcome: Outcome::Succeeded,
            code: 0,
            started_wall_ms: start_ms,
            ran_ms: self.now_ms - start_ms,
            cpu_ms: 0,
            max_rss_kib: 0,
            limit_ms: 0,
            cut: CutOutput::default(),
        };
        let finish = Finish { task: TaskRef { job: id, index }, fence, end };
        let (node, incarnation) = self.nodes[node.0 as usize - 1];
        let report = Report { node, incarnation, items: vec![Item::Finished(finish)] };
        self.apply(Command::Report(report));
    }

    /// Commits a plan; answers with the jobs that started, in its order.
    pub(super) fn carry_out(&mut self, plan: &Plan) -> Vec<usize> {
        let (_, events) = self.apply(Command::CommitPlan(plan.clone()));
        let fence = Fence(self.index);
        let mut started = Vec::with_capacity(events.len());
        let mut nodes = plan.assignments.iter().flat_map(|a| (0..a.count).map(|_| (a.job, a.node)));
        for event in &events {
            let &Event::Tasks { job, first, count, phase: Phase::Running } = event else { continue };
            for index in first..first + count {
                // Tasks start in the order of the plan; what it could not start is passed over.
                let Some((_, node)) = nodes.find(|(of, _)| *of == job) else { break };
                let position = self.positions[job.0 as usize - 1] + index as usize;
                self.jobs[position].fence = fence;
                self.jobs[position].node = node;
                started.push(position);
            }
        }
        started
    }

    /// Whether a job of the workload has been placed.
    pub(super) fn has_started(&self, position: usize) -> bool {
        self.jobs[position].fence != Fence::default()
    }

    /// The number of a job in the state.
    pub(super) fn id(&self, position: usize) -> JobId {
        self.jobs[position].id
    }

    /// A waiting job's place in the queue.
    pub(super) fn key(&self, position: usize) -> Option<OrderKey> {
        self.view().jobs.get(&self.id(position)).map(|job| job.key)
    }
}

/// What a job of a cluster's past says besides what traces know.
fn take_terms(spec: &mut JobSpec, terms: &Terms) {
    spec.queue.clone_from(&terms.queue);
    spec.account.clone_from(&terms.account);
    spec.priority = terms.priority;
    spec.affinity = terms.affinity.clone();
    spec.array.max_running = terms.max_running;
}

fn refused(what: &str, reply: &Reply) -> EngineError {
    EngineError::Refused { what: what.to_owned(), why: format!("{reply:?}") }
}
