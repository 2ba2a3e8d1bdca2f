//! Lives of agents.

use crate::State;
use crate::command::Register;
use crate::node::{Drained, Node, NodeHead};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use std::sync::Arc;
use taskyard_model::report::Returned;
use taskyard_model::{AttemptEnd, Fence, Incarnation, NodeId, Outcome, TaskRef, limits};

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
        let mut rival = None;
        let id = match known {
            Some(head) if head.registered.agent_uuid != register.agent_uuid && head.incarnation.is_some() => {
                return Reply::Rejected(Rejection::NameTaken(register.name.clone()));
            }
            Some(head) => {
                // A restart of one of the two leaves the other.
                rival = head.rival.filter(|_| head.registered.boot_id == register.boot_id);
                match head.incarnation {
                    Some(old) if register.replaces == Some(old) => drop(self.lost(head.id, old, 0, events)),
                    Some(_) => return Reply::Rejected(Rejection::StillAlive(register.name.clone())),
                    None => {}
                }
                head.id
            }
            None if self.core.nodes.len() >= limits::NODES_MAX => {
                return Reply::Rejected(Rejection::Limit("nodes", limits::NODES_MAX as u64));
            }
            None => NodeId(self.core.nodes.len() as u32 + 1),
        };
        let head = NodeHead {
            id,
            registered: register.clone(),
            incarnation: Some(incarnation),
            drained: known_drained(self, id),
            registered_wall_ms: self.core.clock.wall_ms,
            given: 0,
            ending: false,
            given_at: 0,
            removed: false,
            unfit: register.unfit.clone(),
            rival,
        };
        let node = Arc::new(Node::new(head));
        if id.0 as usize > self.core.nodes.len() {
            self.core.nodes.push_back(node);
        } else {
            self.core.nodes[id.0 as usize - 1] = node;
        }
        self.view_node(id);
        events.push(Event::NodeChanged { node: id, what: "registered", why: String::new() });
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
        let Some(node) = self.core.nodes.get((id.0 as usize).wrapping_sub(1)).cloned() else {
            return Reply::Rejected(Rejection::NoNode(id));
        };
        if node.head.incarnation != Some(incarnation) {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        }
        let mut ended = 0;
        for (key, run) in &node.runs {
            for index in key.first..key.first + run.count {
                ended += u64::from(end(self, TaskRef { job: key.job, index }, key.fence, events));
            }
        }
        if let Some(node) = self.node_mut(id) {
            node.head.incarnation = None;
            assert!(node.runs.is_empty() && node.jobs.is_empty(), "every assigned attempt is in a run");
        }
        self.view_node(id);
        events.push(Event::NodeChanged { node: id, what: "lost", why: String::new() });
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
        let was_held = record.phase == Phase::Queued;
        if !was_held {
            let gpus = self.node_mut(node).and_then(|n| n.gpus.remove(&task)).unwrap_or_default();
            self.view_give(node, &self.class(class), &gpus);
            self.runs_no_more(node, task, fence, class, &gpus);
        }
        self.attempt_gone(node, task, fence, class, was_held);
        // A held attempt may have started without anybody hearing of it, so it counts as lost too.
        let end = AttemptEnd {
            outcome: Outcome::AgentLost,
            code: AttemptEnd::NOT_SEEN,
            started_wall_ms: record.started_wall_ms,
            ran_ms: record.ran_until(until_ms),
            cpu_ms: 0,
            max_rss_kib: 0,
            limit_ms: 0,
        };
        let (whose, _) = self.whose(class);
        let ended = self.end_attempt(task, &end, events);
        self.count(whose, |used| used.ends(ended));
        self.settle_updated(task.job);
        true
    }

    /// Assigns nothing more to a life that is about to end.
    pub(crate) fn ending(&mut self, id: NodeId, incarnation: Incarnation, events: &mut Vec<Event>) -> Reply {
        match self.node_mut(id).filter(|n| n.head.incarnation == Some(incarnation)) {
            Some(node) => node.head.ending = true,
            None => return Reply::Rejected(Rejection::StaleIncarnation(incarnation)),
        }
        self.unready(id, events);
        Reply::Done
    }

    /// An agent says whether it can run tasks. What it runs goes on, what it holds comes back.
    pub(crate) fn node_health(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        unfit: Option<&str>,
        events: &mut Vec<Event>,
    ) -> Reply {
        let Some(node) = self.node_mut(id).filter(|n| n.head.incarnation == Some(incarnation)) else {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        };
        node.head.unfit = unfit.map(str::to_owned);
        self.unready(id, events);
        Reply::Done
    }

    /// Two machines say that they are this node, or only one is left of them.
    pub(crate) fn quarantine(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        rival: Option<&str>,
        events: &mut Vec<Event>,
    ) -> Reply {
        let Some(node) = self.node_mut(id).filter(|n| n.head.incarnation == Some(incarnation)) else {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        };
        node.head.rival = rival.map(str::to_owned);
        self.unready(id, events);
        Reply::Done
    }

    /// Shows whether a node takes work; one that does not gives back what it holds.
    fn unready(&mut self, id: NodeId, events: &mut Vec<Event>) {
        let before = self.view.node(id).and_then(|view| view.unready.clone());
        self.view_node(id);
        match self.node(id).and_then(|node| node.head.unready()) {
            after if after == before => {}
            Some(why) => events.push(Event::NodeUnready { node: id, why }),
            None => events.push(Event::NodeChanged { node: id, what: "ready", why: String::new() }),
        }
        let Some(node) = self.node(id).filter(|n| n.head.drained.is_some() || n.head.unready().is_some())
        else {
            return;
        };
        let held: Vec<_> = node.jobs.iter().filter(|(_, here)| here.held > 0).map(|(job, _)| *job).collect();
        for job in held {
            self.recall(&taskyard_model::Recall { job, node: id });
        }
    }

    /// Lets a node take no new work, or take it again.
    pub(crate) fn drain(&mut self, id: NodeId, drained: Option<Drained>, events: &mut Vec<Event>) -> Reply {
        let Some(node) = self.node_mut(id) else { return Reply::Rejected(Rejection::NoNode(id)) };
        let (what, why) = match &drained {
            Some(drained) => ("draining", drained.reason.clone()),
            None => ("resumed", String::new()),
        };
        node.head.drained = drained;
        if node.head.drained.is_none() {
            // Who resumes a node vouches for it, until the other machine calls again.
            node.head.rival = None;
        }
        events.push(Event::NodeChanged { node: id, what, why });
        self.unready(id, events);
        Reply::Done
    }
}

/// A node that was drained and comes back stays drained; one that was removed in between is another.
fn known_drained(state: &State, id: NodeId) -> Option<Drained> {
    let known = state.core.nodes.get(id.0 as usize - 1)?;
    known.head.drained.clone().filter(|_| !known.head.removed)
}
