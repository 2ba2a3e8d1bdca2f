//! Who is next. Jobs of one class stand in a [`Line`]; a [`Lane`] merges lines by the smallest key, so that only heads are compared. A line is made when
//! a pass comes to its class: the queue knows the first jobs of its classes in order ([`QueueView::heads`]).

use crate::turns::{FairShares, Turns};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, btree_map};
use std::iter::Peekable;
use std::ops::Bound::Excluded;
use taskyard_model::policy::POINT;
use taskyard_model::{
    ClassId, ClassView, Head, JobId, JobView, OrderKey, PartyId, Policy, QueueConfig, QueueId, QueueView,
    View,
};

/// Time of submit and job: the order of those that have waited past `max_wait`.
pub(crate) type Age = (u64, JobId);

/// Tasks of jobs that an earlier step of the pass has placed.
pub(crate) type Taken = BTreeMap<JobId, u32>;

/// A measure by which the jobs of a class are ordered in the view.
pub(crate) trait Key: Copy + Ord + 'static {
    /// The job it places.
    fn job(self) -> JobId;
    /// The class's first.
    fn first(class: &ClassView) -> Option<Self>;
    /// Those behind this one.
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_>;
    /// The same job, further to the rear.
    #[must_use]
    fn shifted(self, offset: i128) -> Self;
}

impl Key for OrderKey {
    fn job(self) -> JobId {
        self.job
    }
    fn first(class: &ClassView) -> Option<Self> {
        class.waiting.get_min().copied()
    }
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_> {
        Box::new(class.waiting.after(Excluded(self)).copied())
    }
    fn shifted(self, offset: i128) -> Self {
        OrderKey { rank: self.rank.saturating_add(offset), ..self }
    }
}

impl Key for Age {
    fn job(self) -> JobId {
        self.1
    }
    fn first(class: &ClassView) -> Option<Self> {
        class.by_age.get_min().copied()
    }
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_> {
        Box::new(class.by_age.after(Excluded(self)).copied())
    }
    fn shifted(self, _: i128) -> Self {
        self
    }
}

/// The last age that counts as waited too long, if any can.
pub(crate) fn aged_until(now_ms: u64, config: &QueueConfig) -> Option<Age> {
    let before = now_ms.checked_sub(config.max_wait_ms)?;
    Some((before.checked_sub(1)?, JobId(u64::MAX)))
}

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
    pub(crate) fn has_left(&mut self, view: &View, taken: &Taken) -> bool {
        match self.left {
            Some(left) => left > 0,
            None if taken.is_empty() => self.at.is_some(),
            None => self.left(view, taken) > 0,
        }
    }

    /// Tasks of the present job that may still be placed.
    pub(crate) fn left(&mut self, view: &View, taken: &Taken) -> u32 {
        let Some(at) = self.at else { return 0 };
        *self.left.get_or_insert_with(|| {
            let placeable = view.jobs.get(&at.job()).map_or(0, JobView::placeable);
            placeable.saturating_sub(taken.get(&at.job()).copied().unwrap_or(0))
        })
    }

    /// Counts one task of the present job as placed.
    pub(crate) fn take_one(&mut self, view: &View, taken: &Taken) {
        let left = self.left(view, taken);
        self.left = Some(left.checked_sub(1).expect("no more taken than are left"));
    }

    /// Counts one task of the present job as planned for later.
    pub(crate) fn plan_one(&mut self, view: &View, taken: &Taken) {
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

/// Lines merged into one order.
pub(crate) struct Lane<'v, K> {
    /// Those that were reached.
    pub(crate) lines: Vec<Line<'v, K>>,
    order: Order<'v, K>,
}

/// By what lines are merged.
enum Order<'v, K> {
    Keys(Merge<'v, K>),
    Turns(Turns<K>),
}

/// The first jobs of classes that were not reached yet, and lines on their way.
struct Merge<'v, K> {
    fresh: Peekable<btree_map::Iter<'v, K, Head>>,
    /// Classes that are none of this lane's business.
    without: BTreeSet<ClassId>,
    going: BinaryHeap<Reverse<(K, usize)>>,
    /// The line that is next, once taken out of the others.
    at: Option<usize>,
}

