//! Who is next. Jobs of one class stand in a [`Line`]; a [`Lane`] merges lines by the smallest key, so that only heads are compared.

use crate::turns::{self, FairShares, Turns};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound::{Excluded, Unbounded};
use taskyard_model::policy::POINT;
use taskyard_model::{
    ClassId, ClassView, JobId, JobView, OrderKey, PartyId, Policy, QueueConfig, QueueId, QueueView, Request,
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
        Box::new(class.waiting.range((Excluded(self), Unbounded)).copied())
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
        Box::new(class.by_age.range((Excluded(self), Unbounded)).copied())
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
    /// Tasks of the present job that are left, once looked up.
    left: Option<u32>,
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
            left: None,
            until,
            behind: None,
        })
    }

    /// Tasks of the present job that may still be placed.
    pub(crate) fn left(&mut self, view: &View, taken: &Taken) -> u32 {
        let Some(at) = self.at else { return 0 };
        *self.left.get_or_insert_with(|| {
            let placeable = view.jobs.get(&at.job()).map_or(0, JobView::placeable);
            placeable.saturating_sub(taken.get(&at.job()).copied().unwrap_or(0))
        })
    }

    /// Counts tasks of the present job as placed.
    pub(crate) fn take(&mut self, count: u32) {
        let left = self.left.as_mut().expect("looked up before it is taken");
        *left = left.checked_sub(count).expect("no more taken than are left");
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
    pub(crate) lines: Vec<Line<'v, K>>,
    order: Order<K>,
}

/// By what lines are merged.
enum Order<K> {
    Keys(BinaryHeap<Reverse<(K, usize)>>),
    Turns(Turns<K>),
}

impl<'v, K: Key> Lane<'v, K> {
    pub(crate) fn new(lines: Vec<Line<'v, K>>) -> Self {
        let head = |(i, line): (usize, &Line<'v, K>)| Some(Reverse((line.at?.shifted(line.offset), i)));
        let heads = lines.iter().enumerate().filter_map(head).collect();
        Lane { lines, order: Order::Keys(heads) }
    }

    /// In the order of a queue's policy.
    fn of(policy: Policy, view: &'v View, lines: Vec<Line<'v, K>>) -> Self {
        if !matches!(policy, Policy::FairShare | Policy::Drf) {
            return Lane::new(lines);
        }
        let turns = Turns::new(policy, view, &lines);
        Lane { lines, order: Order::Turns(turns) }
    }

    /// The line whose present job is next and has something left.
    pub(crate) fn next(&mut self, view: &View, taken: &Taken) -> Option<usize> {
        let heads = match &mut self.order {
            Order::Keys(heads) => heads,
            Order::Turns(turns) => return turns.next(&mut self.lines, view, taken),
        };
        loop {
            let Reverse((_, index)) = *heads.peek()?;
            if self.lines[index].left(view, taken) > 0 {
                return Some(index);
            }
            turns::step(heads, &mut self.lines);
        }
    }

    /// The next line goes on to its next job.
    pub(crate) fn step(&mut self) {
        match &mut self.order {
            Order::Keys(heads) => turns::step(heads, &mut self.lines),
            Order::Turns(turns) => turns.step(&mut self.lines),
        }
    }

    /// The next line got something, which counts against its share.
    pub(crate) fn placed(&mut self, request: &Request, count: u32) {
        if let Order::Turns(turns) = &mut self.order {
            turns.placed(request, count);
        }
    }

    /// The next line leaves the merge; it stays among the lines at the job it could not place.
    pub(crate) fn block(&mut self) {
        match &mut self.order {
            Order::Keys(heads) => drop(heads.pop()),
            Order::Turns(turns) => turns.block(),
        }
    }
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
    let lines = view.classes.iter().filter_map(|class| {
        let queue = view.queue(class.queue)?;
        Line::new(class, Some(aged_until(view.now_ms, &queue.config)?))
    });
    Lane::new(lines.collect())
}

/// The queues that have something waiting, by pool, by tier from the top, then by id; without some classes.
pub(crate) fn queue_lanes<'v>(view: &'v View, without: &BTreeSet<ClassId>) -> Vec<QueueLane<'v>> {
    let mut fair = Fair { view, shares: None, known: BTreeMap::new() };
    let mut lines: Vec<Vec<Line<'v, OrderKey>>> = Vec::new();
    lines.resize_with(view.queues.len(), Vec::new);
    for class in &view.classes {
        if !without.is_empty() && without.contains(&class.id) {
            continue;
        }
        if let Some(mut line) = Line::new(class, None) {
            line.offset = fair.offset(class);
            lines[class.queue.0 as usize - 1].push(line);
        }
    }
    let lane = |(queue, lines): (&'v QueueView, _)| QueueLane {
        queue,
        used: queue.running_cpu_milli,
        lane: Lane::of(queue.config.policy, view, lines),
    };
    let waiting = view.queues.iter().zip(lines).filter(|(_, lines)| !lines.is_empty());
    let mut lanes: Vec<_> = waiting.map(lane).collect();
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
        let Some(queue) = view.queue(class.queue).filter(|q| q.config.policy == Policy::MultiFactor) else {
            return 0;
        };
        let points = queue.config.factors.unwrap_or_default().fair_share;
        let Some(party) = view.party(class.party).filter(|_| points != 0) else { return 0 };
        let shares = self.shares.get_or_insert_with(|| FairShares::new(view));
        let thousandths = self.known.entry(party.id).or_insert_with(|| shares.thousandths(party));
        -(i128::from(points) * i128::from(*thousandths) * (POINT / 1_000))
    }
}
