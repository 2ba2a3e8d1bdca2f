//! Starts that are planned for later, and who may start before them.
//!
//! EASY plans the start of one task of a pool: (time, node, amounts), the earliest time at which the expected ends let `fits` place it. Another
//! may start on that node only if it ends before, or if the planned task still fits beside it. A conservative pool plans every task that waits,
//! each with regard to those planned before it.

use crate::apart::Apart;
use crate::ends::{self, Left};
use crate::profile::Profile;
use crate::rooms::Rooms;
use std::collections::BTreeMap;
use taskyard_model::resources::place_gpus;
use taskyard_model::{ClassId, ClassView, JobId, Rule, View};

/// A start that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) job: JobId,
    /// State time.
    pub(crate) at_ms: u64,
    /// The node, as an index into `View::nodes`.
    pub(crate) node: u32,
}

/// What is planned on one node.
enum OnNode<'v> {
    /// One task, and what the node has at its time without it; with what may still be there, if only limits count.
    One { planned: Planned, class: &'v ClassView, left: Left, by_limit: bool },
    /// Any number; the job is the first of them.
    Many { job: JobId, at_ms: u64, profile: Profile },
}

/// All that is planned in a pass.
#[derive(Default)]
pub(crate) struct Plans<'v> {
    /// Boxed, since most maps have one entry and would make room for many.
    nodes: BTreeMap<u32, Box<OnNode<'v>>>,
    /// In the order in which they were planned.
    pub(crate) made: Vec<Planned>,
    /// Nothing goes before what was planned before it. For forecasts.
    pub(crate) in_order: bool,
}

impl Plans<'_> {
    /// The last start, if nothing may go before it.
    pub(crate) fn not_before_ms(&self) -> Option<u64> {
        self.made.last().filter(|_| self.in_order).map(|last| last.at_ms)
    }

    /// For each node (an index) with planned starts: the class that is first there, and how many of it come before any of another class. Nothing, if
    /// all that is planned is of one class.
    pub(crate) fn first_on(&self, view: &View) -> BTreeMap<u32, (ClassId, u32)> {
        let class = |planned: &Planned| view.jobs.get(&planned.job).map(|job| job.class);
        let mut counts: BTreeMap<u32, (ClassId, u32, bool)> = BTreeMap::new();
        for (planned, class) in self.made.iter().filter_map(|planned| Some((planned, class(planned)?))) {
            let (first, count, over) = counts.entry(planned.node).or_insert((class, 0, false));
            *over |= class != *first;
            *count += u32::from(!*over);
        }
        let first = self.made.first().and_then(class);
        if counts.values().all(|(class, _, over)| !over && first == Some(*class)) {
            return BTreeMap::new();
        }
        counts.into_iter().map(|(node, (class, count, _))| (node, (class, count))).collect()
    }

    /// Whether one more task of a class may start on a node now, as far as plans go.
    pub(crate) fn allow(&self, now_ms: u64, node: u32, class: &ClassView) -> Result<(), Rule> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let (ok, job, at_ms) = match self.nodes.get(&node).map(|planned| &**planned) {
            None => return Ok(()),
            Some(OnNode::One { planned, class: head, left, by_limit }) => {
                let ok = ends_by(now_ms, class, *by_limit, planned.at_ms) || both_fit(left, class, head);
                (ok, planned.job, planned.at_ms)
            }
            Some(OnNode::Many { job, at_ms, profile }) => {
                (profile.has_room(now_ms, class.span.expected_ms(), &class.request), *job, *at_ms)
            }
        };
        if ok { Ok(()) } else { Err(Rule::Delays { job, at_ms }) }
    }

    /// Takes note that a task was placed on a node.
    pub(crate) fn placed(&mut self, now_ms: u64, node: u32, class: &ClassView, gpus: &[(u16, u32)]) {
        if self.nodes.is_empty() {
            return;
        }
        match self.nodes.get_mut(&node).map(|planned| &mut **planned) {
            Some(OnNode::One { planned, left, by_limit, .. })
                if !ends_by(now_ms, class, *by_limit, planned.at_ms) =>
            {
                left.take(&class.request, gpus);
            }
            Some(OnNode::One { .. }) | None => {}
            Some(OnNode::Many { profile, .. }) => {
                profile.take(now_ms, class.span.expected_ms(), &class.request);
            }
        }
    }
}

