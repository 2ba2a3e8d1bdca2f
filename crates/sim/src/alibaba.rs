//! The two tables of Alibaba's GPU cluster of 2023 (Weng et al., ATC'23): pods with cpu, memory and shares of GPUs,
//! and the nodes.
//!
//! Columns are found by name, in any order; ones that are not known are left alone. The tables name no users: the
//! class of service (`qos`) stands in, so that fairness is at least between kinds of work. A pod says nothing of how
//! long it will run: it has neither estimate nor limit unless [`Estimates::Clairvoyant`] tells the truth.

mod columns;
mod nodes;
mod pods;

use crate::swf::Estimates;
use crate::{TraceError, Workload, input};
use std::path::Path;

/// Reads both tables, plain, gzip or xz.
pub fn read(pods: &Path, nodes: &Path, estimates: Estimates) -> Result<Workload, TraceError> {
    let name = input::trace_name(pods);
    let mut workload = Workload { name, ..Workload::default() };
    nodes::read(&input::trace_name(nodes), input::open(nodes)?, &mut workload)?;
    let records = pods::read(input::open(pods)?, estimates, &mut workload)?;
    workload.jobs.sort_by_key(|j| j.submit_ms);
    renumber(&mut workload);
    workload.not_empty(records)
}

/// Constraints were kept by job number while the order was not known.
fn renumber(workload: &mut Workload) {
    let by_id = std::mem::take(&mut workload.constraints);
    let positions = workload.jobs.iter().enumerate();
    workload.constraints =
        positions.filter_map(|(i, job)| Some((i, by_id.get(&(job.id as usize))?.clone()))).collect();
}

#[cfg(test)]
mod tests;
