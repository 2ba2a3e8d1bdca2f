//! The waiting jobs of one class, one after the other.

use super::key::{Key, PlacedTasks};
use taskyard_model::{ClassView, JobView, View};

/// The jobs of one class, one after the other.
pub(crate) struct ClassLine<'v, K> {
    pub(crate) class: &'v ClassView,
    /// The candidate set its tasks may go to, once looked up.
    pub(crate) set: Option<usize>,
    /// The present job's number in the plan, once something of it is placed.
    pub(crate) number: Option<u32>,
    /// The present job; `None` past the end.
    pub(crate) head: Option<K>,
    /// It left the merge: its present job could not be placed.
    pub(crate) blocked: bool,
    /// Tasks of the present job that are left, once looked up.
    left: Option<u32>,
    /// Its head when the first of its tasks had a start reserved, and how many tasks of that job were left.
    reserved_from: Option<(K, u32)>,
    /// The last key of interest.
    until: Option<K>,
    /// Made when the first job is done with: most lines never get so far.
    behind: Option<Box<dyn Iterator<Item = K> + 'v>>,
}

impl<'v, K: Key> ClassLine<'v, K> {
    pub(crate) fn new(class: &'v ClassView, until: Option<K>) -> Option<Self> {
        let first = K::first(class).filter(|k| until.is_none_or(|last| *k <= last))?;
        Some(ClassLine {
            class,
            set: None,
            number: None,
            head: Some(first),
            blocked: false,
            left: None,
            reserved_from: None,
            until,
            behind: None,
        })
    }

    /// Whether tasks of the present job may still be placed. A job stands in line only if there are some; so without a
    /// look unless some are taken.
    pub(crate) fn has_left(&mut self, view: &View, taken: &PlacedTasks) -> bool {
        match self.left {
            Some(left) => left > 0,
            None if taken.is_empty() => self.head.is_some(),
            None => self.left(view, taken) > 0,
        }
    }

    /// Tasks of the present job that may still be placed.
    pub(crate) fn left(&mut self, view: &View, taken: &PlacedTasks) -> u32 {
        let Some(head) = self.head else { return 0 };
        *self.left.get_or_insert_with(|| {
            let placeable = view.jobs.get(&head.job()).map_or(0, JobView::placeable);
            placeable.saturating_sub(taken.get(&head.job()).copied().unwrap_or(0))
        })
    }

    /// Counts one task of the present job as placed.
    pub(crate) fn take_one(&mut self, view: &View, taken: &PlacedTasks) {
        let left = self.left(view, taken);
        self.left = Some(left.checked_sub(1).expect("no more taken than are left"));
    }

    /// Counts one task of the present job as done with: a start is reserved for it.
    pub(crate) fn reserve_one(&mut self, view: &View, taken: &PlacedTasks) {
        let left = self.left(view, taken);
        self.reserved_from = self.reserved_from.or(self.head.map(|head| (head, left)));
        self.take_one(view, taken);
    }

    /// Goes back to the first task with a reserved start. Those tasks still wait, so they are what claims are about;
    /// and no later task of a class starts where one before it could not.
    pub(crate) fn rewind(&mut self) {
        if let Some((head, left)) = self.reserved_from.take() {
            (self.head, self.left, self.number, self.behind) = (Some(head), Some(left), None, None);
        }
    }

    /// Goes on to the next job.
    pub(crate) fn next_job(&mut self) {
        let Some(head) = self.head else { return };
        let class = self.class;
        let next = self.behind.get_or_insert_with(|| head.behind(class)).next();
        self.head = next.filter(|k| self.until.is_none_or(|last| *k <= last));
        self.left = None;
        self.number = None;
    }
}
