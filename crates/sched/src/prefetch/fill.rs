//! Work held ahead of need: attempts given to a node before there is room, so that a slot that becomes free takes the next one at once
//! instead of waiting for a round trip through the log.

use super::claims::{Claim, Claims, LineRef};
use super::shares::Asks;
use crate::depth::depth;
use crate::order::{Key, Line, PlacedTasks, Rank};
use crate::pass::Pass;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{Assignment, ClassId, ClassView, JobId, JobView, NodeView, View, limits};

/// A node that wants more of a class.
struct Want<'v> {
    node: &'v NodeView,
    count: u32,
}

/// Tasks of one job that could be held.
struct Supply {
    job: JobId,
    left: u32,
}

/// Assigns work to be held, to nodes that run the class and hold less than half of what they may. Each refill is large and seldom.
pub(crate) fn fill(pass: &mut Pass<'_>, claims: &Claims<'_>) -> Vec<Assignment> {
    let short: BTreeSet<ClassId> = claims
        .all
        .iter()
        .filter(|c| depth(c.class) > 0 && pass.may_hold(c.class))
        .map(|c| c.class.id)
        .collect();
    if short.is_empty() {
        return Vec::new();
    }
    let mut wants = wants(pass, &short);
    let mut assignments = Vec::new();
    for claim in &claims.all {
        if let Some(wants) = wants.remove(&claim.class.id) {
            fill_class(pass, claims, claim, &wants, &mut assignments);
        }
    }
    assignments
}

/// What each node wants of each of these classes.
fn wants<'v>(pass: &Pass<'v>, short: &BTreeSet<ClassId>) -> BTreeMap<ClassId, Vec<Want<'v>>> {
    let placed = pass.placements.by_class(pass.view, short);
    let planned = pass.allocator.reservations.first_on(pass.view);
    let mut wants: BTreeMap<ClassId, Vec<Want<'v>>> = BTreeMap::new();
    for (index, node) in (0u32..).zip(&pass.view.nodes) {
        let placed_here = placed.range((index, ClassId(0))..=(index, ClassId(u32::MAX)));
        // What comes back may rank before what would be sent now.
        if node.held_jobs.values().any(|h| h.recalled) {
            continue;
        }
        let new_here = placed_here.filter(|((_, class), _)| !node.by_class.contains_key(class));
        let running_here = node.by_class.keys().map(|&class| {
            (class, if placed.is_empty() { 0 } else { placed.get(&(index, class)).copied().unwrap_or(0) })
        });
        for (class, placed) in running_here.chain(new_here.map(|((_, class), placed)| (*class, *placed))) {
            let count = if short.contains(&class) { want(pass.view, node, class, placed) } else { 0 };
            let count = count.min(beside_plans(pass, &planned, index, class));
            if count > 0 {
                wants.entry(class).or_default().push(Want { node, count });
            }
        }
    }
    wants
}

/// How many of a class may be held on a node where everything that waits is planned: what is planned there of the class before all others. Held, it
/// starts where and when it was planned.
fn beside_plans(pass: &Pass<'_>, planned: &BTreeMap<u32, (ClassId, u32)>, node: u32, class: ClassId) -> u32 {
    if planned.is_empty() || !pass.view.class(class).is_some_and(|class| pass.reserves_each(class)) {
        return u32::MAX;
    }
    planned.get(&node).map_or(u32::MAX, |(first, count)| if *first == class { *count } else { 0 })
}

/// What one node wants of a class: nothing while it holds half of what it may.
fn want(view: &View, node: &NodeView, class: ClassId, placed: u32) -> u32 {
    let Some(view) = view.class(class) else { return 0 };
    let held = node.by_class.get(&class).map_or(0, |here| here.held);
    let room = node.room_ahead_after(placed, class, &view.request, depth(view));
    if held >= room { 0 } else { room }
}

