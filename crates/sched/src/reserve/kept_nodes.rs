//! Which nodes are kept for a job that has no room, where it is unknown when it will have some: what runs in its way
//! has neither an estimate nor a time limit. Without that, all that is smaller would pass it for good.
//!
//! A node that is sure to make room is kept almost at once. Any other is kept only after
//! [`taskyard_model::PoolConfig::reserve_after_ms`].

use crate::place::{FreeCapacity, Remaining};
use taskyard_model::resources::gpus_there;
use taskyard_model::{ClassView, NodeView, Request, View, limits};

/// From this wait on, a node that is sure to make room is kept. Long enough that a moment's gap between two tasks
/// costs nothing.
const SOON_MS: u64 = 1_000;
/// All that is asked for, as a measure of what is missing.
const ALL: u128 = 1 << 16;

/// How near a node is to having room: the least is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Distance {
    /// Something in the way may run on and on.
    lasting: bool,
    /// The part that is missing of what is asked for, where most is missing.
    missing: u128,
    node: u32,
}

/// The nodes (indexes) to keep for a class, given how long its first job has waited.
pub(crate) fn nearest(capacity: &FreeCapacity<'_>, class: &ClassView, waited_ms: u64) -> Vec<u32> {
    let view = capacity.view;
    let after_ms = reserve_after_ms(view, class);
    if waited_ms < SOON_MS.min(after_ms) || after_ms == u64::MAX {
        return Vec::new();
    }
    let late = waited_ms >= after_ms;
    let could = (0u32..).zip(&view.nodes).filter(|(_, node)| {
        node.takes_work().is_ok()
            && view.could_hold(node, class).is_ok()
            && view.open_at(node, class.span, view.now_ms).is_ok()
            && !(class.affinity.is_apart() && node.has(class.id))
    });
    let mut all: Vec<Distance> = could.map(|(at, node)| distance(capacity, at, node, class)).collect();
    // Where something may run on and on, what is free would lie idle for nothing.
    all.retain(|distance| late || !distance.lasting);
    all.sort_unstable();
    // What runs on the first node may never end, so the longer the wait, the more nodes are kept.
    let doublings = (waited_ms / after_ms.max(1)).checked_ilog2().unwrap_or(0);
    all.into_iter().take(1 + doublings as usize).map(|distance| distance.node).collect()
}

/// Time until [`nearest`] names a first node, if nothing else changes.
pub(crate) fn first_kept_in_ms(
    capacity: &FreeCapacity<'_>,
    class: &ClassView,
    waited_ms: u64,
) -> Option<u64> {
    let after_ms = reserve_after_ms(capacity.view, class);
    [SOON_MS.min(after_ms), after_ms]
        .into_iter()
        .filter(|at_ms| *at_ms > waited_ms)
        .find(|at_ms| !nearest(capacity, class, *at_ms).is_empty())
        .map(|at_ms| at_ms - waited_ms)
}

fn reserve_after_ms(view: &View, class: &ClassView) -> u64 {
    view.pool(view.pool_of(class)).map_or(u64::MAX, |pool| pool.config.reserve_after_ms)
}

fn distance(capacity: &FreeCapacity<'_>, at: u32, node: &NodeView, class: &ClassView) -> Distance {
    let remaining = capacity.remaining(at);
    let missing = missing(&remaining, &class.request);
    Distance { lasting: !would_fit(capacity.view, remaining, node, &class.request), missing, node: at }
}

/// Whether there is room once all has ended that is of classes whose tasks are known to end: by an estimate, or since
/// one has.
fn would_fit(view: &View, mut remaining: Remaining, node: &NodeView, request: &Request) -> bool {
    for (id, here) in &node.by_class {
        let Some(class) = view.class(*id) else { continue };
        if class.typical_us.is_some() || class.span.expected_ms().is_some() {
            remaining.free.give_times(&class.request.amounts, here.running);
            remaining.running = remaining.running.saturating_sub(here.running);
            remaining.alone &= !class.request.exclusive;
            give_gpus(&mut remaining.gpu_free, class.request.gpu_milli, here.running);
        }
    }
    remaining.fits(request)
}

/// Frees devices as far as it is known how many tasks had, and not which: the fullest first.
fn give_gpus(gpu_free: &mut [u32], gpu_milli: u32, tasks: u32) {
    let mut back = u64::from(gpu_milli) * u64::from(tasks);
    gpu_free.sort_unstable();
    for free in gpu_free {
        let more = u64::from(1_000 - *free).min(back);
        *free += u32::try_from(more).unwrap_or(0);
        back -= more;
    }
}

/// The largest part that is missing, of any resource, in 2^-16.
fn missing(remaining: &Remaining, request: &Request) -> u128 {
    let part =
        |asked: u64, there: u64| u128::from(asked.saturating_sub(there)) * ALL / u128::from(asked.max(1));
    let named = &remaining.free.named;
    let asked = &request.amounts;
    let named = asked.named.iter().map(|(name, asked)| part(*asked, named.get(name).copied().unwrap_or(0)));
    let others = if request.exclusive { remaining.running } else { 0 };
    let full = remaining.alone || remaining.running >= limits::RUNNING_PER_NODE_MAX;
    let parts = [
        part(asked.cpu_milli, remaining.free.cpu_milli),
        part(asked.memory, remaining.free.memory),
        part(request.gpu_milli.into(), gpus_there(&remaining.gpu_free, request.gpu_milli)),
        u128::from(others) * ALL / (u128::from(others) + 1),
        if full { ALL } else { 0 },
    ];
    parts.into_iter().chain(named).max().unwrap_or(0)
}
