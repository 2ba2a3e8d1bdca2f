//! What one job more would delay.

use super::{Forecast, all_starts};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use taskyard_model::{JobId, View};

/// A job that would start later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The job.
    pub job: JobId,
    /// State time of the start of that of its tasks which is delayed most.
    pub from_ms: u64,
    /// When that would be instead; `None` if that is unknown.
    pub to_ms: Option<u64>,
}

impl Delay {
    /// By how much, in milliseconds; an unknown start is the longest delay.
    fn by_ms(&self) -> u64 {
        self.to_ms.map_or(u64::MAX, |to| to.saturating_sub(self.from_ms))
    }
}

/// Which jobs of `before` would start later in `with`, a view that has one job more, the worst first; and whether that
/// is all of them.
pub fn delays(before: &View, with: &View, new: JobId) -> (Vec<Delay>, bool) {
    let class = with.jobs.get(&new).and_then(|job| with.class(job.class));
    let Some(pool) = class.map(|class| with.pool_of(class)) else { return (Vec::new(), true) };
    let (was, is) = (all_starts(before, pool), all_starts(with, pool));
    let complete = !was.cut && !is.cut;
    let is = by_job(&is);
    let worst =
        |(job, was): (JobId, Vec<u64>)| worst(job, &was, is.get(&job).map_or(&[], Vec::as_slice), complete);
    let mut delays: Vec<Delay> = by_job(&was).into_iter().filter_map(worst).collect();
    delays.sort_by_key(|delay| (Reverse(delay.by_ms()), delay.job));
    (delays, complete)
}

/// The starts of each job's tasks, in order of time.
fn by_job(forecast: &Forecast) -> BTreeMap<JobId, Vec<u64>> {
    let mut times: BTreeMap<JobId, Vec<u64>> = BTreeMap::new();
    for start in &forecast.starts {
        times.entry(start.job).or_default().push(start.at_ms);
    }
    for times in times.values_mut() {
        times.sort_unstable();
    }
    times
}

/// The task of a job that is delayed most. One that has no start any more says something only if nothing was left out.
fn worst(job: JobId, was: &[u64], is: &[u64], complete: bool) -> Option<Delay> {
    let one = |(nth, from_ms): (usize, &u64)| Delay { job, from_ms: *from_ms, to_ms: is.get(nth).copied() };
    let later = |delay: &Delay| delay.to_ms.map_or(complete, |to| to > delay.from_ms);
    was.iter().enumerate().map(one).filter(later).max_by_key(Delay::by_ms)
}
