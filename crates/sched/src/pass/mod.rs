//! One pass, pool by pool: first the jobs that have waited too long, then tier by tier, the queue with the least of its
//! share next. What a job that fits nowhere means for those behind it is the pool's discipline.

mod budget;
mod discipline;
mod placements;
mod steps;

pub use budget::Budget;
pub(crate) use discipline::Rules;

use crate::depth;
use crate::order::{self, Age, Lane, PlacedTasks, QueueLane};
use crate::reserve::Allocator;
use discipline::PoolPass;
use placements::Placements;
use taskyard_model::{Assignment, ClassView, OtherLoad, PoolId, PoolView, View};

/// A pass at work, and after it what the later steps ask about.
pub(crate) struct Pass<'v> {
    pub(crate) view: &'v View,
    /// Something is held ahead of need, or could be.
    pub(crate) holds: bool,
    pub(crate) allocator: Allocator<'v>,
    pub(crate) aged: Lane<'v, Age>,
    pub(crate) queues: Vec<QueueLane<'v>>,
    /// What the aged jobs got, which stand in their queues too.
    pub(crate) taken: PlacedTasks,
    pub(crate) placements: Placements,
    /// By ordinal.
    pools: Vec<PoolPass<'v>>,
    budget: Budget,
    scope: Scope,
    /// Tasks that may still be assigned.
    tasks_left: u32,
    cut: bool,
}

/// How much of what waits a pass looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// As long as some node has room for something: all that a plan needs.
    WhileOpen,
    /// Everything, so that all reservations are known.
    Everything,
    /// Everything, and nothing starts or is reserved before what comes before it.
    InOrder,
}

impl<'v> Pass<'v> {
    /// Decides what starts now. A pass ends when no node has room for anything.
    pub(crate) fn run(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, Scope::WhileOpen)
    }

    /// The same, knowing what the machines are busy with besides.
    pub(crate) fn beside(view: &'v View, other_load: &'v [OtherLoad], budget: Budget) -> Self {
        Pass::over(view, other_load, budget, Scope::WhileOpen)
    }

    /// The same, and looks at everything that waits even if no node has any room, so that what is reserved for later is
    /// known.
    pub(crate) fn thorough(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, Scope::Everything)
    }

    /// The same, and nothing is placed or reserved before what comes before it.
    pub(crate) fn in_order(view: &'v View, budget: Budget) -> Self {
        Pass::over(view, &[], budget, Scope::InOrder)
    }

    fn over(view: &'v View, other_load: &'v [OtherLoad], budget: Budget, scope: Scope) -> Self {
        let holds = budget.holds && depth::is_any(view);
        let scope = match scope {
            // What is held must not be in the way of any reserved start, so all of them must be known.
            Scope::WhileOpen if holds && holds_beside_reservations(view) => Scope::Everything,
            scope => scope,
        };
        let mut pass = Pass {
            view,
            holds,
            allocator: Allocator::new(view, other_load, holds),
            aged: Lane::new(Vec::new()),
            queues: Vec::new(),
            taken: PlacedTasks::new(),
            placements: Placements::default(),
            pools: view.pools.iter().map(|pool| PoolPass::new(rules(pool))).collect(),
            budget,
            scope,
            tasks_left: budget.tasks_max,
            cut: false,
        };
        pass.allocator.reservations.in_order = scope == Scope::InOrder;
        let mut aged = order::aged_lane(view);
        let used = pass.place_aged(&mut aged);
        pass.aged = aged;
        // A class with an aged job without room is done with: what is behind it in its queue must not pass it.
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

    /// What starts now.
    pub(crate) fn assignments(&mut self) -> Vec<Assignment> {
        self.placements.assignments(self.view)
    }

    /// Whether work of a class may be held ahead of need in its pool.
    pub(crate) fn may_prefetch(&self, class: &ClassView) -> bool {
        !self.pools[index(self.view.pool_of(class))].closed
    }

    /// Whether each start that waits in the class's pool is reserved, so that what is held must not be in the way of
    /// any.
    pub(crate) fn reserves_each(&self, class: &ClassView) -> bool {
        self.pools[index(self.view.pool_of(class))].rules.reserves_each()
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
}

/// What the discipline of a pool says.
fn rules(pool: &PoolView) -> Rules {
    Rules::of(pool.config.discipline)
}

/// Whether work could be held in a pool that reserves each start, while work of another class waits there.
fn holds_beside_reservations(view: &View) -> bool {
    view.pools.iter().filter(|pool| rules(pool).reserves_each()).any(|pool| {
        let queues = view.queues.iter().filter(|queue| queue.pool == pool.id);
        let mut classes =
            queues.flat_map(|queue| queue.heads.values()).filter_map(|head| view.class(head.class));
        let several = classes.clone().nth(1).is_some();
        several && classes.any(|class| depth::depth(class) > 0)
    })
}

/// Position of a pool in the view.
fn index(pool: PoolId) -> usize {
    pool.0 as usize - 1
}
