//! What a node will have when: its room now, and what the expected ends of what runs there give back.

use crate::rooms::Rooms;
use std::collections::BTreeMap;
use taskyard_model::resources::place_gpus;
use taskyard_model::{Amounts, ClassView, Ending, NodeView, Request, Room, View};

/// What is left on a node at some time.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) free: Amounts,
    pub(crate) gpu_free: Vec<u32>,
    pub(crate) running: u32,
    pub(crate) without_cpu_max: u32,
    pub(crate) alone: bool,
}

/// What ends at some time: so many tasks alike, with their devices.
pub(crate) struct End<'a> {
    pub(crate) at_ms: u64,
    pub(crate) request: &'a Request,
    pub(crate) count: u32,
    gpus: Gpus<'a>,
}

#[derive(Clone, Copy)]
enum Gpus<'a> {
    Of(&'a Ending),
    Placed(&'a [(u16, u32)]),
}

impl Left {
    pub(crate) fn of(room: Room<'_>) -> Left {
        let Room { free, gpu_free, running, without_cpu_max, alone } = room;
        Left { free: free.clone(), gpu_free: gpu_free.to_vec(), running, without_cpu_max, alone }
    }

    pub(crate) fn room(&self) -> Room<'_> {
        Room {
            free: &self.free,
            gpu_free: &self.gpu_free,
            running: self.running,
            without_cpu_max: self.without_cpu_max,
            alone: self.alone,
        }
    }

    /// Takes one task away, with the devices it has.
    pub(crate) fn take(&mut self, request: &Request, gpus: &[(u16, u32)]) {
        self.free.take(&request.amounts);
        for &(device, part) in gpus {
            self.gpu_free[usize::from(device)] -= part;
        }
        self.running += 1;
        self.alone |= request.exclusive;
    }

    /// Gives back what ends.
    pub(crate) fn give(&mut self, end: &End<'_>) {
        self.free.give_times(&end.request.amounts, end.count);
        self.running = self.running.saturating_sub(end.count);
        self.alone &= !end.request.exclusive;
        match end.gpus {
            Gpus::Of(ending) => {
                for (&device, milli) in &ending.gpus {
                    self.gpu_free[usize::from(device)] += milli;
                }
            }
            Gpus::Placed(gpus) => {
                for &(device, milli) in gpus {
                    self.gpu_free[usize::from(device)] += milli;
                }
            }
        }
    }

    /// Whether a task fits that could run on the node at all.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        self.running < request.running_max(self.without_cpu_max)
            && !self.alone
            && !(request.exclusive && self.running > 0)
            && self.free.has(&request.amounts)
            && (request.gpu_milli == 0 || place_gpus(&self.gpu_free, request.gpu_milli).is_some())
    }
}

