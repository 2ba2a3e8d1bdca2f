//! What a job that fits nowhere means for those behind it, by the discipline of its pool.

use super::{Pass, Scope, index};
use crate::order::Lane;
use crate::reserve::{Allocator, ReservationOutcome, nearest, reserve_first, reserve_next};
use taskyard_model::{ClassView, Discipline, JobId, OrderKey, PoolId};

/// What a discipline says. The one place that names the disciplines: a new one is one more row of [`Rules::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Nothing starts behind a job that fits nowhere.
    pub(crate) closes: bool,
    reserves: Reserves,
    /// Behind the reserved start, the shortest goes first.
    shortest_first: bool,
}

/// For which jobs without room a later start is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reserves {
    /// For none, but for aged ones.
    Nothing,
    /// For the first.
    First,
    /// For each.
    Each,
}

impl Rules {
    pub(crate) fn of(discipline: Discipline) -> Rules {
        let (closes, reserves, shortest_first) = match discipline {
            Discipline::Strict => (true, Reserves::Nothing, false),
            Discipline::Greedy => (false, Reserves::Nothing, false),
            Discipline::Easy => (false, Reserves::First, false),
            Discipline::EasySjf => (false, Reserves::First, true),
            Discipline::Conservative => (false, Reserves::Each, false),
        };
        Rules { closes, reserves, shortest_first }
    }

    pub(crate) fn reserves_each(self) -> bool {
        self.reserves == Reserves::Each
    }
}

/// How far a pool is.
pub(super) struct PoolPass<'v> {
    pub(super) rules: Rules,
    /// Nothing more starts.
    pub(super) closed: bool,
    /// The start that is protected from those behind it was looked for.
    first_blocked: bool,
    /// Those that fitted nowhere, in order, until that start is looked for. Most passes end before a job behind them
    /// has room, and then the search was not needed.
    pending: Vec<(JobId, &'v ClassView)>,
    /// Starts reserved.
    reserved: u32,
    /// The first whose start is unknown: it was asked what to keep for it.
    keeps: Option<JobId>,
}

/// What a job that fits nowhere means for what is left of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterBlocked {
    /// The class leaves the pass.
    DropClass,
    /// A later start is reserved for this one task; the next of the class may be looked at.
    NextTask,
    /// The pool is done.
    ClosePool,
    /// The class leaves, and from now on the shortest goes first.
    ShortestFirst,
}

impl PoolPass<'_> {
    pub(super) fn new(rules: Rules) -> Self {
        PoolPass { rules, closed: false, first_blocked: false, pending: Vec::new(), reserved: 0, keeps: None }
    }

    /// Whether the shortest goes first from now on.
    pub(super) fn goes_by_length(&self) -> bool {
        self.rules.shortest_first && self.first_blocked
    }

    /// Keeps what is nearest to having room for a job whose start is unknown, if it is the first of the pool.
    fn keep_nearest(&mut self, allocator: &mut Allocator<'_>, job: JobId, class: &ClassView) {
        if self.keeps.is_some() {
            return;
        }
        self.keeps = Some(job);
        let capacity = &mut allocator.capacity;
        let since_ms = capacity.view.jobs.get(&job).map_or(u64::MAX, |job| job.submitted_ms);
        capacity.nodes_examined += capacity.view.nodes.len() as u64;
        let nodes = nearest(capacity, class, capacity.view.now_ms.saturating_sub(since_ms));
        capacity.keep_nodes(job, &nodes);
    }

    /// Whether classes without room may be dropped without a look at each: their order does not matter, or no longer.
    fn passes_over(&self) -> bool {
        !self.rules.closes
            && !self.rules.reserves_each()
            && (!self.rules.shortest_first || self.first_blocked)
    }
}

