//! What plots show, cut down to as many points as a screen has.

use crate::limits::PLOT_POINTS_MAX;
use crate::{JobTimes, Workload};
use serde::Serialize;

/// Stretches into which a run is cut.
const STRETCHES: usize = 400;
/// Waits at which the share of jobs is counted.
const WAITS: usize = 240;
const _: () = assert!(STRETCHES <= PLOT_POINTS_MAX && WAITS <= PLOT_POINTS_MAX);

/// A run over time, and its waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// `None` for several windows: they have no common time.
    pub time: Option<TimeSeries>,
    /// (wait in seconds, share of jobs that waited no longer), waits rising evenly on a logarithmic axis from 1 s.
    pub waits: Vec<(f64, f64)>,
}

/// Values for stretches of equal length, from the first submit to the last end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimeSeries {
    /// Length of a stretch.
    pub stretch_s: f64,
    /// Most jobs that waited at once.
    pub queue_peak: Vec<u64>,
    /// Mean share of all cpu that ran jobs.
    pub utilisation: Vec<f64>,
}

impl Series {
    /// Of a run over one workload or several windows. Outcomes are in the order of jobs.
    pub fn of(windows: &[(&Workload, &[JobTimes])]) -> Series {
        let time = match windows {
            [(workload, outcomes)] => over_time(workload, outcomes),
            _ => None,
        };
        let jobs = windows.iter().flat_map(|(w, o)| w.jobs.iter().zip(*o));
        Series { time, waits: waits(jobs.map(|(j, o)| o.start_ms.saturating_sub(j.submit_ms)).collect()) }
    }
}

fn over_time(workload: &Workload, outcomes: &[JobTimes]) -> Option<TimeSeries> {
    let from = workload.jobs.iter().map(|j| j.submit_ms).min()?;
    let to = outcomes.iter().map(|o| o.end_ms).max().filter(|to| *to > from)?;
    let jobs = || workload.jobs.iter().zip(outcomes);
    let queue = jobs().flat_map(|(j, o)| [(j.submit_ms, 1), (o.start_ms, -1)]).collect();
    let cpu = |j: &crate::TraceJob| i64::try_from(j.request.amounts.cpu_milli).unwrap_or(i64::MAX);
    let busy = jobs().flat_map(|(j, o)| [(o.start_ms, cpu(j)), (o.end_ms, -cpu(j))]).collect();
    let stretches = Stretches { from, length: ((to - from) as f64 / STRETCHES as f64).max(1.0) };
    let all = (workload.cpu_milli() as f64).max(1.0);
    Some(TimeSeries {
        stretch_s: stretches.length / 1_000.0,
        queue_peak: stretches.of(queue).iter().map(|s| s.peak.max(0).unsigned_abs()).collect(),
        utilisation: stretches.of(busy).iter().map(|s| s.sum / stretches.length / all).collect(),
    })
}

struct Stretches {
    from: u64,
    length: f64,
}

#[derive(Clone, Copy, Default)]
struct Stretch {
    /// Largest value that held for some time.
    peak: i64,
    /// Value × milliseconds.
    sum: f64,
}

impl Stretches {
    /// Of a value that changes by steps. Steps of one instant are one: what arrives and starts at once never waited.
    fn of(&self, mut steps: Vec<(u64, i64)>) -> Vec<Stretch> {
        steps.sort_unstable();
        let mut stretches = vec![Stretch::default(); STRETCHES];
        let mut value = 0i64;
        for (i, (at, change)) in steps.iter().enumerate() {
            value += change;
            let until = steps.get(i + 1).map_or(*at, |next| next.0);
            if until > *at {
                self.add(&mut stretches, (at - self.from) as f64, (until - self.from) as f64, value);
            }
        }
        stretches
    }

    fn add(&self, stretches: &mut [Stretch], begin: f64, end: f64, value: i64) {
        let first = (begin / self.length) as usize;
        for (i, stretch) in stretches.iter_mut().enumerate().skip(first) {
            let (from, to) = (i as f64 * self.length, (i + 1) as f64 * self.length);
            if from >= end {
                break;
            }
            stretch.peak = stretch.peak.max(value);
            stretch.sum += value as f64 * (to.min(end) - from.max(begin)).max(0.0);
        }
    }
}

/// The share of jobs that waited at most this long.
fn waits(mut waits_ms: Vec<u64>) -> Vec<(f64, f64)> {
    waits_ms.sort_unstable();
    let Some(longest) = waits_ms.last().map(|ms| (*ms as f64 / 1_000.0).max(10.0)) else { return Vec::new() };
    let at = |i: usize| {
        // The last one is the longest wait itself, not what the powers make of it.
        let wait = if i + 1 == WAITS { longest } else { longest.powf(i as f64 / (WAITS - 1) as f64) };
        let jobs = waits_ms.partition_point(|ms| *ms as f64 <= wait * 1_000.0);
        (wait, jobs as f64 / waits_ms.len() as f64)
    };
    (0..WAITS).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{job, outcomes, workload};

    #[test]
    fn over_time_by_hand() {
        // 400 s: one stretch a second. The first job takes half of the machine at once; two wait from 100 s, one of
        // them till the end.
        let w = workload(vec![job(0, 400, 2, 0), job(100, 100, 2, 0), job(100, 0, 1, 0)]);
        let o = outcomes(&w, &[0, 200, 400]);
        let time = Series::of(&[(&w, &o)]).time.unwrap();
        assert_eq!(time.stretch_s, 1.0);
        let queue = &time.queue_peak;
        assert_eq!((queue[99], queue[100], queue[199], queue[200], queue[399]), (0, 2, 2, 1, 1));
        let used = &time.utilisation;
        assert_eq!((used[0], used[199], used[200], used[299], used[300]), (0.5, 0.5, 1.0, 1.0, 0.5));
    }

    #[test]
    fn waits_by_hand() {
        let w = workload(vec![job(0, 1, 1, 0), job(0, 1, 1, 0), job(0, 1, 1, 0), job(0, 1, 1, 0)]);
        let o = outcomes(&w, &[0, 0, 50, 1_000]);
        let waits = Series::of(&[(&w, &o)]).waits;
        assert_eq!((waits[0], *waits.last().unwrap()), ((1.0, 0.5), (1_000.0, 1.0)));
        assert_eq!(waits.iter().find(|(s, _)| *s >= 50.0).unwrap().1, 0.75);
        assert_eq!(Series::of(&[]).waits, []);
        assert_eq!(Series::of(&[(&w, &o), (&w, &o)]).time, None);
    }

    #[test]
    fn a_moment_has_no_time() {
        let w = workload(vec![job(5, 0, 1, 0)]);
        assert_eq!(Series::of(&[(&w, &outcomes(&w, &[5]))]).time, None);
    }
}
