//! Lives of agents.

use crate::State;
use crate::command::Register;
use crate::node::{Node, NodeHead};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use std::sync::Arc;
use taskyard_model::{AttemptEnd, Incarnation, NodeId, Outcome, TaskRef, limits};

impl State {
    /// A new life of an agent. Nothing of an older one runs: the agent has made sure, or it is another boot of the machine.
    pub(crate) fn register(&mut self, register: &Register, events: &mut Vec<Event>) -> Reply {
        let incarnation = Incarnation(self.core.clock.index);
        if register.joined.is_some_and(|joined| self.is_node_removed(&register.name, joined)) {
            return Reply::Rejected(Rejection::NodeRemoved(register.name.clone()));
        }
        let known =
            self.core.nodes.iter().find(|n| n.head.registered.name == register.name).map(|n| n.head.clone());
        let id = match known {
            Some(head) if head.registered.agent_uuid != register.agent_uuid && head.incarnation.is_some() => {
                return Reply::Rejected(Rejection::NameTaken(register.name.clone()));
            }
            Some(head) => {
                if let Some(old) = head.incarnation {
                    self.lost(head.id, old, events);
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
            draining: known_draining(self, id),
            registered_wall_ms: self.core.clock.wall_ms,
            given: 0,
            ending: false,
            given_at: 0,
            removed: false,
        };
        let node = Arc::new(Node::new(head));
        if id.0 as usize > self.core.nodes.len() {
            self.core.nodes.push_back(node);
        } else {
            self.core.nodes[id.0 as usize - 1] = node;
        }
        self.view_node(id);
        events.push(Event::NodeChanged { node: id, what: "registered" });
        Reply::Registered { node: id, incarnation }
    }

    /// An agent's life ended. Its attempts are over, and their resources with them.
    pub(crate) fn lost(&mut self, id: NodeId, incarnation: Incarnation, events: &mut Vec<Event>) -> Reply {
        let Some(node) = self.core.nodes.get((id.0 as usize).wrapping_sub(1)).cloned() else {
            return Reply::Rejected(Rejection::NoNode(id));
        };
        if node.head.incarnation != Some(incarnation) {
            return Reply::Rejected(Rejection::StaleIncarnation(incarnation));
        }
        let mut ended = 0;
        for (key, run) in &node.runs {
            for index in key.first..key.first + run.count {
                ended += u64::from(self.lose_attempt(id, TaskRef { job: key.job, index }, key.fence, events));
            }
        }
        if let Some(node) = self.node_mut(id) {
            node.head.incarnation = None;
            assert!(node.runs.is_empty() && node.jobs.is_empty(), "every assigned attempt is in a run");
        }
        self.view_node(id);
        events.push(Event::NodeChanged { node: id, what: "lost" });
        Reply::Changed { tasks: ended }
    }

    fn lose_attempt(
        &mut self,
        node: NodeId,
        task: TaskRef,
        fence: taskyard_model::Fence,
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
            code: 0,
            started_wall_ms: record.started_wall_ms,
            ran_ms: 0,
            cpu_ms: 0,
            max_rss_kib: 0,
        };
        let (whose, _) = self.whose(class);
        let ended = self.end_attempt(task, &end, events);
        self.count(whose, |used| used.ends(ended));
        true
    }

    /// Assigns nothing more to a life that is about to end.
    pub(crate) fn ending(&mut self, id: NodeId, incarnation: Incarnation) -> Reply {
        match self.node_mut(id).filter(|n| n.head.incarnation == Some(incarnation)) {
            Some(node) => node.head.ending = true,
            None => return Reply::Rejected(Rejection::StaleIncarnation(incarnation)),
        }
        self.view_node(id);
        Reply::Done
    }

    pub(crate) fn drain(&mut self, id: NodeId, draining: bool, events: &mut Vec<Event>) -> Reply {
        let Some(node) = self.node_mut(id) else { return Reply::Rejected(Rejection::NoNode(id)) };
        node.head.draining = draining;
        let held: Vec<_> = node.jobs.iter().filter(|(_, here)| here.held > 0).map(|(job, _)| *job).collect();
        self.view_node(id);
        events.push(Event::NodeChanged { node: id, what: if draining { "draining" } else { "resumed" } });
        for job in held.into_iter().filter(|_| draining) {
            self.recall(&taskyard_model::Recall { job, node: id });
        }
        Reply::Done
    }
}

/// A node that was drained and comes back stays drained; one that was removed in between is another.
fn known_draining(state: &State, id: NodeId) -> bool {
    state.core.nodes.get(id.0 as usize - 1).is_some_and(|n| n.head.draining && !n.head.removed)
}
