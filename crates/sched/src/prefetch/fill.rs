//! Assigning work to be held: how much each node wants of each class, and which jobs it gets.

use super::claims::{Claim, Claims, LineRef};
use super::shares::Purpose;
use crate::depth::depth;
use crate::order::{ClassLine, Key, PlacedTasks, Rank};
use crate::pass::Pass;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{Assignment, ClassId, ClassView, JobId, JobView, NodeView, View, limits};

/// A node that wants more of a class.
struct Demand<'v> {
    node: &'v NodeView,
    count: u32,
}

/// Tasks of one job that could be held.
struct JobSupply {
    job: JobId,
    left: u32,
}

/// Assigns work to be held, to nodes that run the class and hold less than half of what they may. Refilling at half
/// makes each refill large and seldom.
pub(crate) fn fill(pass: &mut Pass<'_>, claims: &Claims<'_>) -> Vec<Assignment> {
    let short: BTreeSet<ClassId> = claims
        .all
        .iter()
        .filter(|c| depth(c.class) > 0 && pass.may_prefetch(c.class))
        .map(|c| c.class.id)
        .collect();
    if short.is_empty() {
        return Vec::new();
    }
    let mut demands = demands(pass, &short);
    let mut assignments = Vec::new();
    for claim in &claims.all {
        if let Some(demands) = demands.remove(&claim.class.id) {
            fill_class(pass, claims, claim, &demands, &mut assignments);
        }
    }
    assignments
}

/// What each node wants of each of these classes.
fn demands<'v>(pass: &Pass<'v>, short: &BTreeSet<ClassId>) -> BTreeMap<ClassId, Vec<Demand<'v>>> {
    let placed = pass.placements.by_class(pass.view, short);
    let reserved = pass.allocator.reservations.first_on(pass.view);
    let mut demands: BTreeMap<ClassId, Vec<Demand<'v>>> = BTreeMap::new();
    for (index, node) in (0u32..).zip(&pass.view.nodes) {
        let placed_here = placed.range((index, ClassId(0))..=(index, ClassId(u32::MAX)));
        // What comes back may rank before what would be sent now, so nothing is sent until it is back.
        if node.prefetched_jobs.values().any(|h| h.recalled) {
            continue;
        }
        let new_here = placed_here.filter(|((_, class), _)| !node.by_class.contains_key(class));
        let running_here = node.by_class.keys().map(|&class| {
            (class, if placed.is_empty() { 0 } else { placed.get(&(index, class)).copied().unwrap_or(0) })
        });
        for (class, placed) in running_here.chain(new_here.map(|((_, class), placed)| (*class, *placed))) {
            let count = if short.contains(&class) { demand(pass.view, node, class, placed) } else { 0 };
            let count = count.min(beside_reservations(pass, &reserved, index, class));
            if count > 0 {
                demands.entry(class).or_default().push(Demand { node, count });
            }
        }
    }
    demands
}

/// How many of a class may be held on a node where each start is reserved: what is reserved there for the class before
/// all others. Held, it starts where and when it was reserved.
fn beside_reservations(
    pass: &Pass<'_>,
    reserved: &BTreeMap<u32, (ClassId, u32)>,
    node: u32,
    class: ClassId,
) -> u32 {
    if reserved.is_empty() || !pass.view.class(class).is_some_and(|class| pass.reserves_each(class)) {
        return u32::MAX;
    }
    reserved.get(&node).map_or(u32::MAX, |(first, count)| if *first == class { *count } else { 0 })
}

/// How many more one node wants of a class: none while it holds half of what it may.
fn demand(view: &View, node: &NodeView, class: ClassId, placed: u32) -> u32 {
    let Some(view) = view.class(class) else { return 0 };
    let prefetched = node.by_class.get(&class).map_or(0, |here| here.prefetched);
    let room = node.prefetch_room_after(placed, class, &view.request, depth(view));
    if prefetched >= room { 0 } else { room }
}

