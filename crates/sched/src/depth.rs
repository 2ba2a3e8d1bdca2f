//! How far work is prefetched: how many tasks an agent may hold for each that runs there.

use taskyard_model::{ClassView, View, limits};

/// Run time held for each running attempt. A refill comes at half of it, so a round trip (a report, a pass, a plan: two
/// fsyncs and two messages) may take 100 ms before a slot runs dry. Little enough that what is held is done before
/// anyone would miss it.
const TARGET_US: u64 = 200_000;
/// For work longer than this nothing is held: a round trip of some milliseconds is below 1 % of it.
const LONGEST_US: u64 = 2 * TARGET_US;

/// How many attempts of a class may be held for each that runs. None while the length is unknown: the first end tells,
/// one round trip is all that costs, and nothing is ever bound behind work that turns out to take hours.
pub(crate) fn depth(class: &ClassView) -> u32 {
    match class.typical_us {
        Some(typical)
            // A successor takes over its predecessor's amounts, but not its devices or its place apart from others.
            if typical <= LONGEST_US && class.request.gpu_milli == 0 && !class.affinity.is_apart() =>
        {
            u32::try_from(TARGET_US / typical.max(1)).unwrap_or(u32::MAX).clamp(1, limits::PREFETCH_DEPTH_MAX)
        }
        _ => 0,
    }
}

/// Whether anything is held, or waits and is short enough to be held.
pub(crate) fn is_any(view: &View) -> bool {
    let mut waiting = view.queues.iter().flat_map(|queue| queue.heads.values());
    view.nodes.iter().any(|node| node.prefetched > 0)
        || waiting.any(|head| view.class(head.class).is_some_and(|class| depth(class) > 0))
}
