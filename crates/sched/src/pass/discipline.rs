//! What a job that fits nowhere means for those behind it, by the discipline of its pool.

use super::{Pass, index};
use crate::order::Lane;
use crate::reserve::{Allocator, ReservationOutcome, nearest, reserve_first, reserve_next};
use taskyard_model::{ClassView, Discipline, JobId, OrderKey, PoolId};

/// How far a pool is.
pub(super) struct PoolPass<'v> {
    pub(super) discipline: Discipline,
    /// Nothing more starts: the discipline is strict, and something did not fit.
    pub(super) closed: bool,
    /// The start that EASY protects was looked for.
    pub(super) first_blocked: bool,
    /// Those that fitted nowhere, in order, until that start is looked for: nobody asks before something has room.
    pending: Vec<(JobId, &'v ClassView)>,
    /// Starts planned.
    planned: u32,
    /// The first whose start is unknown: it was asked what to keep for it.
    keeps: Option<JobId>,
}

impl PoolPass<'_> {
    pub(super) fn new(discipline: Discipline) -> Self {
        PoolPass {
            discipline,
            closed: false,
            first_blocked: false,
            pending: Vec::new(),
            planned: 0,
            keeps: None,
        }
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

    /// Whether those for whom no node has room may be passed over without a look at them one by one.
    fn passes_over(&self) -> bool {
        matches!(self.discipline, Discipline::Greedy | Discipline::Easy)
            || (self.discipline == Discipline::EasySjf && self.first_blocked)
    }
}

/// What a job that fits nowhere means for what is left of its lane.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The class leaves the pass.
    Leave,
    /// This one task is done with; the next of the class may be looked at.
    NextTask,
    /// The pool is done.
    Close,
    /// The class leaves, and from now on the shortest goes first.
    ShortestFirst,
}

impl<'v> Pass<'v> {
    /// Leaves out classes of a lane that are next and for whose tasks no node has room.
    pub(super) fn pass_over(&mut self, pool: PoolId, lane: &mut Lane<'v, OrderKey>) {
        let (view, pool) = (self.view, &mut self.pools[index(pool)]);
        if self.thorough || !pool.passes_over() {
            return;
        }
        let waits_for_plan = pool.discipline == Discipline::Easy && !pool.first_blocked;
        let (capacity, pending) = (&self.allocator.capacity, &mut pool.pending);
        let over = |job, class| {
            if waits_for_plan {
                pending.extend(view.class(class).map(|class| (job, class)));
            }
        };
        // Of a job that an earlier step has placed something of, nothing may be left.
        let taken = |job: JobId| !self.taken.is_empty() && self.taken.contains_key(&job);
        lane.pass_over(|job, head| !capacity.may_have_room(head) && !taken(job), over);
    }

    /// Plans the start that EASY protects, before the first one behind it is looked at.
    pub(super) fn plan_pending(&mut self, pool: PoolId) {
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

    /// [`Pass::plan_pending`] in all pools, for whoever asks what still fits after the pass.
    pub(crate) fn plan_all_pending(&mut self) {
        for pool in &self.view.pools {
            self.plan_pending(pool.id);
        }
    }

    /// What it means that a job's next task fits nowhere.
    pub(super) fn blocked(&mut self, job: JobId, class: &'v ClassView, aged: bool) -> Then {
        let pool = &mut self.pools[index(self.view.pool_of(class))];
        let outcome = match pool.discipline {
            Discipline::Strict => {
                pool.closed = true;
                return Then::Close;
            }
            Discipline::Greedy if !aged => return Then::Leave,
            Discipline::Conservative if pool.planned >= self.budget.planned_max => return Then::Leave,
            Discipline::Conservative => reserve_next(&mut self.allocator, job, class),
            _ if pool.first_blocked => return Then::Leave,
            _ => reserve_first(&mut self.allocator, job, class, aged),
        };
        if outcome == ReservationOutcome::Unknown && aged {
            // Nobody knows when there will be room for it, so everything that could become room is kept.
            self.allocator.capacity.keep_for(job, class);
        } else if outcome == ReservationOutcome::Unknown {
            pool.keep_nearest(&mut self.allocator, job, class);
        }
        match pool.discipline {
            Discipline::Conservative if outcome == ReservationOutcome::Reserved => {
                pool.planned += 1;
                Then::NextTask
            }
            Discipline::Conservative if self.allocator.reservations.in_order => {
                pool.closed = true;
                Then::Close
            }
            Discipline::Conservative => Then::Leave,
            discipline => {
                pool.first_blocked = outcome == ReservationOutcome::Reserved
                    || (outcome == ReservationOutcome::Unknown && !aged);
                match discipline {
                    Discipline::EasySjf if pool.first_blocked => Then::ShortestFirst,
                    _ => Then::Leave,
                }
            }
        }
    }
}
