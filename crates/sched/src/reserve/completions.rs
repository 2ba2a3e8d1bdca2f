//! What a node will have when: its room now, and what the expected ends of what runs there give back.

use crate::place::{Completion, Devices, FreeCapacity, Remaining};
use std::collections::BTreeMap;
use taskyard_model::{Amounts, ClassId, ClassView, Ending, NodeView, Request, View};

/// The expected ends on a node (an index), in order of time: of what ran before the pass and of what the pass has
/// placed.
pub(crate) fn completions<'a>(
    capacity: &'a FreeCapacity<'_>,
    node: u32,
) -> impl Iterator<Item = Completion<'a>> {
    let (view, of) = (capacity.view, &capacity.view.nodes[node as usize]);
    // What is on time is in order already, and of a busy node it is nearly all. The rest is sorted, and the two are
    // merged.
    let on_time = of.ends.range((view.now_ms + 1, ClassId(0))..);
    let on_time = on_time.filter(|(key, _)| prefetched_ms(view, of, key.1) == 0);
    let mut on_time = on_time.filter_map(|(key, ending)| of_view(view, key.0, key.1, ending)).peekable();
    let mut others = others(capacity, node).into_iter().peekable();
    std::iter::from_fn(move || match (on_time.peek(), others.peek()) {
        (Some(next), Some(other)) if other.at_ms < next.at_ms => others.next(),
        (None, _) => others.next(),
        _ => on_time.next(),
    })
}

/// What nothing asks for.
static NOTHING: Request = Request {
    amounts: Amounts { cpu_milli: 0, memory: 0, named: BTreeMap::new() },
    gpu_milli: 0,
    exclusive: false,
};

/// How long what is held of a class on a node goes on in the places of what runs of it, by how long such tasks take.
fn prefetched_ms(view: &View, node: &NodeView, class: ClassId) -> u64 {
    let prefetched = if node.prefetched == 0 {
        None
    } else {
        node.by_class.get(&class).filter(|here| here.prefetched > 0)
    };
    let (Some(here), Some(class)) = (prefetched, view.class(class)) else { return 0 };
    // Successors take over one after the other, so the slots become free only when the last of them has ended.
    let rounds = u64::from(here.prefetched.div_ceil(here.running.max(1)));
    rounds.saturating_mul(class.typical_us.unwrap_or(0).div_ceil(1_000)).max(1)
}

/// Those that are late or have successors that are held, and those that the pass has placed.
fn others<'a>(capacity: &'a FreeCapacity<'_>, node: u32) -> Vec<Completion<'a>> {
    let (view, of) = (capacity.view, &capacity.view.nodes[node as usize]);
    let until_ms = if of.prefetched == 0 { view.now_ms + 1 } else { u64::MAX };
    let late = of.ends.range(..(until_ms, ClassId(0)));
    let late = late.filter(|(key, _)| key.0 <= view.now_ms || prefetched_ms(view, of, key.1) > 0);
    let late = late.filter_map(|(key, ending)| {
        let end = of_view(view, key.0, key.1, ending)?;
        Some(Completion { at_ms: end.at_ms.saturating_add(prefetched_ms(view, of, key.1)), ..end })
    });
    let placed = capacity.placed(node).into_iter().flat_map(|placed| &placed.tasks);
    let placed = placed.filter_map(|placed| {
        let at_ms = view.now_ms.saturating_add(placed.span.expected_ms()?);
        Some(Completion { at_ms, request: placed.request, count: 1, gpus: Devices::Placed(&placed.gpus) })
    });
    let mut others: Vec<Completion<'a>> = late.chain(placed).collect();
    // Nothing ends with a time of maintenance, but what did not fit for its sake may fit then.
    let after = view.nodes[node as usize].maintenance.iter().map(|window| Completion {
        at_ms: view.now_ms.saturating_add(window.until_wall_ms.saturating_sub(view.wall_ms)),
        request: &NOTHING,
        count: 0,
        gpus: Devices::Placed(&[]),
    });
    others.extend(after);
    others.sort_by_key(|end| end.at_ms);
    others
}

