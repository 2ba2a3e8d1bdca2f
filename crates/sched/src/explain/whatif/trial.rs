//! The view with one job changed, and what the planner makes of it.

use super::Dimension;
use crate::pass::{Budget, Pass};
use crate::schedule::schedule;
use taskyard_model::policy::{Orderable, size};
use taskyard_model::{
    ClassView, Constraint, Incarnation, JobId, JobView, NodeId, NodeView, Placement, QueueView, View, limits,
};

/// What a class looked at costs a pass, in nodes.
const CLASS_IN_NODES: u64 = 16;
/// A task placed likewise.
const PLACED_IN_NODES: u64 = 64;
/// Steps at which ranks are compared, besides both ends, to see whether a change ever moves a job back.
const RANKS_COMPARED: u64 = 64;

/// The budget is spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent;

/// A view of its own in which the job stands in a class of its own.
pub(super) struct Trial {
    view: View,
    job: JobId,
    /// As the job is.
    class: ClassView,
    job_view: JobView,
    /// Nodes as they are that the last change has touched, by position.
    changed: Vec<(usize, NodeView)>,
    nodes_left: u64,
    passes_left: u32,
}

impl Trial {
    /// `None` if no task of the job waits for the planner, nor for others of its own to end.
    pub(super) fn of(view: &View, job: JobId) -> Option<Trial> {
        let job_view =
            view.jobs.get(&job).filter(|job| JobView { max_running: None, ..**job }.placeable() > 0)?;
        let mut view = view.clone();
        let of = job_view.class;
        view.set_waiting(job_view.stand(), false);
        let old = view.classes.get_mut(of)?;
        old.jobs = old.jobs.saturating_sub(1);
        let mut class = old.clone();
        class.id = view.classes.next_id();
        class.jobs = 1;
        // What runs of the job counts with the class that it had.
        class.running = 0;
        (class.waiting, class.by_age) = Default::default();
        let old = std::mem::replace(&mut view.jobs.get_mut(&job)?.class, class.id);
        if class.affinity.is_apart() {
            // Its other tasks are of this class too: nothing of it goes where they are.
            for node in &mut view.nodes {
                if let Some(here) = node.by_class.get(&old).copied() {
                    node.by_class.insert(class.id, here);
                }
            }
        }
        view.set_class(class.clone());
        let job_view = view.jobs.get(&job)?.clone();
        view.set_waiting(job_view.stand(), job_view.placeable() > 0);
        let (nodes_left, passes_left) = (limits::WHATIF_NODES_MAX, limits::WHATIF_PASSES_MAX);
        Some(Trial { view, job, class, job_view, changed: Vec::new(), nodes_left, passes_left })
    }

    /// What can be changed.
    pub(super) fn dimensions(&self) -> Vec<Dimension> {
        Dimension::of(&self.view, &self.job_view, &self.class)
    }

    /// What the job asks for.
    pub(super) fn class(&self) -> &ClassView {
        &self.class
    }

    /// Where a task is placed as things are.
    pub(super) fn unchanged(&mut self) -> Result<Option<NodeId>, Spent> {
        self.placed()
    }

    /// Where a task is placed when the job is changed by a number of steps.
    pub(super) fn with(&mut self, dimension: &Dimension, step: u64) -> Result<Option<NodeId>, Spent> {
        self.set(dimension, step);
        self.placed()
    }

    /// The same by `schedule` as it is called for real. `None` also if one step less is enough.
    pub(super) fn verified(&mut self, dimension: &Dimension, step: u64) -> Result<Option<NodeId>, Spent> {
        if step > 1 && self.with(dimension, step - 1)?.is_some() {
            return Ok(None);
        }
        self.set(dimension, step);
        let plan = schedule(&self.view, Budget::default());
        Ok(plan.assignments.iter().find(|a| a.job == self.job && !a.prefetch).map(|a| a.node))
    }

    /// Whether a step that is enough makes all larger ones enough: the job moves ahead in its queue, or stays, the more
    /// it is changed, and those before it are placed where they were.
    pub(super) fn is_ordered(&self, dimension: &Dimension, steps: u64) -> bool {
        let placement = self.view.pool(self.view.pool_of(&self.class)).map(|pool| pool.config.placement);
        // These two look at all nodes with room for the smallest request that waits, and that may be this one.
        let by_all = matches!(placement, Some(Placement::RandomOfTwo | Placement::Spread));
        let least = matches!(dimension, Dimension::Cpu | Dimension::Memory);
        !(by_all && least) && self.moves_ahead(dimension, steps)
    }

