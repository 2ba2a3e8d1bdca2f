//! What a node has free over time, as steps. Starts that are reserved there take their part out of it.

use super::completions;
use crate::place::{FreeCapacity, Remaining};
use taskyard_model::{Amounts, Request};

/// What is free from a time on, until the next step.
#[derive(Clone, Debug)]
struct TimelineStep {
    at_ms: u64,
    free: Amounts,
    /// Thousandths of all devices together. Whether a device has them in one piece is seen when the time has come.
    gpu_milli: u64,
    running: u32,
    without_cpu_max: u32,
    alone: bool,
    /// The node is being maintained.
    shut: bool,
}

/// The steps of one node, in order of time; the first is now.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    steps: Vec<TimelineStep>,
}

impl TimelineStep {
    fn of(at_ms: u64, remaining: &Remaining) -> TimelineStep {
        let gpu_milli = remaining.gpu_free.iter().copied().map(u64::from).sum();
        let &Remaining { ref free, running, without_cpu_max, alone, .. } = remaining;
        TimelineStep { at_ms, free: free.clone(), gpu_milli, running, without_cpu_max, alone, shut: false }
    }

    fn covers(&self, request: &Request) -> bool {
        let alone = self.alone || (request.exclusive && self.running > 0);
        !self.shut
            && !alone
            && self.running < request.running_max(self.without_cpu_max)
            && self.free.has(&request.amounts)
            && self.gpu_milli >= u64::from(request.gpu_milli)
    }
}

impl Timeline {
    /// What a node (an index) has by the expected ends there.
    pub(crate) fn of(capacity: &FreeCapacity<'_>, node: u32) -> Timeline {
        let view = &capacity.view.nodes[node as usize];
        let mut remaining = capacity.remaining(node);
        let mut steps = vec![TimelineStep::of(capacity.view.now_ms, &remaining)];
        for end in completions::completions(capacity, node) {
            remaining.give(&end);
            match steps.last_mut().filter(|last| last.at_ms == end.at_ms) {
                Some(last) => *last = TimelineStep::of(end.at_ms, &remaining),
                None => steps.push(TimelineStep::of(end.at_ms, &remaining)),
            }
        }
        let mut timeline = Timeline { steps };
        let state_ms = |wall_ms: u64| capacity.view.now_ms + wall_ms.saturating_sub(capacity.view.wall_ms);
        for window in view.maintenance.iter().filter(|w| w.until_wall_ms > capacity.view.wall_ms) {
            let first = timeline.split(state_ms(window.from_wall_ms));
            let last = timeline.split(state_ms(window.until_wall_ms));
            timeline.steps[first..last].iter_mut().for_each(|step| step.shut = true);
        }
        timeline
    }

    /// The earliest time, from `from_ms` on, at which there is room for a task of a length (without end, if unknown).
    pub(crate) fn earliest(&self, from_ms: u64, length_ms: Option<u64>, request: &Request) -> Option<u64> {
        let mut first = self.step_at(from_ms);
        loop {
            let step = self.steps[first..].iter().position(|step| step.covers(request))? + first;
            let start = self.steps[step].at_ms.max(from_ms);
            let end = end_of(start, length_ms);
            // A task that starts here must not run into a start that is reserved after it.
            let during = self.steps[step..].iter().take_while(|s| s.at_ms < end);
            match during.clone().position(|s| !s.covers(request)) {
                None => return Some(start),
                Some(gap) => first = step + gap,
            }
        }
    }

    /// Whether a task may start at a time.
    pub(crate) fn has_room(&self, at_ms: u64, length_ms: Option<u64>, request: &Request) -> bool {
        let end = end_of(at_ms, length_ms);
        self.steps[self.step_at(at_ms)..].iter().take_while(|s| s.at_ms < end).all(|s| s.covers(request))
    }

    /// Takes what a task needs from its start to its end.
    pub(crate) fn take(&mut self, at_ms: u64, length_ms: Option<u64>, request: &Request) {
        let end_ms = end_of(at_ms, length_ms);
        let first = self.split(at_ms);
        let last = if end_ms == u64::MAX { self.steps.len() } else { self.split(end_ms) };
        for step in &mut self.steps[first..last] {
            step.free.take(&request.amounts);
            step.gpu_milli -= u64::from(request.gpu_milli);
            step.running += 1;
            step.alone |= request.exclusive;
        }
    }

    /// The step that a time lies in.
    fn step_at(&self, at_ms: u64) -> usize {
        self.steps.partition_point(|s| s.at_ms <= at_ms).saturating_sub(1)
    }

    /// The step that begins at a time, made if there is none.
    fn split(&mut self, at_ms: u64) -> usize {
        let before = self.step_at(at_ms);
        if self.steps[before].at_ms == at_ms {
            return before;
        }
        let step = TimelineStep { at_ms, ..self.steps[before].clone() };
        self.steps.insert(before + 1, step);
        before + 1
    }
}

fn end_of(at_ms: u64, length_ms: Option<u64>) -> u64 {
    length_ms.map_or(u64::MAX, |length| at_ms.saturating_add(length.max(1)))
}