/// Divides what waits of a class among the nodes that want it: all they want, or in proportion if there is less, so that all are done at
/// about the same time. A job is held only where nothing of higher rank has a claim.
fn fill_class(
    pass: &mut Pass<'_>,
    claims: &Claims<'_>,
    claim: &Claim<'_>,
    wants: &[Want<'_>],
    out: &mut Vec<Assignment>,
) {
    let wanted: u64 = wants.iter().map(|w| u64::from(w.count)).sum();
    let mut supply = supply(pass, claim.line, wanted.min(u64::from(pass.tasks_left())));
    let ends = ends(pass.view, claims, claim.class, &supply);
    let mut served: Vec<(usize, &Want<'_>)> = Vec::new();
    for want in wants {
        let end = ends.iter().find(|(_, c)| c.is_on(want.node)).map_or(supply.len(), |(end, _)| *end);
        if end > 0 {
            served.push((end, want));
        }
    }
    // Those that may take only the first jobs choose first.
    served.sort_by_key(|(end, want)| (*end, want.node.id));
    let wanted: u64 = served.iter().map(|(_, w)| u64::from(w.count)).sum();
    let there = supply.iter().map(|s| u64::from(s.left)).sum::<u64>().min(wanted);
    for (end, want) in served {
        let part = u64::from(want.count) * there / wanted;
        let part = u32::try_from(part).expect("at most what is wanted");
        give(pass, want.node, part, &mut supply[..end], out);
    }
}

/// The jobs of a class from where the pass left it, up to `wanted` tasks.
fn supply(pass: &mut Pass<'_>, line: LineRef, wanted: u64) -> Vec<Supply> {
    match line {
        LineRef::Aged(index) => supply_of(&mut pass.aged.lines[index], pass.view, &pass.taken, wanted),
        LineRef::Queued(lane, index) => {
            supply_of(&mut pass.queues[lane].lane.lines[index], pass.view, &pass.taken, wanted)
        }
    }
}

fn supply_of<K: Key>(line: &mut Line<'_, K>, view: &View, taken: &PlacedTasks, wanted: u64) -> Vec<Supply> {
    let mut supply = Vec::new();
    let mut there = 0;
    while there < wanted
        && let Some(head) = line.head
    {
        let left = line.left(view, taken);
        if left > 0 {
            supply.push(Supply { job: head.job(), left });
            there += u64::from(left);
        }
        line.next_job();
    }
    supply
}

/// For each claim over some of these jobs: the first job it is over. The widest claims first, so that on a node the first that holds there
/// decides.
fn ends<'c, 'v>(
    view: &View,
    claims: &'c Claims<'v>,
    class: &ClassView,
    supply: &[Supply],
) -> Vec<(usize, &'c Claim<'v>)> {
    let rank = |s: &Supply| view.jobs.get(&s.job).and_then(|job: &JobView| Rank::of(view, class, job));
    let Some(last) = supply.last().and_then(rank) else { return Vec::new() };
    let about = claims.about(class, Asks::More);
    let others = about.over(last).into_iter().filter(|c| c.class.id != class.id);
    let from =
        |c: &Claim<'v>| supply.partition_point(|s| rank(s).is_none_or(|rank| !about.is_under(rank, c)));
    let mut ends: Vec<_> = others.map(|c| (from(c), c)).collect();
    ends.sort_by_key(|(end, c)| (*end, c.rank));
    ends
}

/// Takes up to `count` tasks from the jobs in order.
fn give(pass: &mut Pass<'_>, node: &NodeView, count: u32, supply: &mut [Supply], out: &mut Vec<Assignment>) {
    let Some(incarnation) = node.status.incarnation() else { return };
    let mut wanted = count.min(limits::HELD_PER_NODE_MAX);
    for job in supply.iter_mut().filter(|s| s.left > 0) {
        let count = pass.draw_tasks(wanted.min(job.left));
        if count == 0 {
            break;
        }
        job.left -= count;
        wanted -= count;
        out.push(Assignment { job: job.job, count, node: node.id, incarnation, ahead: true });
    }
}
