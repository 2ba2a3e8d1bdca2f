//! Copies of a workload whose jobs are submitted a little later: what differs between two policies by less than
//! between copies is chance (Tsafrir and Feitelson, IISWC 2006, who call it shaking).

use super::Combination;
use crate::engine::has_shortcut;
use crate::{Workload, limits};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// The most that a job is submitted later. No user would notice, and each start after it is another.
const JITTER_MS_MAX: u64 = 60_000;
/// How many copies there are where nothing else is said and time allows.
const COPIES: u32 = 5;
/// What a job costs that goes through the scheduler itself, in jobs that take the shortcut.
const THOROUGH_COST: u64 = 30;

/// A copy: each job, or each array, later by chance, by a mean gap between two submits at most. A number makes the
/// same copy always.
pub(super) fn jittered(workload: &Workload, number: u32) -> Workload {
    let mut copy = workload.clone();
    let mut random = Pcg64::seed_from_u64(u64::from(number) + 1);
    let span_ms =
        copy.jobs.last().map_or(0, |job| job.submit_ms) - copy.jobs.first().map_or(0, |job| job.submit_ms);
    let most_ms = (span_ms / (copy.jobs.len() as u64).max(1)).min(JITTER_MS_MAX);
    let mut position = 0;
    while position < copy.jobs.len() {
        let tasks = copy.batch(position);
        let later_ms = random.random_range(0..=most_ms);
        copy.jobs[position..position + tasks].iter_mut().for_each(|job| job.submit_ms += later_ms);
        position += tasks;
    }
    let mut order: Vec<usize> = (0..copy.jobs.len()).collect();
    order.sort_by_key(|i| copy.jobs[*i].submit_ms);
    copy.reordered(&order)
}

/// How many copies are worth their time unless the user says how many, and whether they are for runs too that take no
/// shortcut. None, if there is nothing to compare.
pub fn default_copies(combinations: &[Combination], workloads: &[Workload], thorough: bool) -> (u32, bool) {
    let (mut short, mut slow) = (0, 0);
    for (combination, workload) in combinations.iter().flat_map(|c| workloads.iter().map(move |w| (c, w))) {
        let jobs = workload.jobs.len() as u64 * u64::from(COPIES);
        match !thorough && has_shortcut(workload, &combination.setup(None, super::Ties::Batch)) {
            true => short += jobs,
            false => slow += jobs * THOROUGH_COST,
        }
    }
    let copies = if combinations.len() > 1 && short <= limits::COPIES_COST_MAX { COPIES } else { 0 };
    (copies, short + slow <= limits::COPIES_COST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{job, workload};

    #[test]
    fn copies_move_submits_and_nothing_else() {
        let jobs = (0..100).map(|i| job(i * 50, 10, 1, (i % 3) as u32)).collect();
        let whole = workload(jobs);
        let copy = jittered(&whole, 0);
        assert_eq!(jittered(&whole, 0), copy, "a number makes the same copy");
        assert_ne!(jittered(&whole, 1), copy);
        assert!(copy.jobs.is_sorted_by_key(|j| j.submit_ms));
        for old in &whole.jobs {
            let new = copy.jobs.iter().find(|j| j.id == old.id).unwrap();
            let later = new.submit_ms - old.submit_ms;
            assert!(later <= 49_500, "{later}");
            assert_eq!(crate::TraceJob { submit_ms: old.submit_ms, ..new.clone() }, *old);
        }
        let at_once = workload(vec![job(0, 10, 1, 0), job(0, 10, 1, 0)]);
        assert_eq!(jittered(&at_once, 0), at_once, "what was submitted at once stays so");
    }
}
