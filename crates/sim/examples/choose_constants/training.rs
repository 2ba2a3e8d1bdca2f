//! Windows to choose on: made only of jobs that are in none of the ten windows of the table.

use crate::protocol::Window;
use crate::{LENGTH, TEST, options};
use rand::RngExt;
use std::error::Error;
use taskyard_sim::swf::{Filter, Log, SwfOptions};

/// Windows of each trace.
const WINDOWS: usize = 400;
/// Submit times of a window are shifted by up to this number of seconds each: single runs jump when nothing of weight
/// has changed, and what is wanted is not the luck of one run.
const JITTER_S: u64 = 300;

/// Draws windows from all starts that overlap none of the table's, and shifts their submit times a little.
pub(crate) fn draw(log: &Log, chance: &mut impl RngExt) -> Result<Vec<Window>, Box<dyn Error>> {
    let all = whole(log)?;
    let starts: Vec<usize> =
        (0..=all.jobs.len() - LENGTH).filter(|start| overlaps_none(*start, LENGTH)).collect();
    println!(
        "{}: {} of {} starts overlap none of the ten windows, {}..={}; {WINDOWS} windows drawn",
        log.name,
        starts.len(),
        all.jobs.len() - LENGTH + 1,
        starts[0],
        starts[starts.len() - 1]
    );
    let mut window = || {
        let start = starts[chance.random_range(0..starts.len())];
        let mut jobs = all.jobs[start..start + LENGTH].to_vec();
        jobs.iter_mut().for_each(|job| job.submit += chance.random_range(0..=JITTER_S));
        jobs.sort_by_key(|job| job.submit);
        Window { jobs, procs: all.procs }
    };
    Ok((0..WINDOWS).map(|_| window()).collect())
}

/// All jobs of a trace.
pub(crate) fn whole(log: &Log) -> Result<Window, Box<dyn Error>> {
    let plain = SwfOptions { filter: Filter::Rlwin, ..SwfOptions::default() };
    let jobs = log.workloads(&plain)?.iter().map(|w| w.jobs.len()).sum();
    // As a window, so that the jobs stand in the order in which windows count them.
    let workloads = log.workloads(&options(&[0], jobs))?;
    Ok(Window::of(workloads.first().ok_or("no window")?))
}

fn overlaps_none(start: usize, length: usize) -> bool {
    TEST.iter().all(|test| start + length <= *test || start >= test + LENGTH)
}
