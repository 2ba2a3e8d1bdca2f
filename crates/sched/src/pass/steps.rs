//! The steps of a pass: aged jobs, tiers, and the shortest first where the discipline says so. Each asks
//! [`Pass::advance`] for one task at a time.

use super::discipline::AfterBlocked;
use super::{Pass, Scope, index};
use crate::order::{Age, ClassLine, Key, Lane, QueueLane, TierShare};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, binary_heap::PeekMut};
use taskyard_model::{ClassView, OrderKey, PoolId, QueueId};

/// What happened to the task whose turn it was.
enum Advance {
    /// It starts now.
    Placed,
    /// A later start is reserved for it, and the next task of its class may be looked at.
    Reserved,
    /// It fits nowhere.
    Blocked(AfterBlocked),
    /// The budget is spent, and the pass must end.
    BudgetSpent,
}

impl<'v> Pass<'v> {
    /// Jobs that go before all others, oldest first. Returns what was placed by queue.
    pub(super) fn place_aged(&mut self, aged: &mut Lane<'v, Age>) -> BTreeMap<QueueId, u64> {
        let mut used = BTreeMap::new();
        while self.goes_on()
            && let Some(at) = aged.next(self.view, &self.taken)
        {
            let line = &mut aged.lines[at];
            let (class, pool) = (line.class, self.view.pool_of(line.class));
            if self.pools[index(pool)].closed {
                aged.block(at);
                continue;
            }
            let job = line.head.map(Key::job);
            let advance = self.advance(line, pool, true);
            match advance {
                Advance::Placed => *used.entry(class.queue).or_insert(0) += cost(class),
                Advance::Blocked(_) => aged.block(at),
                Advance::Reserved | Advance::BudgetSpent => {}
            }
            // The job stands in its queue too, and is not to get the same task twice.
            if let (Advance::Placed | Advance::Reserved, Some(job)) = (advance, job) {
                *self.taken.entry(job).or_insert(0) += 1;
            }
        }
        used
    }

    /// The pools one after the other, each tier by tier.
    pub(super) fn place_pools(&mut self) {
        // The lanes are apart from the pass while it goes through them, so that it may change itself meanwhile.
        let mut queues = std::mem::take(&mut self.queues);
        for of_pool in queues.chunk_by_mut(|a, b| a.queue.pool == b.queue.pool) {
            let mut shortest = self.pools[index(of_pool[0].queue.pool)].goes_by_length();
            for tier in of_pool.chunk_by_mut(|a, b| a.queue.config.tier == b.queue.config.tier) {
                shortest = shortest || self.place_tier(tier) == AfterBlocked::ShortestFirst;
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

    /// The queues of a tier, the one with the least of its share next.
    fn place_tier(&mut self, tier: &mut [QueueLane<'v>]) -> AfterBlocked {
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
            // Classes without room are dropped in bulk where nothing has to be known about each: with many classes that
            // is most of a pass. The start that EASY protects is then reserved before the first job behind it is looked
            // at.
            self.pass_over(pool, lane);
            let Some(at) = lane.next(self.view, &self.taken) else {
                PeekMut::pop(next);
                continue;
            };
            self.reserve_pending(pool);
            let class = lane.lines[at].class;
            match self.advance(&mut lane.lines[at], pool, false) {
                // A reserved start counts like a task that runs, or a queue whose turn it is would get all
                // reservations.
                Advance::Placed | Advance::Reserved => {
                    next.0.used += cost(class);
                    lane.placed(self.view, class, 1);
                }
                Advance::Blocked(after) => {
                    lane.block(at);
                    if after == AfterBlocked::ShortestFirst {
                        return after;
                    }
                }
                Advance::BudgetSpent => {}
            }
        }
        AfterBlocked::DropClass
    }

    /// What is left of a pool, the shortest first; of equals the one that is ahead in its queue.
    fn place_shortest(&mut self, lanes: &mut [QueueLane<'v>]) {
        let length = |class: &ClassView| class.span.expected_ms().unwrap_or(u64::MAX);
        let mut heads: BinaryHeap<Reverse<(u64, OrderKey, usize, usize)>> = BinaryHeap::new();
        for (lane, queue) in lanes.iter_mut().enumerate() {
            queue.lane.complete(self.view, queue.queue);
            for (at, line) in queue.lane.lines.iter().enumerate() {
                if let Some(key) = line.head.filter(|_| !line.blocked) {
                    heads.push(Reverse((length(line.class), key, lane, at)));
                }
            }
        }
        while self.goes_on()
            && let Some(Reverse((length, was, lane, at))) = heads.pop()
        {
            let pool = lanes[lane].queue.pool;
            let line = &mut lanes[lane].lane.lines[at];
            while line.head.is_some() && !line.has_left(self.view, &self.taken) {
                line.next_job();
            }
            let Some(key) = line.head else { continue };
            if key != was {
                // Another of the same length may be before it.
                heads.push(Reverse((length, key, lane, at)));
                continue;
            }
            match self.advance(line, pool, false) {
                Advance::Placed | Advance::Reserved => heads.push(Reverse((length, key, lane, at))),
                Advance::Blocked(_) => line.blocked = true,
                Advance::BudgetSpent => {}
            }
        }
    }

    /// Places the next task of a line, or asks the pool's discipline what it means that it fits nowhere.
    fn advance<K: Key>(&mut self, line: &mut ClassLine<'v, K>, pool: PoolId, aged: bool) -> Advance {
        let class = line.class;
        let capacity = &mut self.allocator.capacity;
        let set = *line.set.get_or_insert_with(|| capacity.candidates(pool, class));
        let job = line.head.expect("a line that is next has a job").job();
        if self.tasks_left == 0 || capacity.nodes_examined >= self.budget.nodes_max {
            self.cut = true;
            return Advance::BudgetSpent;
        }
        if let Some(slot) = self.allocator.find(set, class) {
            self.allocator.place(class, slot);
            self.tasks_left -= 1;
            self.placements.add(job, &mut line.number, self.allocator.capacity.node_of(slot));
            line.take_one(self.view, &self.taken);
            return Advance::Placed;
        }
        match self.blocked(job, class, aged) {
            AfterBlocked::NextTask => {
                line.reserve_one(self.view, &self.taken);
                Advance::Reserved
            }
            after => Advance::Blocked(after),
        }
    }

    fn goes_on(&self) -> bool {
        !self.cut && (self.scope != Scope::WhileOpen || self.allocator.capacity.has_open_slot())
    }
}

/// What a task counts against its queue's share. Never nothing, or a queue of tasks that ask for none would never
/// yield.
fn cost(class: &ClassView) -> u64 {
    class.request.amounts.cpu_milli.max(1)
}