impl<'v, K: Key> Merge<'v, K> {
    /// The line that is next, whether or not it has something left.
    fn pull(&mut self, lines: &mut Vec<Line<'v, K>>, view: &'v View) -> Option<usize> {
        while let Some((key, head)) = self.fresh.peek().copied()
            && self.going.peek().is_none_or(|Reverse((first, _))| key < first)
        {
            self.fresh.next();
            if !self.without.is_empty() && self.without.contains(&head.class) {
                continue;
            }
            let Some(line) = view.class(head.class).and_then(|class| Line::new(class, None)) else {
                continue;
            };
            lines.push(line);
            return Some(lines.len() - 1);
        }
        self.going.pop().map(|Reverse((_, at))| at)
    }

    fn next(&mut self, lines: &mut Vec<Line<'v, K>>, view: &'v View, taken: &Taken) -> Option<usize> {
        loop {
            if self.at.is_none() {
                self.at = self.pull(lines, view);
            }
            let at = self.at?;
            if lines[at].has_left(view, taken) {
                return Some(at);
            }
            self.step(lines);
        }
    }

    fn step(&mut self, lines: &mut [Line<'v, K>]) {
        let Some(at) = self.at.take() else { return };
        let line = &mut lines[at];
        line.step();
        if let Some(key) = line.at {
            self.going.push(Reverse((key.shifted(line.offset), at)));
        }
    }
}

impl<'v, K: Key> Lane<'v, K> {
    /// Of lines that are all there.
    pub(crate) fn new(lines: Vec<Line<'v, K>>) -> Self {
        let head = |(i, line): (usize, &Line<'v, K>)| Some(Reverse((line.at?.shifted(line.offset), i)));
        let going = lines.iter().enumerate().filter_map(head).collect();
        let fresh = btree_map::Iter::default().peekable();
        Lane { lines, order: Order::Keys(Merge { fresh, without: BTreeSet::new(), going, at: None }) }
    }

    /// The line whose present job is next and has something left.
    pub(crate) fn next(&mut self, view: &'v View, taken: &Taken) -> Option<usize> {
        match &mut self.order {
            Order::Keys(merge) => merge.next(&mut self.lines, view, taken),
            Order::Turns(turns) => turns.next(&mut self.lines, view, taken),
        }
    }

    /// Whether each task that is placed counts for whose turn is next.
    pub(crate) fn follows_use(&self) -> bool {
        matches!(self.order, Order::Turns(_))
    }

    /// The next line goes on to its next job.
    pub(crate) fn step(&mut self) {
        match &mut self.order {
            Order::Keys(merge) => merge.step(&mut self.lines),
            Order::Turns(turns) => turns.step(&mut self.lines),
        }
    }

    /// The next line got something, which counts against its share.
    pub(crate) fn placed(&mut self, view: &View, class: &ClassView, count: u32) {
        if let Order::Turns(turns) = &mut self.order {
            turns.placed(view, class, count);
        }
    }

    /// The line that is next, as [`Lane::next`] said, leaves the merge; it stays among the lines at the job it could not place.
    pub(crate) fn block(&mut self, at: usize) {
        self.lines[at].blocked = true;
        match &mut self.order {
            Order::Keys(merge) => merge.at = None,
            Order::Turns(turns) => turns.block(),
        }
    }
}

impl<'v> Lane<'v, OrderKey> {
    /// The lane of a queue, without some classes.
    fn of_queue(view: &'v View, queue: &'v QueueView, without: &BTreeSet<ClassId>) -> Self {
        match queue.config.policy {
            Policy::FairShare | Policy::Drf => {
                let lines: Vec<_> = lines_of(view, queue, without).collect();
                let turns = Turns::new(view, queue, &lines);
                Lane { lines, order: Order::Turns(turns) }
            }
            Policy::MultiFactor => {
                let mut fair = Fair { view, shares: None, known: BTreeMap::new() };
                let offset = |mut line: Line<'v, OrderKey>| {
                    line.offset = fair.offset(line.class);
                    line
                };
                Lane::new(lines_of(view, queue, without).map(offset).collect())
            }
            _ => {
                let (fresh, without) = (queue.heads.iter().peekable(), without.clone());
                let merge = Merge { fresh, without, going: BinaryHeap::new(), at: None };
                Lane { lines: Vec::new(), order: Order::Keys(merge) }
            }
        }
    }

