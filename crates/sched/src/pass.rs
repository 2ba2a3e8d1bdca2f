//! One pass: first the jobs that have waited too long, then tier by tier, the queue with the least of its share next.

use crate::Budget;
use crate::order::{self, Age, Key, Lane, Line, QueueLane, Share, Taken};
use crate::rooms::{Least, Rooms};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, binary_heap::PeekMut};
use taskyard_model::{Assignment, ClassId, ClassView, JobId, QueueId, View};

/// A pass at work, and after it what the later steps ask about.
pub(crate) struct Pass<'v> {
    pub(crate) view: &'v View,
    pub(crate) rooms: Rooms<'v>,
    pub(crate) aged: Lane<'v, Age>,
    pub(crate) queues: Vec<QueueLane<'v>>,
    pub(crate) taken: Taken,
    budget: Budget,
    /// Classes whose next task fitted nowhere.
    blocked: BTreeSet<ClassId>,
    /// Jobs that got something, by turn.
    turns: Vec<JobId>,
    /// Turn and node index of each task placed.
    placed: Vec<(u32, u32)>,
    /// Tasks that may still be assigned.
    tasks_left: u32,
    cut: bool,
}

/// What became of one task.
enum Step {
    /// It goes to this node (an index).
    Placed(u32),
    /// It fits nowhere.
    Blocked,
    /// The pass must end.
    Cut,
}

impl<'v> Pass<'v> {
    pub(crate) fn run(view: &'v View, budget: Budget) -> Self {
        let in_use = view.classes.iter().filter(|c| c.jobs > 0);
        let least = in_use.fold(Least::NOTHING_ASKED, |least, class| least.and(&class.request.amounts));
        let mut pass = Pass {
            view,
            rooms: Rooms::new(view, least),
            aged: order::aged_lane(view),
            queues: Vec::new(),
            taken: Taken::new(),
            budget,
            blocked: BTreeSet::new(),
            turns: Vec::new(),
            placed: Vec::new(),
            tasks_left: budget.tasks_max,
            cut: false,
        };
        let used = pass.place_aged();
        pass.queues = order::queue_lanes(view, &pass.blocked);
        for queue in &mut pass.queues {
            queue.used += used.get(&queue.queue.id).copied().unwrap_or(0);
        }
        pass.place_tiers();
        pass
    }

    /// Whether the budget ended the pass: then what was not placed is not known to be blocked.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Tasks the plan may still assign.
    pub(crate) fn tasks_left(&self) -> u32 {
        self.tasks_left
    }

    /// Gives up to `count` of what the plan may still assign.
    pub(crate) fn draw_tasks(&mut self, count: u32) -> u32 {
        let count = count.min(self.tasks_left);
        self.tasks_left -= count;
        count
    }

    /// Jobs that go before all others, oldest first. One that fits nowhere keeps every node it could use. Returns what was placed by queue.
    fn place_aged(&mut self) -> BTreeMap<QueueId, u64> {
        let mut used = BTreeMap::new();
        while self.goes_on()
            && let Some(index) = self.aged.next(self.view, &self.taken)
        {
            let mut line = Turn::of(&mut self.aged.lines[index], &mut self.rooms);
            match step(&line, &mut self.rooms, &mut self.tasks_left, self.budget) {
                Step::Placed(node) => {
                    note(&mut self.turns, &mut self.placed, &mut line, node);
                    let line = &mut self.aged.lines[index];
                    *used.entry(line.class.queue).or_insert(0) += cost(line);
                    if let Some((_, job)) = line.at {
                        *self.taken.entry(job).or_insert(0) += 1;
                    }
                    line.take(1);
                }
                Step::Blocked => {
                    let (job, class) = (line.job, line.class);
                    self.rooms.keep_for(job, class);
                    self.blocked.insert(class.id);
                    self.aged.block();
                }
                Step::Cut => self.cut = true,
            }
        }
        used
    }

    fn place_tiers(&mut self) {
        let mut queues = std::mem::take(&mut self.queues);
        for tier in queues.chunk_by_mut(|a, b| a.queue.config.tier == b.queue.config.tier) {
            self.place_tier(tier);
        }
        self.queues = queues;
    }