/// Divides what waits of a class among the nodes that want it: all they want, or in proportion if there is less, so
/// that all are done at about the same time. A job is held only where nothing of higher rank has a claim.
fn fill_class(
    pass: &mut Pass<'_>,
    claims: &Claims<'_>,
    claim: &Claim<'_>,
    demands: &[Demand<'_>],
    out: &mut Vec<Assignment>,
) {
    let wanted: u64 = demands.iter().map(|demand| u64::from(demand.count)).sum();
    let mut supply = supply(pass, claim.line, wanted.min(u64::from(pass.tasks_left())));
    let cutoffs = cutoffs(pass.view, claims, claim.class, &supply);
    let mut served: Vec<(usize, &Demand<'_>)> = Vec::new();
    for demand in demands {
        let end = cutoffs.iter().find(|(_, c)| c.is_on(demand.node)).map_or(supply.len(), |(end, _)| *end);
        if end > 0 {
            served.push((end, demand));
        }
    }
    // Those that may take only the first jobs choose first, or others would take these jobs from them.
    served.sort_by_key(|(end, demand)| (*end, demand.node.id));
    let wanted: u64 = served.iter().map(|(_, demand)| u64::from(demand.count)).sum();
    let there = supply.iter().map(|s| u64::from(s.left)).sum::<u64>().min(wanted);
    for (end, demand) in served {
        let part = u64::from(demand.count) * there / wanted;
        let part = u32::try_from(part).expect("at most what is wanted");
        give(pass, demand.node, part, &mut supply[..end], out);
    }
}

/// The jobs of a class from where the pass left it, up to `wanted` tasks.
fn supply(pass: &mut Pass<'_>, line: LineRef, wanted: u64) -> Vec<JobSupply> {
    match line {
        LineRef::Aged(index) => supply_of(&mut pass.aged.lines[index], pass.view, &pass.taken, wanted),
        LineRef::Queued(lane, index) => {
            supply_of(&mut pass.queues[lane].lane.lines[index], pass.view, &pass.taken, wanted)
        }
    }
}

fn supply_of<K: Key>(
    line: &mut ClassLine<'_, K>,
    view: &View,
    taken: &PlacedTasks,
    wanted: u64,
) -> Vec<JobSupply> {
    let mut supply = Vec::new();
    let mut there = 0;
    while there < wanted
        && let Some(head) = line.head
    {
        let left = line.left(view, taken);
        if left > 0 {
            supply.push(JobSupply { job: head.job(), left });
            there += u64::from(left);
        }
        line.next_job();
    }
    supply
}

/// For each claim over some of these jobs: the first job it is over, and with it all that follow. The widest claims
/// come first, so that the first one that extends to a node decides there.
fn cutoffs<'c, 'v>(
    view: &View,
    claims: &'c Claims<'v>,
    class: &ClassView,
    supply: &[JobSupply],
) -> Vec<(usize, &'c Claim<'v>)> {
    let rank = |s: &JobSupply| view.jobs.get(&s.job).and_then(|job: &JobView| Rank::of(view, class, job));
    let Some(last) = supply.last().and_then(rank) else { return Vec::new() };
    let query = claims.against(class, Purpose::Fill);
    // The jobs are in order of rank, so a claim over any of them is over the last.
    let others = query.over(last).into_iter().filter(|c| c.class.id != class.id);
    let from =
        |c: &Claim<'v>| supply.partition_point(|s| rank(s).is_none_or(|rank| !query.yields_to(c, rank)));
    let mut cutoffs: Vec<_> = others.map(|c| (from(c), c)).collect();
    cutoffs.sort_by_key(|(end, c)| (*end, c.rank));
    cutoffs
}

/// Takes up to `count` tasks from the jobs in order.
fn give(
    pass: &mut Pass<'_>,
    node: &NodeView,
    count: u32,
    supply: &mut [JobSupply],
    out: &mut Vec<Assignment>,
) {
    let Some(incarnation) = node.status.incarnation() else { return };
    let mut wanted = count.min(limits::PREFETCHED_PER_NODE_MAX);
    for job in supply.iter_mut().filter(|s| s.left > 0) {
        let count = pass.draw_tasks(wanted.min(job.left));
        if count == 0 {
            break;
        }
        job.left -= count;
        wanted -= count;
        out.push(Assignment { job: job.job, count, node: node.id, incarnation, prefetch: true });
    }
}
