//! A small world of jobs and agents around the state, for tests that drive `apply`.

use std::collections::BTreeMap;
use taskyard_model::report::Item;
use taskyard_model::{
    Amounts, ArraySpec, Assignment, AttemptEnd, Capacity, CutOutput, Fence, Finish, Incarnation, JobId,
    JobSpec, Need, NodeId, Outcome, Plan, Report, Start, TaskRef,
};
use taskyard_state::{Command, Entry, Event, Phase, Register, Reply, State, Submit};

/// An attempt as its agent sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) task: TaskRef,
    pub(crate) fence: Fence,
    pub(crate) running: bool,
}

/// An agent, as far as it knows.
pub(crate) struct Agent {
    pub(crate) incarnation: Incarnation,
    /// The fence of the last assignment that it heard of.
    pub(crate) seen: Fence,
    /// What it was given and has not reported as ended.
    pub(crate) held: Vec<Held>,
}

/// The state, and agents that do as they are told.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) index: u64,
    pub(crate) now_ms: u64,
    /// How far the wall clock has gone on while nobody counted.
    pub(crate) wall_ahead_ms: u64,
    pub(crate) agents: BTreeMap<NodeId, Agent>,
    pub(crate) terminal: BTreeMap<TaskRef, Phase>,
    /// What the last command changed.
    pub(crate) events: Vec<Event>,
    /// How jobs ended.
    pub(crate) ended: BTreeMap<JobId, Phase>,
    /// Starts of tasks that had predecessors.
    pub(crate) starts_checked: u64,
}