    /// Passes over classes as long as they are next, were not reached yet, and have no room for their first task; says which.
    pub(crate) fn pass_over(
        &mut self,
        no_room: impl Fn(JobId, &Head) -> bool,
        mut over: impl FnMut(JobId, ClassId),
    ) {
        let Order::Keys(merge) = &mut self.order else { return };
        while merge.at.is_none()
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
        let Order::Keys(merge) = &mut self.order else { return };
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
) -> impl Iterator<Item = Line<'v, OrderKey>> + use<'a, 'v> {
    let classes = queue.heads.values().filter(|head| without.is_empty() || !without.contains(&head.class));
    classes.filter_map(|head| Line::new(view.class(head.class)?, None))
}

/// What a queue has of its share: the least goes next. Compared as fractions, by cross-multiplication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) used: u64,
    pub(crate) weight: u32,
    pub(crate) queue: QueueId,
    /// Position among the queues of the tier.
    pub(crate) index: usize,
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.used) * u128::from(other.weight);
        let theirs = u128::from(other.used) * u128::from(self.weight);
        mine.cmp(&theirs).then(self.queue.cmp(&other.queue))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}

/// A queue in a pass.
pub(crate) struct QueueLane<'v> {
    pub(crate) queue: &'v QueueView,
    /// Thousandths of cores, running or placed in this pass.
    pub(crate) used: u64,
    pub(crate) lane: Lane<'v, OrderKey>,
}

/// The jobs that have waited past their queue's `max_wait`, oldest first.
pub(crate) fn aged_lane(view: &View) -> Lane<'_, Age> {
    let mut lines = Vec::new();
    for queue in view.queues.iter().filter(|queue| !queue.ages.is_empty()) {
        let Some(until) = aged_until(view.now_ms, &queue.config) else { continue };
        let aged = queue.ages.range(..=until).filter_map(|(_, class)| view.class(*class));
        lines.extend(aged.filter_map(|class| Line::new(class, Some(until))));
    }
    Lane::new(lines)
}

/// The queues that have something waiting, by pool, by tier from the top, then by id; without some classes.
pub(crate) fn queue_lanes<'v>(view: &'v View, without: &BTreeSet<ClassId>) -> Vec<QueueLane<'v>> {
    let lane = |queue: &'v QueueView| QueueLane {
        queue,
        used: queue.running_cpu_milli,
        lane: Lane::of_queue(view, queue, without),
    };
    let mut lanes: Vec<_> = view.queues.iter().filter(|queue| !queue.heads.is_empty()).map(lane).collect();
    lanes.sort_by_key(|l| (l.queue.pool, Reverse(l.queue.config.tier), l.queue.id));
    lanes
}

/// What the fair share of users takes off their ranks under [`Policy::MultiFactor`].
struct Fair<'v> {
    view: &'v View,
    shares: Option<FairShares<'v>>,
    known: BTreeMap<PartyId, u64>,
}

impl Fair<'_> {
    fn offset(&mut self, class: &ClassView) -> i128 {
        let view = self.view;
        let Some(queue) = view.queue(class.queue) else { return 0 };
        let points = queue.config.factors.unwrap_or_default().fair_share;
        let Some(party) = view.party(class.party).filter(|_| points != 0) else { return 0 };
        let shares = self.shares.get_or_insert_with(|| FairShares::new(view));
        let thousandths = self.known.entry(party.id).or_insert_with(|| shares.thousandths(party));
        fair_offset(points, *thousandths)
    }
}

/// What so many thousandths of the points for a fair share take off a rank.
pub(crate) fn fair_offset(points: i32, thousandths: u64) -> i128 {
    -(i128::from(points) * i128::from(thousandths) * (POINT / 1_000))
}
