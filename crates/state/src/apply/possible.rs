//! Whether any node could ever hold a task of a job, and what comes closest if none can.

use crate::state::State;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use taskyard_model::constraint::Term;
use taskyard_model::resources::Short;
use taskyard_model::{Constraint, Invalid, JobSpec, NodeState, NodeView, QueueId};

/// What the nodes of a queue's pool let a job expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// Some node that takes work could run a task of it.
    Runs,
    /// Nodes could, but none of them takes work: they are in these states.
    Away(BTreeSet<NodeState>),
    /// The pool of this name has no nodes: nobody knows what they will be.
    NoNodes(String),
    /// None could, even if it were empty. It says which wish is in the way, and what comes closest.
    Impossible(Invalid),
}

impl State {
    /// What a job may expect in its queue; `None` if there is no such queue.
    pub fn prospect(&self, spec: &JobSpec) -> Option<Prospect> {
        let queue = self.core.queue_named(&spec.queue)?;
        if self.nodes_of(queue).next().is_none() {
            return Some(Prospect::NoNodes(self.pool_name(queue).to_owned()));
        }
        if let Some(why) = self.impossible(queue, spec) {
            return Some(Prospect::Impossible(why));
        }
        let constraint = self.core.constraint(queue, spec);
        let could = self.nodes_of(queue).filter(|n| n.could_hold(&spec.request, &constraint).is_ok());
        let states: BTreeSet<NodeState> = could.map(|node| node.status.state()).collect();
        Some(if states.contains(&NodeState::Up) { Prospect::Runs } else { Prospect::Away(states) })
    }

    /// Why no node of the queue's pool could ever run a task of a job; `None` if one could.
    fn impossible(&self, queue: QueueId, spec: &JobSpec) -> Option<Invalid> {
        let constraint = self.core.constraint(queue, spec);
        if self.nodes_of(queue).any(|n| n.could_hold(&spec.request, &constraint).is_ok()) {
            return None;
        }
        let lacks = self.nodes_of(queue).map(|node| Lack::of(node, spec, &constraint));
        let nearest = lacks.min_by_key(Lack::distance)?;
        let pool = self.pool_name(queue);
        Some(match nearest.broken.first() {
            Some(term) if spec.constraint.0.contains(term) => {
                let rest = if spec.constraint.0.len() > 1 { " and the rest" } else { "" };
                let remedy = format!("no node of pool {pool} meets \"{term}\"{rest}; {}", nearest.terms());
                Invalid::new("constraint", &spec.constraint, remedy)
            }
            Some(term) => {
                let remedy =
                    format!("pool {pool} has no node for this queue, which takes those with \"{term}\" only");
                Invalid::new("queue", &spec.queue, remedy)
            }
            None => nearest.amounts(pool, &constraint),
        })
    }

    /// The nodes of the queue's pool, up or down, without those that were removed.
    fn nodes_of(&self, queue: QueueId) -> impl Iterator<Item = &NodeView> {
        let pool = self.view.queues[queue].pool;
        let there = self.view.nodes.iter().zip(self.core.nodes.iter());
        there
            .filter(move |(view, node)| view.pool == pool && !node.head.status.is_removed())
            .map(|(view, _)| view)
    }

    fn pool_name(&self, queue: QueueId) -> &str {
        let pool = self.view.queues[queue].pool;
        self.view.pool(pool).map_or("", |pool| pool.name.as_str())
    }
}

/// What stands between a node and a job.
struct Lack<'a> {
    node: &'a NodeView,
    broken: Vec<&'a Term>,
    short: Vec<Short>,
}

impl<'a> Lack<'a> {
    fn of(node: &'a NodeView, spec: &JobSpec, constraint: &'a Constraint) -> Lack<'a> {
        let broken = constraint.0.iter().filter(|term| !term.holds(&node.labels)).collect();
        Lack { node, broken, short: node.capacity.lacks(&spec.request) }
    }

    /// Nearest is what breaks the fewest terms, then what is short of the fewest amounts, then what has most of these.
    fn distance(&self) -> (usize, usize, Reverse<u128>) {
        let milli = |short: &Short| u128::from(short.there) * 1_000 / u128::from(short.asked.max(1));
        (self.broken.len(), self.short.len(), Reverse(self.short.iter().map(milli).sum()))
    }

    fn terms(&self) -> String {
        let broken: Vec<String> = self.broken.iter().map(|term| format!("\"{term}\"")).collect();
        format!("{} comes closest, and fits without {}", self.node.name, broken.join(" and "))
    }

    /// The first amount that is too much; the remedy has all of them.
    fn amounts(&self, pool: &str, constraint: &Constraint) -> Invalid {
        let Some(first) = self.short.first() else { return Invalid::new("job", "", "no node could run it") };
        let most: Vec<String> = self.short.iter().map(most).collect();
        let which = if constraint.0.is_empty() { "" } else { " that meets the constraint" };
        let remedy = format!(
            "no node of pool {pool}{which} has that much, even when empty; {} comes closest: {}",
            self.node.name,
            most.join(", ")
        );
        let field = field(&first.resource);
        let asked = first.show(first.asked);
        // As it is typed, since a number alone does not tell of which resource.
        let value = if field == "resources" { format!("{}={asked}", first.resource) } else { asked };
        Invalid::new(field, value, remedy)
    }
}

fn most(short: &Short) -> String {
    let Short { resource, there, .. } = short;
    match there {
        0 => format!("request no {resource}"),
        there => format!("request at most {}", short.phrase(*there)),
    }
}

/// The field of a job that asks for a resource.
fn field(resource: &str) -> &str {
    match resource {
        "cpu" => "cpus",
        "gpu" => "gpus",
        "memory" => "memory",
        _ => "resources",
    }
}