/// The expected ends on a node (an index), in order of time: of what ran before the pass and of what the pass has placed.
pub(crate) fn ends<'a>(rooms: &'a Rooms<'_>, node: u32) -> impl Iterator<Item = End<'a>> {
    let (view, of) = (rooms.view, &rooms.view.nodes[node as usize]);
    let on_time = of.ends.range((view.now_ms + 1, taskyard_model::ClassId(0))..);
    let on_time = on_time.filter(|(key, _)| held_ms(view, of, key.1) == 0);
    let mut on_time = on_time.filter_map(|(key, ending)| of_view(view, key.0, key.1, ending)).peekable();
    let mut others = others(rooms, node).into_iter().peekable();
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
fn held_ms(view: &View, node: &NodeView, class: taskyard_model::ClassId) -> u64 {
    let held = if node.held == 0 { None } else { node.by_class.get(&class).filter(|here| here.held > 0) };
    let (Some(here), Some(class)) = (held, view.class(class)) else { return 0 };
    let rounds = u64::from(here.held.div_ceil(here.running.max(1)));
    rounds.saturating_mul(class.typical_us.unwrap_or(0).div_ceil(1_000)).max(1)
}

/// Those that are late or have successors that are held, and those that the pass has placed.
fn others<'a>(rooms: &'a Rooms<'_>, node: u32) -> Vec<End<'a>> {
    let (view, of) = (rooms.view, &rooms.view.nodes[node as usize]);
    let until_ms = if of.held == 0 { view.now_ms + 1 } else { u64::MAX };
    let late = of.ends.range(..(until_ms, taskyard_model::ClassId(0)));
    let late = late.filter(|(key, _)| key.0 <= view.now_ms || held_ms(view, of, key.1) > 0);
    let late = late.filter_map(|(key, ending)| {
        let end = of_view(view, key.0, key.1, ending)?;
        Some(End { at_ms: end.at_ms.saturating_add(held_ms(view, of, key.1)), ..end })
    });
    let placed = rooms.own(node).into_iter().flat_map(|own| &own.ends);
    let placed = placed.filter_map(|own| {
        let at_ms = view.now_ms.saturating_add(own.span.expected_ms()?);
        Some(End { at_ms, request: own.request, count: 1, gpus: Gpus::Placed(&own.gpus) })
    });
    let mut others: Vec<End<'a>> = late.chain(placed).collect();
    // Nothing ends with a time of maintenance, but what did not fit for its sake may fit then.
    let after = view.nodes[node as usize].maintenance.iter().map(|window| End {
        at_ms: view.now_ms.saturating_add(window.until_wall_ms.saturating_sub(view.wall_ms)),
        request: &NOTHING,
        count: 0,
        gpus: Gpus::Placed(&[]),
    });
    others.extend(after);
    others.sort_by_key(|end| end.at_ms);
    others
}

fn of_view<'a>(
    view: &'a View,
    end_ms: u64,
    class: taskyard_model::ClassId,
    ending: &'a Ending,
) -> Option<End<'a>> {
    let class = view.class(class)?;
    let since_ms = end_ms.saturating_sub(class.span.expected_ms()?);
    let at_ms = class.span.end_ms(since_ms, view.now_ms)?;
    Some(End { at_ms, request: &class.request, count: ending.count, gpus: Gpus::Of(ending) })
}

/// What a node (an index) has at a time if whatever is not sure to have ended by then is still there. What nothing limits is never sure to end.
pub(crate) fn surely_left_at(rooms: &Rooms<'_>, node: u32, at_ms: u64) -> Left {
    let view = rooms.view;
    let of = &view.nodes[node as usize];
    let mut left = rooms.own(node).map_or_else(|| Left::of(of.room()), |own| own.left.clone());
    for (&(end_ms, class), ending) in &of.ends {
        let Some(class) = view.class(class) else { continue };
        let (Some(expected), Some(limit)) = (class.span.expected_ms(), class.span.limit_ms) else { continue };
        if end_ms.saturating_sub(expected).saturating_add(limit).max(view.now_ms) <= at_ms {
            left.give(&End { at_ms, request: &class.request, count: ending.count, gpus: Gpus::Of(ending) });
        }
    }
    for own in rooms.own(node).into_iter().flat_map(|own| &own.ends) {
        if own.span.limit_ms.is_some_and(|limit| view.now_ms.saturating_add(limit) <= at_ms) {
            left.give(&End { at_ms, request: own.request, count: 1, gpus: Gpus::Placed(&own.gpus) });
        }
    }
    left
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

/// When a class's next task fits on a node (an index) where it does not fit now, from a time on, if that is before `before_ms`; and what the node has then.
pub(crate) fn fits_at(
    rooms: &Rooms<'_>,
    node: u32,
    class: &ClassView,
    from_ms: u64,
    before_ms: u64,
) -> Option<(u64, Left)> {
    let (now_ms, view) = (rooms.view.now_ms, &rooms.view.nodes[node as usize]);
    let idle = view.ends.is_empty() && view.maintenance.is_empty() && rooms.own(node).is_none();
    if idle && from_ms <= now_ms {
        return None;
    }
    let mut ends = ends(rooms, node).peekable();
    let mut left = rooms.own(node).map_or_else(|| Left::of(view.room()), |own| own.left.clone());
    // What is in the way now is no room, unless the time to begin with is later.
    let mut at_ms = (from_ms > now_ms).then_some(from_ms);
    loop {
        if at_ms.is_some_and(|at_ms| at_ms >= before_ms) {
            return None;
        }
        let mut more = |at_ms: u64| ends.peek().is_some_and(|next| next.at_ms <= at_ms);
        if let Some(at_ms) = at_ms.filter(|at_ms| !more(*at_ms))
            && left.fits(&class.request)
            && rooms.view.open_at(view, class.span, at_ms).is_ok()
        {
            return Some((at_ms, left));
        }
        let end = ends.next()?;
        left.give(&end);
        at_ms = Some(end.at_ms.max(from_ms));
    }
}
