//! What a pass has placed, task by task.

use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{Assignment, ClassId, ClassView, JobId, View};

/// Tasks that start now.
#[derive(Default)]
pub(crate) struct Placements {
    /// Jobs that got something, in the order of their first task.
    jobs: Vec<JobId>,
    /// Of each task: the number of its job, and its node (an index).
    tasks: Vec<(u32, u32)>,
}

impl Placements {
    /// Adds a task. A job gets its `number` with its first.
    pub(super) fn add(&mut self, job: JobId, number: &mut Option<u32>, node: u32) {
        let number = *number.get_or_insert_with(|| {
            self.jobs.push(job);
            u32::try_from(self.jobs.len() - 1).expect("bounded by the budget")
        });
        self.tasks.push((number, node));
    }

    /// As assignments: jobs in the order of their first task, nodes in order of id.
    pub(crate) fn assignments(&mut self, view: &View) -> Vec<Assignment> {
        self.tasks.sort_unstable();
        let assignment = |alike: &[(u32, u32)]| {
            let (number, node) = alike[0];
            let node = &view.nodes[node as usize];
            Assignment {
                job: self.jobs[number as usize],
                count: u32::try_from(alike.len()).expect("bounded by the budget"),
                node: node.id,
                incarnation: node.status.incarnation().expect("only nodes that take work get any"),
                prefetch: false,
            }
        };
        self.tasks.chunk_by(|a, b| a == b).map(assignment).collect()
    }

    /// How many tasks of some classes were placed on each node (an index).
    pub(crate) fn by_class(&self, view: &View, wanted: &BTreeSet<ClassId>) -> BTreeMap<(u32, ClassId), u32> {
        let class_of = |job: &JobId| view.jobs.get(job).map(|j| j.class).filter(|c| wanted.contains(c));
        let classes: Vec<Option<ClassId>> = self.jobs.iter().map(class_of).collect();
        let mut counts = BTreeMap::new();
        for &(number, node) in &self.tasks {
            if let Some(class) = classes[number as usize] {
                *counts.entry((node, class)).or_insert(0) += 1;
            }
        }
        counts
    }

    /// How many tasks of which class were placed, job by job.
    pub(crate) fn by_job<'v>(&self, view: &'v View) -> Vec<(&'v ClassView, u32)> {
        let mut counts = vec![0u32; self.jobs.len()];
        self.tasks.iter().for_each(|(number, _)| counts[*number as usize] += 1);
        let class = |job: &JobId| view.class(view.jobs.get(job)?.class);
        let placed = self.jobs.iter().zip(counts);
        placed.filter_map(|(job, count)| Some((class(job)?, count))).collect()
    }

    /// The jobs that got something on a node (an index), in order.
    pub(crate) fn on_node(&self, node: u32) -> impl Iterator<Item = JobId> + '_ {
        self.tasks.iter().filter(move |(_, n)| *n == node).map(|(number, _)| self.jobs[*number as usize])
    }

    /// Whether the job got something to run.
    pub(crate) fn has(&self, job: JobId) -> bool {
        self.jobs.contains(&job)
    }
}