/// Whether a task that starts now ends by a time: as expected, or surely.
fn ends_by(now_ms: u64, class: &ClassView, by_limit: bool, at_ms: u64) -> bool {
    let length = if by_limit { class.span.limit_ms } else { class.span.expected_ms() };
    length.is_some_and(|length| now_ms.saturating_add(length) <= at_ms)
}

/// Whether a task fits beside another one that fits.
fn both_fit(left: &Left, one: &ClassView, other: &ClassView) -> bool {
    let alone = one.request.exclusive || other.request.exclusive;
    if alone || !left.free.covers_both(&one.request.amounts, &other.request.amounts) {
        return false;
    }
    if one.request.gpu_milli == 0 {
        return true;
    }
    let mut left = left.clone();
    let Some(gpus) = place_gpus(&left.gpu_free, one.request.gpu_milli) else { return false };
    left.take(&one.request, &gpus);
    left.fits(&other.request)
}

/// What came of planning a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is planned.
    Planned,
    /// Nobody knows when it could be.
    Unknown,
    /// No node could ever run it.
    Never,
}

/// Plans the one start that EASY protects. `by_limit`: only those that are sure to have ended count as out of the way.
pub(crate) fn plan_one<'v>(
    rooms: &mut Rooms<'v>,
    job: JobId,
    class: &'v ClassView,
    by_limit: bool,
) -> Outlook {
    let mut best: Option<(u64, u32, Left)> = None;
    let apart = Apart::of(rooms, class);
    let outlook = each_node(rooms, class, |rooms, node| {
        let before = best.as_ref().map_or(u64::MAX, |(at, ..)| *at);
        let Some(from_ms) = apart.since_ms(rooms, node) else { return };
        if let Some((at_ms, left)) = ends::fits_at(rooms, node, class, from_ms, before) {
            best = Some((at_ms, node, left));
        }
    });
    let Some((at_ms, node, left)) = best else { return outlook };
    let left = if by_limit { ends::surely_left_at(rooms, node, at_ms) } else { left };
    let planned = Planned { job, at_ms, node };
    rooms.plans.made.push(planned);
    rooms.plans.nodes.insert(node, Box::new(OnNode::One { planned, class, left, by_limit }));
    Outlook::Planned
}

/// Plans one more start beside those that are planned.
pub(crate) fn plan_next<'v>(rooms: &mut Rooms<'v>, job: JobId, class: &'v ClassView) -> Outlook {
    let not_before = rooms.plans.not_before_ms();
    let from_ms = not_before.unwrap_or(rooms.view.now_ms);
    let length = class.span.expected_ms();
    let mut best: Option<(u64, u32)> = None;
    let apart = Apart::of(rooms, class);
    let outlook = each_node(rooms, class, |rooms, node| {
        let before = best.map_or(u64::MAX, |(at, _)| at);
        let Some(from_ms) = apart.since_ms(rooms, node).map(|apart| apart.max(from_ms)) else { return };
        let at_ms = match rooms.plans.nodes.get(&node).map(|planned| &**planned) {
            Some(OnNode::Many { profile, .. }) => profile.earliest(from_ms, length, &class.request),
            _ if not_before.is_some() => Profile::of(rooms, node).earliest(from_ms, length, &class.request),
            _ => ends::fits_at(rooms, node, class, from_ms, before).map(|(at, _)| at),
        };
        if let Some(at_ms) = at_ms.filter(|at| *at < before) {
            best = Some((at_ms, node));
        }
    });
    let Some((at_ms, node)) = best else { return outlook };
    if !rooms.plans.nodes.contains_key(&node) {
        let profile = Profile::of(rooms, node);
        rooms.plans.nodes.insert(node, Box::new(OnNode::Many { job, at_ms, profile }));
    }
    if let Some(OnNode::Many { profile, .. }) = rooms.plans.nodes.get_mut(&node).map(|planned| &mut **planned)
    {
        profile.take(at_ms, length, &class.request);
    }
    rooms.plans.made.push(Planned { job, at_ms, node });
    Outlook::Planned
}

/// Visits the nodes that could run a class and take work; says whether there are any.
fn each_node(rooms: &mut Rooms<'_>, class: &ClassView, mut visit: impl FnMut(&Rooms<'_>, u32)) -> Outlook {
    let view = rooms.view;
    rooms.looked_at += view.nodes.len() as u64;
    let mut outlook = Outlook::Never;
    for (index, node) in (0u32..).zip(&view.nodes) {
        if node.takes_work().is_ok() && view.could_hold(node, class).is_ok() {
            outlook = Outlook::Unknown;
            visit(rooms, index);
        }
    }
    outlook
}
