//! The waiting jobs of one class, one after the other.

use super::key::{Key, PlacedTasks};
use taskyard_model::{ClassView, JobView, View};

/// The jobs of one class, one after the other.
pub(crate) struct Line<'v, K> {
    pub(crate) class: &'v ClassView,
    /// The set of nodes its tasks may go to, once looked up.
    pub(crate) set: Option<usize>,
    /// What is added to its keys for its place among other lines.
    pub(crate) offset: i128,
    /// The present job's number in the plan, once something of it is placed.
    pub(crate) turn: Option<u32>,
    /// The present job; `None` past the end.
    pub(crate) at: Option<K>,
    /// It left the merge: its present job could not be placed.
    pub(crate) blocked: bool,
    /// Tasks of the present job that are left, once looked up.
    left: Option<u32>,
    /// Where it was when the first of its tasks was planned for later, and how many of that job's tasks were left.
    planned: Option<(K, u32)>,
    /// The last key of interest.
    until: Option<K>,
    /// Made when the first job is done with: most lines never get so far.
    behind: Option<Box<dyn Iterator<Item = K> + 'v>>,
}

impl<'v, K: Key> Line<'v, K> {
    pub(crate) fn new(class: &'v ClassView, until: Option<K>) -> Option<Self> {
        let first = K::first(class).filter(|k| until.is_none_or(|last| *k <= last))?;
        Some(Line {
            class,
            set: None,
            offset: 0,
            turn: None,
            at: Some(first),
            blocked: false,
            left: None,
            planned: None,
            until,
            behind: None,
        })
    }

    /// Whether tasks of the present job may still be placed. A job stands in line only if there are some; so without a look unless some are taken.
    pub(crate) fn has_left(&mut self, view: &View, taken: &PlacedTasks) -> bool {
        match self.left {
            Some(left) => left > 0,
            None if taken.is_empty() => self.at.is_some(),
            None => self.left(view, taken) > 0,
        }
    }

    /// Tasks of the present job that may still be placed.
    pub(crate) fn left(&mut self, view: &View, taken: &PlacedTasks) -> u32 {
        let Some(at) = self.at else { return 0 };
        *self.left.get_or_insert_with(|| {
            let placeable = view.jobs.get(&at.job()).map_or(0, JobView::placeable);
            placeable.saturating_sub(taken.get(&at.job()).copied().unwrap_or(0))
        })
    }

    /// Counts one task of the present job as placed.
    pub(crate) fn take_one(&mut self, view: &View, taken: &PlacedTasks) {
        let left = self.left(view, taken);
        self.left = Some(left.checked_sub(1).expect("no more taken than are left"));
    }

    /// Counts one task of the present job as planned for later.
    pub(crate) fn plan_one(&mut self, view: &View, taken: &PlacedTasks) {
        let left = self.left(view, taken);
        self.planned = self.planned.or(self.at.map(|at| (at, left)));
        self.take_one(view, taken);
    }

    /// Goes back to where planning began: what is planned for later still waits. No later task of a class starts where one before it could not.
    pub(crate) fn rewind(&mut self) {
        if let Some((at, left)) = self.planned.take() {
            (self.at, self.left, self.turn, self.behind) = (Some(at), Some(left), None, None);
        }
    }

    /// Goes on to the next job.
    pub(crate) fn step(&mut self) {
        let Some(at) = self.at else { return };
        let class = self.class;
        let next = self.behind.get_or_insert_with(|| at.behind(class)).next();
        self.at = next.filter(|k| self.until.is_none_or(|last| *k <= last));
        self.left = None;
        self.turn = None;
    }
}
