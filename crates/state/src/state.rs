//! The state: what is kept, and what follows from it.

use crate::core::Core;
use crate::lookup::Lookup;
use crate::view::PlannerView;
use taskyard_model::{Incarnation, View};

/// Everything a server knows: a function of the log alone.
#[derive(Debug)]
pub struct State {
    pub(crate) core: Core,
    /// What the planner sees; derived from `core` and kept up to date with it.
    pub(crate) view: PlannerView,
    /// Where to find things in `core`; derived likewise.
    pub(crate) lookup: Lookup,
}

impl State {
    /// An entry of the log that is not for the state.
    pub fn skip(&mut self, index: u64) {
        assert!(index > self.core.clock.index, "entry {index} after {}", self.core.clock.index);
        self.core.clock.index = index;
    }

    /// Index of the last entry.
    pub fn index(&self) -> u64 {
        self.core.clock.index
    }

    /// State time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.core.clock.now_ms
    }

    /// The leader's wall clock at the last entry.
    pub fn wall_ms(&self) -> u64 {
        self.core.clock.wall_ms
    }

    /// Whether a life of an agent began in another cluster, from whose backup this one was made. It cannot go on here, though it counts as
    /// alive until its lease has surely ended.
    pub fn is_of_another_cluster(&self, incarnation: Incarnation) -> bool {
        self.core.clock.restored.is_some_and(|at| incarnation.0 < at)
    }

    /// What the planner sees.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// State time at which something is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadline = self.core.deadlines.get_min().map(|(at, _)| *at);
        deadline.into_iter().chain(self.forget_at()).min()
    }
}