/// What is expected to end, which may be later than it was when it began: see [`taskyard_model::Span::end_ms`].
fn of_view<'a>(view: &'a View, end_ms: u64, class: ClassId, ending: &'a Ending) -> Option<Completion<'a>> {
    let class = view.class(class)?;
    let since_ms = end_ms.saturating_sub(class.span.expected_ms()?);
    let at_ms = class.span.end_ms(since_ms, view.now_ms)?;
    Some(Completion { at_ms, request: &class.request, count: ending.count, gpus: Devices::Of(ending) })
}

/// What a node (an index) has at a time if whatever is not sure to have ended by then is still there. What nothing
/// limits is never sure to end.
pub(crate) fn guaranteed_at(capacity: &FreeCapacity<'_>, node: u32, at_ms: u64) -> Remaining {
    let view = capacity.view;
    let of = &view.nodes[node as usize];
    let mut remaining = capacity.remaining(node);
    for (&(end_ms, class), ending) in &of.ends {
        let Some(class) = view.class(class) else { continue };
        let (Some(expected), Some(limit)) = (class.span.expected_ms(), class.span.limit_ms) else { continue };
        if end_ms.saturating_sub(expected).saturating_add(limit).max(view.now_ms) <= at_ms {
            remaining.give(&Completion {
                at_ms,
                request: &class.request,
                count: ending.count,
                gpus: Devices::Of(ending),
            });
        }
    }
    for placed in capacity.placed(node).into_iter().flat_map(|placed| &placed.tasks) {
        if placed.span.limit_ms.is_some_and(|limit| view.now_ms.saturating_add(limit) <= at_ms) {
            remaining.give(&Completion {
                at_ms,
                request: placed.request,
                count: 1,
                gpus: Devices::Placed(&placed.gpus),
            });
        }
    }
    remaining
}

/// The expected ends of the tasks of a class on a node: times and counts.
pub(crate) fn of_class<'a>(
    view: &'a View,
    node: &'a NodeView,
    class: &'a ClassView,
) -> impl Iterator<Item = (u64, u32)> + 'a {
    let ends = node.ends.iter().filter(|((_, of), _)| *of == class.id);
    ends.filter_map(|(key, ending)| of_view(view, key.0, key.1, ending)).map(|end| (end.at_ms, end.count))
}

/// When a class's next task fits on a node (an index) where it does not fit now, from a time on, if that is before
/// `before_ms`; and what the node has then.
pub(crate) fn earliest_fit(
    capacity: &FreeCapacity<'_>,
    node: u32,
    class: &ClassView,
    from_ms: u64,
    before_ms: u64,
) -> Option<(u64, Remaining)> {
    let (now_ms, view) = (capacity.view.now_ms, &capacity.view.nodes[node as usize]);
    let idle = view.ends.is_empty() && view.maintenance.is_empty() && capacity.placed(node).is_none();
    if idle && from_ms <= now_ms {
        return None;
    }
    let mut completions = completions(capacity, node).peekable();
    let mut remaining = capacity.remaining(node);
    // What is in the way now is no room, unless the time to begin with is later.
    let mut at_ms = (from_ms > now_ms).then_some(from_ms);
    loop {
        if at_ms.is_some_and(|at_ms| at_ms >= before_ms) {
            return None;
        }
        let mut more = |at_ms: u64| completions.peek().is_some_and(|next| next.at_ms <= at_ms);
        if let Some(at_ms) = at_ms.filter(|at_ms| !more(*at_ms))
            && remaining.fits(&class.request)
            && capacity.view.open_at(view, class.span, at_ms).is_ok()
        {
            return Some((at_ms, remaining));
        }
        let end = completions.next()?;
        remaining.give(&end);
        at_ms = Some(end.at_ms.max(from_ms));
    }
}
