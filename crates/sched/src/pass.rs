//! One pass, pool by pool: first the jobs that have waited too long, then tier by tier, the queue with the least of its share next. What a job
//! that fits nowhere means for those behind it is the pool's discipline.

mod discipline;

use crate::Budget;
use crate::ahead;
use crate::order::{self, Age, Key, Lane, Line, PlacedTasks, QueueLane, TierShare};
use crate::reserve::Allocator;
use discipline::{PoolPass, Then};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, binary_heap::PeekMut};
use taskyard_model::{
    Assignment, ClassId, ClassView, Discipline, JobId, OrderKey, Outside, PoolId, QueueId, View,
};

/// A pass at work, and after it what the later steps ask about.
pub(crate) struct Pass<'v> {
    pub(crate) view: &'v View,
    /// Something is held ahead of need, or could be.
    pub(crate) holds: bool,
    pub(crate) allocator: Allocator<'v>,
    pub(crate) aged: Lane<'v, Age>,
    pub(crate) queues: Vec<QueueLane<'v>>,
    pub(crate) taken: PlacedTasks,
    /// By ordinal.
    pools: Vec<PoolPass<'v>>,
    budget: Budget,
    thorough: bool,
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
    /// Decides what starts now. A pass ends when no node has room for anything.
    pub(crate) fn run(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, (false, false))
    }

    /// The same, knowing what the machines are busy with besides.
    pub(crate) fn beside(view: &'v View, outside: &'v [Outside], budget: Budget) -> Self {
        Pass::over(view, outside, budget, (false, false))
    }

    /// The same, and looks at everything that waits even if no node has any room, so that what is planned for later is known.
    pub(crate) fn thorough(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, (true, false))
    }

    /// The same, and nothing is placed or planned before what comes before it.
    pub(crate) fn in_order(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, (true, true))
    }

    fn over(
        view: &'v View,
        outside: &'v [Outside],
        budget: Budget,
        (thorough, in_order): (bool, bool),
    ) -> Self {
        let holds = budget.holds && ahead::is_any(view);
        let mut pass = Pass {
            view,
            holds,
            allocator: Allocator::new(view, outside, holds),
            aged: order::aged_lane(view),
            queues: Vec::new(),
            taken: PlacedTasks::new(),
            pools: view.pools.iter().map(|pool| PoolPass::new(pool.config.discipline)).collect(),
            budget,
            thorough: thorough || (holds && ahead::needs_plans(view)),
            turns: Vec::new(),
            placed: Vec::new(),
            tasks_left: budget.tasks_max,
            cut: false,
        };
        pass.allocator.reservations.in_order = in_order;
        let used = pass.place_aged();
        let blocked = pass.aged.lines.iter().filter(|line| line.blocked).map(|line| line.class.id);
        pass.queues = order::queue_lanes(view, &blocked.collect());
        for queue in &mut pass.queues {
            queue.used += used.get(&queue.queue.id).copied().unwrap_or(0);
        }
        pass.place_pools();
        pass
    }

    /// Whether the budget ended the pass: then what was not placed is not known to be blocked.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether work of a class may be held ahead of need in its pool.
    pub(crate) fn may_hold(&self, class: &ClassView) -> bool {
        !self.pools[index(self.view.pool_of(class))].closed
    }

    /// Whether each start that waits in the class's pool is planned, so that what is held must not be in the way of any.
    pub(crate) fn plans_all(&self, class: &ClassView) -> bool {
        self.pools[index(self.view.pool_of(class))].discipline == Discipline::Conservative
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

    /// Jobs that go before all others, oldest first. Returns what was placed by queue.
    fn place_aged(&mut self) -> BTreeMap<QueueId, u64> {
        let mut used = BTreeMap::new();
        while self.goes_on()
            && let Some(at) = self.aged.next(self.view, &self.taken)
        {
            let pool = self.view.pool_of(self.aged.lines[at].class);
            if self.pools[index(pool)].closed {
                self.aged.block(at);
                continue;
            }
            let mut turn = Turn::of(&mut self.aged.lines[at], pool, &mut self.allocator);
            match step(&turn, &mut self.allocator, &mut self.tasks_left, self.budget) {
                Step::Placed(node) => {
                    note(&mut self.turns, &mut self.placed, &mut turn, node);
                    *used.entry(turn.class.queue).or_insert(0) += cost(turn.class);
                    let job = turn.job;
                    self.aged.lines[at].take_one(self.view, &self.taken);
                    *self.taken.entry(job).or_insert(0) += 1;
                }
                Step::Blocked => {
                    let (job, class) = (turn.job, turn.class);
                    if self.blocked(job, class, true) == Then::NextTask {
                        self.aged.lines[at].plan_one(self.view, &self.taken);
                        *self.taken.entry(job).or_insert(0) += 1;
                    } else {
                        self.aged.block(at);
                    }
                }
                Step::Cut => self.cut = true,
            }
        }
        used
    }

    /// The pools one after the other, each tier by tier.
    fn place_pools(&mut self) {
        let mut queues = std::mem::take(&mut self.queues);
        for of_pool in queues.chunk_by_mut(|a, b| a.queue.pool == b.queue.pool) {
            let pool = &self.pools[index(of_pool[0].queue.pool)];
            let mut shortest = pool.discipline == Discipline::EasySjf && pool.first_blocked;
            for tier in of_pool.chunk_by_mut(|a, b| a.queue.config.tier == b.queue.config.tier) {
                shortest = shortest || self.place_tier(tier) == Then::ShortestFirst;
                if shortest {
                    break;
                }
            }
            if shortest {
                self.place_shortest(of_pool);
            }
        }
        self.queues = queues;
    }

    fn place_tier(&mut self, tier: &mut [QueueLane<'v>]) -> Then {
        let share = |(index, l): (usize, &QueueLane<'v>)| {
            Reverse(TierShare { used: l.used, weight: l.queue.config.weight, queue: l.queue.id, index })
        };
        let pool = tier[0].queue.pool;
        let mut shares: BinaryHeap<_> = tier.iter().enumerate().map(share).collect();
        while self.goes_on()
            && !self.pools[index(pool)].closed
            && let Some(mut next) = shares.peek_mut()
        {
            let lane = &mut tier[next.0.index].lane;
            self.pass_over(pool, lane);
            let Some(at) = lane.next(self.view, &self.taken) else {
                PeekMut::pop(next);
                continue;
            };
            self.plan_pending(pool);
            let mut turn = Turn::of(&mut lane.lines[at], pool, &mut self.allocator);
            match step(&turn, &mut self.allocator, &mut self.tasks_left, self.budget) {
                Step::Placed(node) => {
                    note(&mut self.turns, &mut self.placed, &mut turn, node);
                    let class = turn.class;
                    next.0.used += cost(class);
                    lane.lines[at].take_one(self.view, &self.taken);
                    lane.placed(self.view, class, 1);
                }
                Step::Blocked => {
                    let (job, class) = (turn.job, turn.class);
                    let then = self.blocked(job, class, false);
                    if then == Then::NextTask {
                        next.0.used += cost(class);
                        lane.lines[at].plan_one(self.view, &self.taken);
                        lane.placed(self.view, class, 1);
                        continue;
                    }
                    lane.block(at);
                    if then == Then::ShortestFirst {
                        return then;
                    }
                }
                Step::Cut => self.cut = true,
            }
        }
        Then::Leave
    }

    /// What is left of a pool, the shortest first; of equals the one that is ahead in its queue.
    fn place_shortest(&mut self, lanes: &mut [QueueLane<'v>]) {
        let length = |class: &ClassView| class.span.expected_ms().unwrap_or(u64::MAX);
        let mut heads: BinaryHeap<Reverse<(u64, OrderKey, usize, usize)>> = BinaryHeap::new();
        for (lane, queue) in lanes.iter_mut().enumerate() {
            queue.lane.complete(self.view, queue.queue);
            for (at, line) in queue.lane.lines.iter().enumerate() {
                if let Some(key) = line.at.filter(|_| !line.blocked) {
                    heads.push(Reverse((length(line.class), key, lane, at)));
                }
            }
        }
        while self.goes_on()
            && let Some(Reverse((length, was, lane, at))) = heads.pop()
        {
            let pool = lanes[lane].queue.pool;
            let line = &mut lanes[lane].lane.lines[at];
            while line.at.is_some() && !line.has_left(self.view, &self.taken) {
                line.step();
            }
            let Some(key) = line.at else { continue };
            if key != was {
                // Another of the same length may be before it.
                heads.push(Reverse((length, key, lane, at)));
                continue;
            }
            let mut turn = Turn::of(line, pool, &mut self.allocator);
            match step(&turn, &mut self.allocator, &mut self.tasks_left, self.budget) {
                Step::Placed(node) => {
                    note(&mut self.turns, &mut self.placed, &mut turn, node);
                    line.take_one(self.view, &self.taken);
                    heads.push(Reverse((length, key, lane, at)));
                }
                Step::Blocked => line.blocked = true,
                Step::Cut => self.cut = true,
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.cut && (self.thorough || self.allocator.capacity.has_open_slot())
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

    /// How many tasks of which class were placed in this pass, job by job.
    pub(crate) fn placed_tasks(&self) -> Vec<(&'v ClassView, u32)> {
        let mut counts = vec![0u32; self.turns.len()];
        self.placed.iter().for_each(|(turn, _)| counts[*turn as usize] += 1);
        let class = |job: &JobId| self.view.class(self.view.jobs.get(job)?.class);
        let placed = self.turns.iter().zip(counts);
        placed.filter_map(|(job, count)| Some((class(job)?, count))).collect()
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
    set: usize,
    /// Its number in the plan.
    number: &'a mut Option<u32>,
}

impl<'a, 'v> Turn<'a, 'v> {
    fn of<K: Key>(line: &'a mut Line<'v, K>, pool: PoolId, allocator: &mut Allocator<'v>) -> Self {
        let class = line.class;
        let set = *line.set.get_or_insert_with(|| allocator.capacity.set(pool, class));
        let job = line.at.expect("a line that is next has a job").job();
        Turn { job, class, set, number: &mut line.turn }
    }
}

/// Tries to place one task.
fn step<'v>(
    turn: &Turn<'_, 'v>,
    allocator: &mut Allocator<'v>,
    tasks_left: &mut u32,
    budget: Budget,
) -> Step {
    if *tasks_left == 0 || allocator.capacity.nodes_examined >= budget.nodes_max {
        return Step::Cut;
    }
    let Some(row) = allocator.find(turn.set, turn.class) else { return Step::Blocked };
    allocator.place(turn.class, row);
    *tasks_left -= 1;
    Step::Placed(allocator.capacity.node_of(row))
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
fn cost(class: &ClassView) -> u64 {
    class.request.amounts.cpu_milli.max(1)
}

/// Position of a pool in the view.
fn index(pool: PoolId) -> usize {
    pool.0 as usize - 1
}
