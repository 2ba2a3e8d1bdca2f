//! Taking held work back. It must not wait behind work of higher rank, where nothing of its class runs any more, or on
//! one node while another has room.

use super::claims::{Claim, Claims};
use super::shares::Purpose;
use crate::order::Rank;
use crate::pass::Pass;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{ClassId, ClassView, Gate, JobId, JobView, NodeView, Recall, View};

/// Held attempts of one job on one node that were not asked back yet.
struct PrefetchedWork<'v> {
    node: &'v NodeView,
    job: JobId,
    count: u32,
    view: &'v JobView,
    class: &'v ClassView,
}

/// Chooses what to ask back.
pub(crate) fn recall(pass: &mut Pass<'_>, claims: &Claims<'_>) -> Vec<Recall> {
    let (prefetched, pending) = prefetched(pass.view);
    if prefetched.is_empty() {
        return Vec::new();
    }
    let mut over: BTreeMap<JobId, Vec<&Claim<'_>>> = BTreeMap::new();
    let (mut back, stays): (Vec<_>, Vec<_>) = prefetched.into_iter().partition(|prefetched| {
        let claims = over.entry(prefetched.job).or_insert_with(|| {
            Rank::of(pass.view, prefetched.class, prefetched.view)
                .map_or_else(Vec::new, |rank| claims.against(prefetched.class, Purpose::Recall).over(rank))
        });
        may_not_stay(pass, prefetched) || claims.iter().any(|c| c.is_on(prefetched.node))
    });
    let busy: BTreeSet<ClassId> = pending
        .into_iter()
        .chain(back.iter().map(|h| h.class.id))
        .chain(claims.all.iter().map(|c| c.class.id))
        .collect();
    back.extend(idle_elsewhere(pass, stays, &busy));
    back.sort_by_key(|h| (h.node.id, h.job));
    back.iter().map(|h| Recall { job: h.job, node: h.node.id }).collect()
}

/// All held work on nodes that are there, and the classes of which some is being taken back already.
fn prefetched(view: &View) -> (Vec<PrefetchedWork<'_>>, BTreeSet<ClassId>) {
    let mut all = Vec::new();
    let mut pending = BTreeSet::new();
    // Many nodes hold the same few jobs, so each job is looked up once.
    let mut known = BTreeMap::new();
    for node in view.nodes.iter().filter(|n| n.prefetched > 0 && n.status.is_alive()) {
        for (&job, prefetched) in &node.prefetched_jobs {
            let looked_up = known.entry(job).or_insert_with(|| {
                let job = view.jobs.get(&job)?;
                Some((job, view.class(job.class)?))
            });
            let Some((job_view, class)) = *looked_up else { continue };
            if prefetched.recalled {
                pending.insert(class.id);
            } else {
                all.push(PrefetchedWork { node, job, count: prefetched.count, view: job_view, class });
            }
        }
    }
    (all, pending)
}

/// Whether it must go whatever else there is: the node or the job was stopped, or nothing runs there whose place it
/// could take.
fn may_not_stay(pass: &Pass<'_>, prefetched: &PrefetchedWork<'_>) -> bool {
    let runs = prefetched.node.by_class.get(&prefetched.class.id).is_some_and(|here| here.running > 0);
    !pass.may_prefetch(prefetched.class)
        || prefetched.node.takes_work().is_err()
        || prefetched.view.stopped
        || prefetched.view.gate != Gate::Open
        || !runs
}

/// Of classes with nothing left to place, as much as would fit somewhere now, the largest piles first. A class of which
/// something is on its way back waits for that.
fn idle_elsewhere<'v>(
    pass: &mut Pass<'v>,
    prefetched: Vec<PrefetchedWork<'v>>,
    busy: &BTreeSet<ClassId>,
) -> Vec<PrefetchedWork<'v>> {
    if !pass.allocator.capacity.has_open_slot() {
        return Vec::new();
    }
    // What is taken back must not seem to fit where a start is about to be reserved.
    pass.reserve_all_pending();
    // By the first job: a plan must not depend on how classes are numbered.
    let mut classes: BTreeMap<ClassId, Vec<PrefetchedWork<'v>>> = BTreeMap::new();
    for prefetched in prefetched.into_iter().filter(|h| !busy.contains(&h.class.id)) {
        classes.entry(prefetched.class.id).or_default().push(prefetched);
    }
    let mut piles: Vec<Vec<PrefetchedWork<'v>>> = classes.into_values().collect();
    piles.sort_by_key(|pile| pile.iter().map(|h| h.job).min());
    let mut back = Vec::new();
    for mut pile in piles {
        pile.sort_by_key(|h| (Reverse(h.count), h.node.id, h.job));
        let class = pile[0].class;
        let mut room = fitting(pass, class, pile.iter().map(|h| h.count).sum());
        for prefetched in pile {
            if room == 0 {
                break;
            }
            room = room.saturating_sub(prefetched.count);
            back.push(prefetched);
        }
    }
    back
}

/// How many tasks of a class, at most `count`, fit somewhere now. Uses the room up.
fn fitting<'v>(pass: &mut Pass<'v>, class: &'v ClassView, count: u32) -> u32 {
    let set = pass.allocator.capacity.candidates(pass.view.pool_of(class), class);
    let mut fitting = 0;
    while fitting < count
        && let Some(slot) = pass.allocator.find(set, class)
    {
        pass.allocator.place(class, slot);
        fitting += 1;
    }
    fitting
}
