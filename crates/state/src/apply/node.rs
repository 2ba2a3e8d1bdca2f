//! Lives of agents.

use crate::command::Register;
use crate::node::{Node, NodeHead};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::state::State;
use std::sync::Arc;
use taskyard_model::report::Returned;
use taskyard_model::{
    AttemptEnd, Drain, Fence, Incarnation, JobId, NodeChange, NodeId, NodeStatus, Outcome, Recall, TaskRef,
    limits,
};

impl State {
    /// A new life of an agent. An older one that has not ended stands in its way, unless the agent has seen it dead: a copy of a data directory
    /// must not end the life of the agent that it was copied from.
    pub(crate) fn register(&mut self, register: &Register, events: &mut Vec<Event>) -> Reply {
        let incarnation = Incarnation(self.core.clock.index);
        if register.joined.is_some_and(|joined| self.is_node_removed(&register.name, joined)) {
            return Reply::Rejected(Rejection::NodeRemoved(register.name.clone()));
        }
        let known =
            self.core.nodes.iter().find(|n| n.head.registered.name == register.name).map(|n| n.head.clone());
        let mut same_boot = false;
        let id = match known {
            Some(head) if head.registered.agent_uuid != register.agent_uuid && head.status.is_alive() => {
                return Reply::Rejected(Rejection::NameTaken(register.name.clone()));
            }
            Some(head) => {
                same_boot = head.registered.boot_id == register.boot_id;
                match head.status.incarnation() {
                    Some(old) if register.replaces == Some(old) => drop(self.lost(head.id, old, 0, events)),
                    Some(_) => return Reply::Rejected(Rejection::StillAlive(register.name.clone())),
                    None => {}
                }
                head.id
            }
            None if self.core.nodes.len() >= limits::NODES_MAX => {
                return Reply::Rejected(Rejection::Limit("nodes", limits::NODES_MAX as u64));
            }
            None => self.core.nodes.next_id(),
        };
        let mut status = self.node(id).map(|known| known.head.status.clone()).unwrap_or_default();
        status.register(incarnation, register.unfit.as_deref(), same_boot);
        let head = NodeHead {
            id,
            registered: register.clone(),
            status,
            registered_wall_ms: self.core.clock.wall_ms,
            given: 0,
            given_at: 0,
        };
        let node = Arc::new(Node::new(head));
        self.core.nodes.put(id, node);
        self.show_node(id);
        events.push(Event::NodeChanged { node: id, change: NodeChange::Registered, why: String::new() });
        Reply::Registered { node: id, incarnation }
    }

    /// An agent's life ended. Its attempts are over, and their resources with them. They ran at least until the agent was last heard of.
    pub(crate) fn lost(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        silent_ms: u64,
        events: &mut Vec<Event>,
    ) -> Reply {
        let until_ms = self.core.clock.now_ms.saturating_sub(silent_ms);
        let lose = |state: &mut State, task, fence, events: &mut Vec<Event>| {
            state.lose_attempt(id, task, fence, until_ms, events)
        };
        self.end_life(id, incarnation, lose, events)
    }

    /// An agent left. What it was given and did not report never started, so it is as if it had not been assigned.
    pub(crate) fn left(&mut self, id: NodeId, incarnation: Incarnation, events: &mut Vec<Event>) -> Reply {
        let give_back = |state: &mut State, task, fence, events: &mut Vec<Event>| {
            state.returned(id, &Returned { task, fence }, events)
        };
        self.end_life(id, incarnation, give_back, events)
    }

    fn end_life(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        end: impl Fn(&mut State, TaskRef, Fence, &mut Vec<Event>) -> bool,
        events: &mut Vec<Event>,
    ) -> Reply {
        let Some(node) = self.core.nodes.get(id).cloned() else {
            return Reply::Rejected(Rejection::NoNode(id));
        };
        if node.head.status.incarnation() != Some(incarnation) {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        }
        let mut ended = 0;
        for (key, run) in &node.runs {
            for index in key.first..key.first + run.count {
                ended += u64::from(end(self, TaskRef { job: key.job, index }, key.fence, events));
            }
        }
        if let Some(node) = self.core.node_mut(id) {
            node.head.status.lose();
            assert!(node.runs.is_empty() && node.jobs.is_empty(), "every assigned attempt is in a run");
        }
        self.show_node(id);
        events.push(Event::NodeChanged { node: id, change: NodeChange::Lost, why: String::new() });
        Reply::Changed { tasks: ended }
    }

