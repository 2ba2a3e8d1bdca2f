//! Lines merged into one order. Only the heads of lines are compared, and a line is made when a pass comes to its
//! class: the queue knows the first jobs of its classes in order ([`QueueView::heads`]).

use super::fair_share::Turns;
use super::key::{Key, PlacedTasks};
use super::line::ClassLine;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, btree_map};
use std::iter::Peekable;
use taskyard_model::{ClassHead, ClassId, ClassView, JobId, OrderKey, Policy, QueueView, View};

/// Lines merged into one order.
pub(crate) struct Lane<'v, K> {
    /// Those that were reached.
    pub(crate) lines: Vec<ClassLine<'v, K>>,
    order: LaneOrder<'v, K>,
}

/// By what lines are merged.
enum LaneOrder<'v, K> {
    ByKey(Merge<'v, K>),
    ByShare(Turns<'v, K>),
}

/// The first jobs of classes that were not reached yet, and lines on their way.
struct Merge<'v, K> {
    /// In order of the queue. Most classes are passed over here, and never get a line.
    fresh: Peekable<btree_map::Iter<'v, K, ClassHead>>,
    /// Classes that are left out.
    without: BTreeSet<ClassId>,
    going: BinaryHeap<Reverse<(K, usize)>>,
    /// The line that is next, once taken out of the others.
    next: Option<usize>,
}

impl<'v, K: Key> Merge<'v, K> {
    /// The line that is next, whether or not it has something left.
    fn pull(&mut self, lines: &mut Vec<ClassLine<'v, K>>, view: &'v View) -> Option<usize> {
        while let Some((key, head)) = self.fresh.peek().copied()
            && self.going.peek().is_none_or(|Reverse((first, _))| key < first)
        {
            self.fresh.next();
            if !self.without.is_empty() && self.without.contains(&head.class) {
                continue;
            }
            let Some(line) = view.class(head.class).and_then(|class| ClassLine::new(class, None)) else {
                continue;
            };
            lines.push(line);
            return Some(lines.len() - 1);
        }
        self.going.pop().map(|Reverse((_, at))| at)
    }

    /// The line that is next and has something left. It stays out of the heap until it goes on, so that a job of many
    /// tasks does not cost a step of the heap for each.
    fn next(
        &mut self,
        lines: &mut Vec<ClassLine<'v, K>>,
        view: &'v View,
        taken: &PlacedTasks,
    ) -> Option<usize> {
        loop {
            if self.next.is_none() {
                self.next = self.pull(lines, view);
            }
            let at = self.next?;
            if lines[at].has_left(view, taken) {
                return Some(at);
            }
            self.step(lines);
        }
    }

    fn step(&mut self, lines: &mut [ClassLine<'v, K>]) {
        let Some(at) = self.next.take() else { return };
        let line = &mut lines[at];
        line.next_job();
        if let Some(key) = line.head {
            self.going.push(Reverse((key, at)));
        }
    }
}

impl<'v, K: Key> Lane<'v, K> {
    /// Of lines that are all there.
    pub(crate) fn new(lines: Vec<ClassLine<'v, K>>) -> Self {
        let head = |(i, line): (usize, &ClassLine<'v, K>)| Some(Reverse((line.head?, i)));
        let going = lines.iter().enumerate().filter_map(head).collect();
        let fresh = btree_map::Iter::default().peekable();
        Lane { lines, order: LaneOrder::ByKey(Merge { fresh, without: BTreeSet::new(), going, next: None }) }
    }

    /// The line whose present job is next and has something left.
    pub(crate) fn next(&mut self, view: &'v View, taken: &PlacedTasks) -> Option<usize> {
        match &mut self.order {
            LaneOrder::ByKey(merge) => merge.next(&mut self.lines, view, taken),
            LaneOrder::ByShare(turns) => turns.next(&mut self.lines, view, taken),
        }
    }

    /// Whether each task that is placed counts for whose turn is next.
    pub(crate) fn follows_use(&self) -> bool {
        matches!(self.order, LaneOrder::ByShare(_))
    }

    /// The next line goes on to its next job.
    pub(crate) fn step(&mut self) {
        match &mut self.order {
            LaneOrder::ByKey(merge) => merge.step(&mut self.lines),
            LaneOrder::ByShare(turns) => turns.step(&mut self.lines),
        }
    }

    /// The next line got something, which counts against its share.
    pub(crate) fn placed(&mut self, view: &View, class: &ClassView, count: u32) {
        if let LaneOrder::ByShare(turns) = &mut self.order {
            turns.placed(view, class, count);
        }
    }

    /// The line that is next, as [`Lane::next`] said, leaves the merge; it stays among the lines at the job it could
    /// not place.
    pub(crate) fn block(&mut self, at: usize) {
        self.lines[at].blocked = true;
        match &mut self.order {
            LaneOrder::ByKey(merge) => merge.next = None,
            LaneOrder::ByShare(turns) => turns.block(),
        }
    }
}

impl<'v> Lane<'v, OrderKey> {
    /// The lane of a queue, without some classes.
    pub(super) fn of_queue(view: &'v View, queue: &'v QueueView, without: &BTreeSet<ClassId>) -> Self {
        match queue.config.policy {
            // Who is next follows from what all users of the queue have, so all lines must be there.
            Policy::FairShare | Policy::Drf | Policy::MultiFactor => {
                let lines: Vec<_> = lines_of(view, queue, without).collect();
                let turns = Turns::new(view, queue, &lines);
                Lane { lines, order: LaneOrder::ByShare(turns) }
            }
            _ => {
                let (fresh, without) = (queue.heads.iter().peekable(), without.clone());
                let merge = Merge { fresh, without, going: BinaryHeap::new(), next: None };
                Lane { lines: Vec::new(), order: LaneOrder::ByKey(merge) }
            }
        }
    }

    /// Passes over classes as long as they are next, were not reached yet, and have no room for their first task; says
    /// which.
    pub(crate) fn pass_over(
        &mut self,
        no_room: impl Fn(JobId, &ClassHead) -> bool,
        mut over: impl FnMut(JobId, ClassId),
    ) {
        let LaneOrder::ByKey(merge) = &mut self.order else { return };
        while merge.next.is_none()
            && let Some((key, head)) = merge.fresh.peek()
            && merge.going.peek().is_none_or(|Reverse((first, _))| *key < first)
            && no_room(key.job, head)
        {
            if merge.without.is_empty() || !merge.without.contains(&head.class) {
                over(key.job, head.class);
            }
            merge.fresh.next();
        }
    }

    /// Lines also of the classes of a queue that were not reached. The merge is over then.
    pub(crate) fn complete(&mut self, view: &'v View, queue: &'v QueueView) {
        let LaneOrder::ByKey(merge) = &mut self.order else { return };
        let mut known: BTreeSet<ClassId> = self.lines.iter().map(|line| line.class.id).collect();
        known.append(&mut merge.without);
        merge.fresh = btree_map::Iter::default().peekable();
        self.lines.extend(lines_of(view, queue, &known));
    }
}

/// A line for each class of a queue with something waiting, without some.
fn lines_of<'a, 'v>(
    view: &'v View,
    queue: &'v QueueView,
    without: &'a BTreeSet<ClassId>,
) -> impl Iterator<Item = ClassLine<'v, OrderKey>> + use<'a, 'v> {
    let classes = queue.heads.values().filter(|head| without.is_empty() || !without.contains(&head.class));
    classes.filter_map(|head| ClassLine::new(view.class(head.class)?, None))
}