    fn moves_ahead(&self, dimension: &Dimension, steps: u64) -> bool {
        let mut last = self.job_view.key;
        let at = |n: u64| u64::try_from(u128::from(steps) * u128::from(n) / u128::from(RANKS_COMPARED));
        let steps = (0..=RANKS_COMPARED).map(|n| at(n).unwrap_or(steps).max(1));
        let mut keys = steps.map(|step| self.changed_job(dimension, step).map(|(_, job)| job.key));
        keys.all(|key| {
            let is_ahead = key.is_some_and(|key| key <= last);
            last = key.unwrap_or(last);
            is_ahead
        })
    }

    /// The job and its class if it were changed by a number of steps.
    fn changed_job(&self, dimension: &Dimension, step: u64) -> Option<(ClassView, JobView)> {
        let (mut class, mut job) = (self.class.clone(), self.job_view.clone());
        dimension.change(&mut class, step);
        let value = dimension.value(&self.class, step);
        match dimension {
            Dimension::Priority { .. } => job.priority = i32::try_from(value).ok()?,
            Dimension::MaxRunning { .. } => job.max_running = u32::try_from(value).ok(),
            Dimension::Queue(queue) => {
                let (from, to) = (self.view.queue(class.queue)?, self.view.queue(*queue)?);
                let nodes = |queue: &QueueView| queue.config.nodes.clone().unwrap_or_default().0;
                let Constraint(terms) = &mut class.constraint;
                // What the one queue adds to the constraint, the other does not.
                if terms.ends_with(&nodes(from)) {
                    terms.truncate(terms.len() - nodes(from).len());
                }
                terms.extend(nodes(to));
                class.queue = *queue;
            }
            _ => {}
        }
        let orderable = Orderable {
            job: self.job,
            submitted_ms: job.submitted_ms,
            priority: job.priority,
            estimate_ms: class.span.expected_ms(),
            size: size(&class.request),
        };
        job.key = self.view.queue(class.queue)?.config.key(&orderable);
        Some((class, job))
    }

    /// Makes the job, or the nodes, what they would be.
    fn set(&mut self, dimension: &Dimension, step: u64) {
        for (at, node) in self.changed.drain(..) {
            self.view.nodes[at] = node;
        }
        let Some((class, job)) = self.changed_job(dimension, step) else { return };
        // Out of the queue in which it stands, and into the one in which it would.
        if let Some(was) = self.view.jobs.get(&self.job) {
            self.view.set_waiting(was.stand(), false);
        }
        self.view.set_class(class);
        self.view.set_waiting(job.stand(), job.placeable() > 0);
        self.view.jobs.insert(self.job, job);
        for (at, node) in self.view.nodes.iter_mut().enumerate() {
            let before = match dimension {
                Dimension::Resume(id) | Dimension::Return(id) if node.id == *id => node.clone(),
                Dimension::Window(name) if node.maintenance.iter().any(|w| w.name == *name) => node.clone(),
                _ => continue,
            };
            match dimension {
                Dimension::Window(name) => node.maintenance.retain(|window| window.name != *name),
                Dimension::Return(_) => {
                    let incarnation = node.status.incarnation().unwrap_or(Incarnation(u64::MAX));
                    node.status.register(incarnation, None, true);
                }
                _ => node.status.resume(),
            }
            self.changed.push((at, before));
        }
    }

    /// The first part of `schedule`: what starts now.
    fn placed(&mut self) -> Result<Option<NodeId>, Spent> {
        self.passes_left = self.passes_left.checked_sub(1).ok_or(Spent)?;
        let mut pass = Pass::run(&self.view, Budget::default());
        let runs = pass.assignments();
        let tasks: u64 = runs.iter().map(|a| u64::from(a.count)).sum();
        let cost = pass.allocator.capacity.nodes_examined
            + CLASS_IN_NODES * self.view.classes.len() as u64
            + PLACED_IN_NODES * tasks;
        let node = runs.iter().find(|a| a.job == self.job).map(|a| a.node);
        drop(pass);
        self.nodes_left = self.nodes_left.checked_sub(cost).ok_or(Spent)?;
        Ok(node)
    }
}
