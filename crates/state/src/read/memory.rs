//! What the state takes of memory, and whether there is room for more.

use crate::memory::bytes_of;
use crate::outcome::Rejection;
use crate::state::State;
use taskyard_model::JobSpec;

impl State {
    /// About how much memory the state takes. What finished jobs were run with is on disk and does not count.
    pub fn bytes(&self) -> u64 {
        self.lookup.memory.total(&self.core)
    }

    /// What it may take.
    pub fn bytes_max(&self) -> u64 {
        self.core.retention.state_bytes
    }

    /// Inputs of finished jobs that are still in memory here, until a snapshot has them.
    pub fn unstored_bytes(&self) -> u64 {
        self.lookup.memory.unstored_bytes
    }

    /// Why there is no room for another job. What goes on with the others is never refused.
    pub fn refusal_of_more(&self, spec: &JobSpec) -> Option<Rejection> {
        let (bytes, limit) = (self.bytes(), self.bytes_max());
        (bytes + bytes_of(spec) > limit).then_some(Rejection::StateFull { bytes, limit })
    }
}