    fn lose_attempt(
        &mut self,
        node: NodeId,
        task: TaskRef,
        fence: Fence,
        until_ms: u64,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(job) = self.core.jobs.get(&task.job) else { return false };
        let class = job.head.class;
        let record =
            job.record(task.index).filter(|r| r.phase.is_assigned() && r.fence == fence && r.node == node);
        let Some(record) = record else { return false };
        let was_prefetched = record.phase == Phase::Queued;
        if !was_prefetched {
            let gpus = self.core.node_mut(node).and_then(|n| n.gpus.remove(&task)).unwrap_or_default();
            self.give_place(node, &Arc::clone(self.core.class(class)), &gpus);
            self.runs_no_more(node, task, fence, class, &gpus);
        }
        self.attempt_gone(node, task, fence, class, was_prefetched);
        // A held attempt may have started without anybody hearing of it, so it counts as lost too.
        let end = AttemptEnd {
            outcome: Outcome::AgentLost,
            code: AttemptEnd::NOT_SEEN,
            started_wall_ms: record.started_wall_ms,
            ran_ms: record.ran_until(until_ms),
            ..AttemptEnd::without_run(Outcome::AgentLost)
        };
        let (whose, _) = self.whose(class);
        let ended = self.end_attempt(task, &end, events);
        self.lookup.meter.count(whose, |used| used.ends(ended));
        self.settle_updated(task.job);
        true
    }

    /// Assigns nothing more to a life that is about to end.
    pub(crate) fn ending(&mut self, id: NodeId, incarnation: Incarnation, events: &mut Vec<Event>) -> Reply {
        self.agent_says(id, incarnation, NodeStatus::stop, events)
    }

    /// An agent says whether it can run tasks.
    pub(crate) fn node_health(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        unfit: Option<&str>,
        events: &mut Vec<Event>,
    ) -> Reply {
        self.agent_says(id, incarnation, |status| status.set_health(unfit), events)
    }

    /// Two machines say that they are this node, or only one is left of them.
    pub(crate) fn quarantine(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        rival: Option<&str>,
        events: &mut Vec<Event>,
    ) -> Reply {
        self.agent_says(id, incarnation, |status| status.set_rival(rival), events)
    }

    /// The present life of a node's agent changes its status.
    fn agent_says(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        transition: impl FnOnce(&mut NodeStatus),
        events: &mut Vec<Event>,
    ) -> Reply {
        if !self.is_alive(id, incarnation) {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        }
        self.change_status(id, transition, events);
        Reply::Done
    }

    /// Lets a node take no new work, or take it again.
    pub(crate) fn drain(&mut self, id: NodeId, drain: Option<Drain>, events: &mut Vec<Event>) -> Reply {
        if self.node(id).is_none() {
            return Reply::Rejected(Rejection::NoNode(id));
        }
        let (change, why) = match &drain {
            Some(drain) => (NodeChange::Drained, drain.reason.clone()),
            None => (NodeChange::Resumed, String::new()),
        };
        events.push(Event::NodeChanged { node: id, change, why });
        let transition = |status: &mut NodeStatus| match drain {
            Some(drain) => status.drain(drain),
            None => status.resume(),
        };
        self.change_status(id, transition, events);
        Reply::Done
    }

    /// Changes a node's status, and shows it. What a node runs goes on; one that takes no new work gives back what it only holds.
    fn change_status(
        &mut self,
        id: NodeId,
        transition: impl FnOnce(&mut NodeStatus),
        events: &mut Vec<Event>,
    ) {
        let Some(node) = self.core.node_mut(id) else { return };
        let before = node.head.status.clone();
        transition(&mut node.head.status);
        let after = node.head.status.clone();
        let prefetched = node.jobs.iter().filter(|(_, here)| here.prefetched > 0).map(|(job, _)| *job);
        let prefetched: Vec<JobId> =
            if after.takes_work().is_err() { prefetched.collect() } else { Vec::new() };
        self.show_node(id);
        if let Some(change) = after.agent_change(&before) {
            let why = after.unready().unwrap_or_default().into_owned();
            events.push(Event::NodeChanged { node: id, change, why });
        }
        for job in prefetched {
            self.recall(&Recall { job, node: id });
        }
    }
}