impl<'v> Pass<'v> {
    /// Drops classes of a lane that are next and for whose tasks no node has room.
    pub(super) fn pass_over(&mut self, pool: PoolId, lane: &mut Lane<'v, OrderKey>) {
        let (view, pool) = (self.view, &mut self.pools[index(pool)]);
        if self.scope != Scope::WhileOpen || !pool.passes_over() {
            return;
        }
        let awaits_reservation = pool.rules.reserves == Reserves::First && !pool.first_blocked;
        let (capacity, pending) = (&self.allocator.capacity, &mut pool.pending);
        let over = |job, class| {
            if awaits_reservation {
                pending.extend(view.class(class).map(|class| (job, class)));
            }
        };
        // Of a job that an earlier step has placed something of, nothing may be left.
        let taken = |job: JobId| !self.taken.is_empty() && self.taken.contains_key(&job);
        lane.pass_over(|job, head| !capacity.may_have_room(head) && !taken(job), over);
    }

    /// Reserves the start that is protected, before the first job behind it is looked at.
    pub(super) fn reserve_pending(&mut self, pool: PoolId) {
        let pool = &mut self.pools[index(pool)];
        for (job, class) in std::mem::take(&mut pool.pending) {
            if !pool.first_blocked {
                let outcome = reserve_first(&mut self.allocator, job, class, false);
                pool.first_blocked = outcome != ReservationOutcome::Never;
                if outcome == ReservationOutcome::Unknown {
                    pool.keep_nearest(&mut self.allocator, job, class);
                }
            }
        }
    }

    /// Whether nodes are kept for a job whose start is unknown, once it has waited long enough.
    pub(crate) fn keeps_for(&self, job: JobId) -> bool {
        self.pools.iter().any(|pool| pool.keeps == Some(job))
    }

    /// [`Pass::reserve_pending`] in all pools, for steps that ask what still fits after the pass.
    pub(crate) fn reserve_all_pending(&mut self) {
        for pool in &self.view.pools {
            self.reserve_pending(pool.id);
        }
    }

    /// What it means that a job's next task fits nowhere.
    pub(super) fn blocked(&mut self, job: JobId, class: &'v ClassView, aged: bool) -> AfterBlocked {
        let at = index(self.view.pool_of(class));
        if self.pools[at].rules.closes {
            self.pools[at].closed = true;
            return AfterBlocked::ClosePool;
        }
        let Some(outcome) = self.reserve(at, job, class, aged) else { return AfterBlocked::DropClass };
        let pool = &mut self.pools[at];
        if outcome == ReservationOutcome::Unknown && aged {
            // No time is known at which there will be room for it, so everything that could become room is kept.
            self.allocator.capacity.keep_all_for(job, class);
        } else if outcome == ReservationOutcome::Unknown {
            pool.keep_nearest(&mut self.allocator, job, class);
        }
        if pool.rules.reserves_each() {
            return match outcome {
                ReservationOutcome::Reserved => {
                    pool.reserved += 1;
                    AfterBlocked::NextTask
                }
                // In a forecast nothing may be foreseen to start before a job whose start is not known.
                _ if self.scope == Scope::InOrder => {
                    pool.closed = true;
                    AfterBlocked::ClosePool
                }
                _ => AfterBlocked::DropClass,
            };
        }
        // What could never run protects nothing; the next one without room is asked then. An aged job without a known
        // start has its nodes kept instead, and leaves the pool's one reservation to the next.
        pool.first_blocked = match outcome {
            ReservationOutcome::Reserved => true,
            ReservationOutcome::Unknown => !aged,
            ReservationOutcome::Never => false,
        };
        if pool.goes_by_length() { AfterBlocked::ShortestFirst } else { AfterBlocked::DropClass }
    }

    /// Reserves a later start for a job of a pool, by its ordinal. `None` where the discipline wants none.
    fn reserve(
        &mut self,
        at: usize,
        job: JobId,
        class: &'v ClassView,
        aged: bool,
    ) -> Option<ReservationOutcome> {
        let pool = &self.pools[at];
        match pool.rules.reserves {
            // An aged job is protected even where nothing else is: without that, what is smaller could pass it for good.
            Reserves::Nothing if !aged => None,
            Reserves::Each if pool.reserved >= self.budget.reservations_max => None,
            Reserves::Each => Some(reserve_next(&mut self.allocator, job, class)),
            Reserves::Nothing | Reserves::First if pool.first_blocked => None,
            Reserves::Nothing | Reserves::First => Some(reserve_first(&mut self.allocator, job, class, aged)),
        }
    }
}