    fn place_tier(&mut self, tier: &mut [QueueLane<'v>]) {
        let share = |(index, l): (usize, &QueueLane<'v>)| {
            Reverse(Share { used: l.used, weight: l.queue.config.weight, queue: l.queue.id, index })
        };
        let mut shares: BinaryHeap<_> = tier.iter().enumerate().map(share).collect();
        while self.goes_on()
            && let Some(mut next) = shares.peek_mut()
        {
            let lane = &mut tier[next.0.index].lane;
            let Some(index) = lane.next(self.view, &self.taken) else {
                PeekMut::pop(next);
                continue;
            };
            let mut line = Turn::of(&mut lane.lines[index], &mut self.rooms);
            match step(&line, &mut self.rooms, &mut self.tasks_left, self.budget) {
                Step::Placed(node) => {
                    note(&mut self.turns, &mut self.placed, &mut line, node);
                    let line = &mut lane.lines[index];
                    line.take(1);
                    next.0.used += cost(line);
                }
                Step::Blocked => {
                    self.blocked.insert(line.class.id);
                    lane.block();
                }
                Step::Cut => self.cut = true,
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.cut && self.rooms.any_open()
    }

    /// What was placed, as assignments: jobs in the order of their turns, nodes in order of id.
    pub(crate) fn runs(&mut self) -> Vec<Assignment> {
        self.placed.sort_unstable();
        let same = |a: &(u32, u32), b: &(u32, u32)| a == b;
        let assignment = |alike: &[(u32, u32)]| {
            let (turn, node) = alike[0];
            let node = &self.view.nodes[node as usize];
            Assignment {
                job: self.turns[turn as usize],
                count: u32::try_from(alike.len()).expect("bounded by the budget"),
                node: node.id,
                incarnation: node.incarnation.expect("only nodes that take work get any"),
                ahead: false,
            }
        };
        self.placed.chunk_by(same).map(assignment).collect()
    }

    /// How many attempts of some classes were placed on each node (by index) in this pass.
    pub(crate) fn placed_by_class(&self, wanted: &BTreeSet<ClassId>) -> BTreeMap<(u32, ClassId), u32> {
        let class_of = |job: &JobId| self.view.jobs.get(job).map(|j| j.class).filter(|c| wanted.contains(c));
        let classes: Vec<Option<ClassId>> = self.turns.iter().map(class_of).collect();
        let mut counts = BTreeMap::new();
        for &(turn, node) in &self.placed {
            if let Some(class) = classes[turn as usize] {
                *counts.entry((node, class)).or_insert(0) += 1;
            }
        }
        counts
    }

    /// The jobs that got something on a node (an index), in order of their turns.
    pub(crate) fn placed_on(&self, node: u32) -> impl Iterator<Item = JobId> + '_ {
        self.placed.iter().filter(move |(_, n)| *n == node).map(|(turn, _)| self.turns[*turn as usize])
    }

    /// Whether the job got something to run.
    pub(crate) fn has_placed(&self, job: JobId) -> bool {
        self.turns.contains(&job)
    }
}

/// The job whose turn it is, whatever order it comes from.
struct Turn<'a, 'v> {
    job: JobId,
    class: &'v ClassView,
    pool: usize,
    /// Its number in the plan.
    number: &'a mut Option<u32>,
}

impl<'a, 'v> Turn<'a, 'v> {
    fn of<K: Key>(line: &'a mut Line<'v, K>, rooms: &mut Rooms<'v>) -> Self {
        let class = line.class;
        let pool = *line.pool.get_or_insert_with(|| rooms.pool(&class.request, &class.constraint));
        let job = line.at.expect("a line that is next has a job").job();
        Turn { job, class, pool, number: &mut line.turn }
    }
}

/// Tries to place one task.
fn step(turn: &Turn<'_, '_>, rooms: &mut Rooms<'_>, tasks_left: &mut u32, budget: Budget) -> Step {
    if *tasks_left == 0 || rooms.looked_at >= budget.nodes_max {
        return Step::Cut;
    }
    let Some(row) = rooms.find(turn.pool, turn.class) else { return Step::Blocked };
    rooms.place(turn.class, row);
    *tasks_left -= 1;
    Step::Placed(rooms.node_of(row))
}

/// Writes a placement down; a job gets its number in the plan with its first.
fn note(turns: &mut Vec<JobId>, placed: &mut Vec<(u32, u32)>, turn: &mut Turn<'_, '_>, node: u32) {
    let number = *turn.number.get_or_insert_with(|| {
        turns.push(turn.job);
        u32::try_from(turns.len() - 1).expect("bounded by the budget")
    });
    placed.push((number, node));
}

/// What a task counts against its queue's share. Never nothing, or a queue of tasks that ask for none would never yield.
fn cost<K>(line: &Line<'_, K>) -> u64 {
    line.class.request.amounts.cpu_milli.max(1)
}
