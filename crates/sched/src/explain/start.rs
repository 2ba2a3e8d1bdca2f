//! When the next task of a waiting job is planned to start, and which ends that counts on.
//!
//! What the pass has planned is binding for it. For all others there is a forecast: what the pass starts now is taken
//! as started, and the rest is planned ahead in order, as a conservative pool would. A forecast is binding for none.

mod after;
mod basis;
mod certainty;
mod delays;
mod moves;
mod unforeseen;

pub use basis::{Basis, EndReason, EndingWork};
pub use delays::{Delay, delays};
pub use moves::{MoveCause, ReservedStart, StartMove, reserved_starts};
pub use unforeseen::Unforeseen;

use crate::pass::{Budget, Pass, Rules};
use after::after;
use taskyard_model::{Assignment, Discipline, JobId, NodeId, PoolId, View, limits};

/// A start that is ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedStart {
    /// State time.
    pub at_ms: u64,
    /// Where.
    pub node: NodeId,
    /// How sure it is.
    pub kind: StartKind,
    /// The ends on that node until then that it counts on, the latest first; at most ten.
    pub basis: Vec<Basis>,
    /// Ends besides.
    pub more: u32,
}

/// How sure a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// The next pass starts it.
    Now,
    /// The pool's discipline has planned it, and nothing may start that delays it, whatever is submitted.
    Planned,
    /// The pool's discipline has planned it, and nothing that comes later in the order may delay it; a job that is
    /// submitted later may go first.
    PlannedByRank,
    /// Nothing protects it.
    Forecast,
}

/// One start that is foreseen.
#[derive(Clone, Copy, Debug)]
struct ForeseenStart {
    job: JobId,
    at_ms: u64,
    node: NodeId,
}

/// What a pass leads to.
struct Forecast {
    /// In the order in which it was planned; what starts now is first.
    starts: Vec<ForeseenStart>,
    /// There is more that was not planned.
    cut: bool,
}

/// When a job's next task starts, after a pass over the view.
pub(crate) fn of(view: &View, pass: &mut Pass<'_>, job: JobId) -> Option<Result<ExpectedStart, Unforeseen>> {
    let class = view.class(view.jobs.get(&job)?.class)?;
    let pool = view.pool_of(class);
    let runs = pass.assignments();
    if let Some(run) = runs.iter().find(|run| run.job == job) {
        let (node, kind, basis) = (run.node, StartKind::Now, Vec::new());
        return Some(Ok(ExpectedStart { at_ms: view.now_ms, node, kind, basis, more: 0 }));
    }
    let later = after(view, &runs);
    let start = |kind, foreseen: ForeseenStart, before: &[ForeseenStart]| {
        let (basis, more) = basis::of(&later, &runs, before, foreseen);
        Some(Ok(ExpectedStart { at_ms: foreseen.at_ms, node: foreseen.node, kind, basis, more }))
    };
    let made = planned(view, pass);
    if let Some(at) = made.iter().position(|planned| planned.job == job) {
        let kind = certainty::kind(view, class, view.jobs.get(&job)?, made[at].at_ms);
        return start(kind, made[at], &made[..at]);
    }
    let why = unforeseen::why(&later, class);
    if matches!(why, Unforeseen::NoNodeCould | Unforeseen::NodesAway) {
        return Some(Err(why));
    }
    let forecast = forecast(&later, pool);
    match forecast.starts.iter().position(|foreseen| foreseen.job == job) {
        Some(at) => start(StartKind::Forecast, forecast.starts[at], &forecast.starts[..at]),
        None if forecast.cut => Some(Err(Unforeseen::TooFarAhead)),
        None => Some(Err(why)),
    }
}

/// Plans what waits in a pool ahead, in order. Under a strict discipline no job starts before those ahead of it.
fn forecast(view: &View, pool: PoolId) -> Forecast {
    let mut view = view.clone();
    let config = view.pools.get_mut(pool).map(|pool| &mut pool.config);
    let strict = config.as_ref().is_some_and(|config| Rules::of(config.discipline).closes);
    // Only this discipline says of each task when it starts.
    if let Some(config) = config {
        config.discipline = Discipline::Conservative;
    }
    // Pools do not wait for each other, so the others need not be planned.
    for class in &mut view.classes {
        let queue = view.queues.get(class.queue);
        if queue.is_none_or(|queue| queue.pool != pool) {
            (class.waiting, class.by_age) = Default::default();
        }
    }
    for queue in view.queues.iter_mut().filter(|queue| queue.pool != pool) {
        queue.heads.clear();
        queue.ages.clear();
    }
    let budget = Budget { nodes_max: limits::FORECAST_NODES_MAX, ..Budget::default() };
    let mut pass = if strict { Pass::in_order(&view, budget) } else { Pass::thorough(&view, budget) };
    let mut starts = starting_now(&view, &pass.assignments());
    starts.extend(planned(&view, &pass));
    let cut = pass.is_cut() || pass.allocator.reservations.made.len() >= limits::PLANNED_TASKS_MAX as usize;
    Forecast { starts, cut }
}

fn is_in(view: &View, job: JobId, pool: PoolId) -> bool {
    let class = view.jobs.get(&job).and_then(|job| view.class(job.class));
    class.is_some_and(|class| view.pool_of(class) == pool)
}

/// What a pass has planned, in order.
fn planned(view: &View, pass: &Pass<'_>) -> Vec<ForeseenStart> {
    let node = |at: u32| view.nodes[at as usize].id;
    let made = pass.allocator.reservations.made.iter();
    made.map(|p| ForeseenStart { job: p.job, at_ms: p.at_ms, node: node(p.node) }).collect()
}

/// What a plan starts now, once for each task.
fn starting_now(view: &View, runs: &[Assignment]) -> Vec<ForeseenStart> {
    let one = |run: &Assignment| ForeseenStart { job: run.job, at_ms: view.now_ms, node: run.node };
    runs.iter().flat_map(|run| (0..run.count).map(move |_| one(run))).collect()
}

/// All starts of a pool that can be foreseen: what a pass starts now, and a forecast of the rest.
fn all_starts(view: &View, pool: PoolId) -> Forecast {
    let runs = Pass::run(view, Budget::default()).assignments();
    let mut starts = starting_now(view, &runs);
    starts.retain(|start| is_in(view, start.job, pool));
    let rest = forecast(&after(view, &runs), pool);
    starts.extend(rest.starts);
    Forecast { starts, cut: rest.cut }
}