impl World {
    pub(crate) fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let applied = self.state.apply(
            self.index,
            &Entry { now_ms: self.now_ms, wall_ms: 1_000_000 + self.wall_ahead_ms + self.now_ms, command },
        );
        for event in &applied.events {
            self.check_terminal(event);
            self.check_predecessors(event);
        }
        for (node, Agent { incarnation, seen, held }) in &mut self.agents {
            if !self.state.is_alive(*node, *incarnation) {
                held.clear();
                continue;
            }
            for run in self.state.assigned_after(*node, *seen, u32::MAX) {
                *seen = run.fence;
                let tasks = (run.first..run.first + run.count).map(|index| TaskRef { job: run.job, index });
                held.extend(tasks.map(|task| Held { task, fence: run.fence, running: !run.prefetched }));
            }
        }
        self.events = applied.events;
        applied.reply
    }

    /// Terminal is for ever.
    pub(crate) fn check_terminal(&mut self, event: &Event) {
        if let Event::Tasks { job, first, count, phase } = *event {
            for index in first..first + count {
                let task = TaskRef { job, index };
                assert_eq!(self.terminal.get(&task), None, "{task:?} goes to {phase:?} after its end");
                if phase.is_terminal() {
                    self.terminal.insert(task, phase);
                }
            }
        }
    }

    /// No task is assigned before each predecessor has ended as needed.
    pub(crate) fn check_predecessors(&mut self, event: &Event) {
        match *event {
            Event::JobFinished { job, phase } => {
                assert_eq!(self.ended.insert(job, phase), None, "job {job} ends twice")
            }
            Event::Tasks { job, phase: Phase::Queued | Phase::Running, .. } => {
                let head = &self.state.job(job).unwrap().head;
                assert!(
                    head.begin.is_none_or(|b| b.at_ms <= self.now_ms),
                    "job {job} started before its time"
                );
                let after = self.state.job(job).unwrap().spec.after.clone();
                self.starts_checked += after.len() as u64;
                for after in after {
                    let end = self.ended.get(&after.job);
                    let fits = end.is_some_and(|phase| match after.need {
                        Need::Ok => *phase == Phase::Succeeded,
                        Need::Any => true,
                        Need::Fail => [Phase::Failed, Phase::Cancelled].contains(phase),
                    });
                    assert!(
                        fits,
                        "job {job} started before its predecessor ended as needed: {after}, but {end:?}"
                    );
                }
            }
            _ => {}
        }
    }

    pub(crate) fn register(&mut self, name: &str, cpus: u64) -> NodeId {
        let reply = self.try_register(name, cpus, None);
        let Reply::Registered { node, .. } = reply else { panic!("{reply:?}") };
        node
    }

    /// With the certificate that was gotten by this entry.
    pub(crate) fn try_register(&mut self, name: &str, cpus: u64, joined: Option<u64>) -> Reply {
        let amounts = Amounts { cpu_milli: cpus * 1_000, memory: 1 << 30, ..Amounts::default() };
        let register = Register {
            name: name.into(),
            agent_uuid: name.into(),
            boot_id: "b".into(),
            capacity: Capacity { amounts, gpus: 1 },
            labels: [("name".to_owned(), name.to_owned())].into(),
            isolation: "none".into(),
            lease_ms: 15_000,
            joined,
            replaces: self.state.node_named(name).and_then(|node| node.head.status.incarnation()),
            unfit: None,
        };
        let reply = self.apply(Command::Register(Box::new(register)));
        if let Reply::Registered { node, incarnation } = reply {
            self.agents.insert(node, Agent { incarnation, seen: Fence(self.index), held: Vec::new() });
        }
        reply
    }

    pub(crate) fn submit(&mut self, change: impl FnOnce(&mut JobSpec)) -> JobId {
        match self.try_submit(change) {
            Reply::Submitted { job, .. } => job,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn try_submit(&mut self, change: impl FnOnce(&mut JobSpec)) -> Reply {
        let mut spec = JobSpec::command(vec!["true".into()]);
        change(&mut spec);
        let submit = Submit { spec, owner: "ann".into(), request_id: String::new(), retry_of: None };
        self.apply(Command::Submit(Box::new(submit)))
    }

    /// Time passes, and what is due by then is done.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.apply(Command::Pulse);
    }

    pub(crate) fn assign(&mut self, job: JobId, node: NodeId, count: u32, prefetch: bool) -> u64 {
        let incarnation = self.agents[&node].incarnation;
        let plan = Plan {
            assignments: vec![Assignment { job, count, node, incarnation, prefetch }],
            recalls: vec![],
        };
        let Reply::Planned { accepted, .. } = self.apply(Command::CommitPlan(plan)) else { panic!() };
        accepted
    }

    pub(crate) fn report(&mut self, node: NodeId, items: Vec<Item>) -> Reply {
        let incarnation = self.agents[&node].incarnation;
        self.apply(Command::Report(Report { node, incarnation, items }))
    }

    pub(crate) fn finish(&mut self, node: NodeId, which: usize, outcome: Outcome) {
        let held = self.agents.get_mut(&node).unwrap().held.remove(which);
        self.report(node, vec![finished(held, outcome)]);
    }

    pub(crate) fn phase(&self, job: JobId, index: u32) -> Phase {
        self.state.job(job).unwrap().record(index).unwrap().phase
    }

    pub(crate) fn check(&self) {
        let mut bytes = Vec::new();
        self.state.freeze().write(&mut bytes).unwrap();
        let again = State::read_snapshot(&mut bytes.as_slice(), None).unwrap();
        let room = |state: &State| (state.bytes(), state.kept());
        assert_eq!(room(&again), room(&self.state), "what was counted in step is what is counted anew");
        assert_eq!(again.digest(), self.state.digest(), "a snapshot reads back to the same state");
        let mut view = self.state.view().clone();
        view.classes.iter_mut().for_each(|c| c.typical_us = None);
        assert_eq!(again.view(), &view, "the view kept in step is the view made anew");
        let used = |state: &State| state.usage().since(0);
        assert_eq!(used(&again), used(&self.state), "what was used, and runs, reads back");
        for node in &self.state.view().nodes {
            let used: u64 = node.capacity.amounts.cpu_milli - node.free.cpu_milli;
            let of_classes: u64 = node
                .by_class
                .iter()
                .map(|(c, n)| {
                    u64::from(n.running) * self.state.view().class(*c).unwrap().request.amounts.cpu_milli
                })
                .sum();
            assert_eq!(used, of_classes, "what is taken is what runs");
        }
        for job in self.state.jobs_before(None) {
            let sum: u32 = Phase::ALL.iter().map(|p| job.count(*p)).sum();
            assert_eq!(sum, job.tasks());
            let mut counted = [0; Phase::ALL.len()];
            job.each_record(0, |_, record| {
                counted[record.phase as usize] += 1;
                true
            });
            assert_eq!(counted, Phase::ALL.map(|p| job.count(p)), "job {}", job.head.id);
            for predecessor in job.waits_for() {
                let waits = !job.is_finished() && !self.state.job(predecessor).unwrap().is_finished();
                assert!(waits, "job {} waits for job {predecessor}, in vain", job.head.id);
            }
        }
    }
}

pub(crate) fn finished(held: Held, outcome: Outcome) -> Item {
    let end = AttemptEnd {
        outcome,
        code: 0,
        started_wall_ms: 5,
        ran_ms: 7,
        cpu_ms: 1,
        max_rss_kib: 900,
        limit_ms: 0,
        cut: CutOutput::default(),
    };
    Item::Finished(Finish { task: held.task, fence: held.fence, end })
}

pub(crate) fn started(held: Held) -> Item {
    Item::Started(Start { task: held.task, fence: held.fence, started_wall_ms: 5 })
}

pub(crate) fn array(count: u32) -> ArraySpec {
    ArraySpec { count, ..ArraySpec::single() }
}
