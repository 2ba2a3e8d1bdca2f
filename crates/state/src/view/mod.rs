//! What the planner sees, kept in step with the core. The view is private to this room, so nothing else can write it: a command changes the
//! core and then says here what has changed. Each file is about one kind of row.

mod accounts;
mod attempts;
mod classes;
mod jobs;
mod nodes;
mod queues;

pub(crate) use attempts::{AttemptGroup, Began};

use std::ops::Deref;
use taskyard_model::View;

/// The view, open to readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannerView(View);

impl Deref for PlannerView {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

impl PlannerView {
    /// Moves time on.
    pub(crate) fn set_clock(&mut self, now_ms: u64, wall_ms: u64) {
        (self.0.now_ms, self.0.wall_ms) = (now_ms, wall_ms);
    }
}
