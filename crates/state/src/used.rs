//! What somebody used, as sums.

use crate::phase::Phase;
use minicbor::{Decode, Encode};
use taskyard_model::AttemptEnd;

/// What was counted. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Used {
    /// Cores that were allocated, over time: thousandths of a core × milliseconds.
    #[n(0)]
    pub cpu_milli_ms: u64,
    /// Likewise, thousandths of a GPU × milliseconds.
    #[n(1)]
    pub gpu_milli_ms: u64,
    /// Likewise, MiB × milliseconds; what a task asks for is rounded up to MiB.
    #[n(2)]
    pub memory_mib_ms: u64,
    /// User and system CPU time of attempts that ended, in milliseconds.
    #[n(3)]
    pub cpu_used_ms: u64,
    /// What these attempts had of cores while they ran: thousandths of a core × milliseconds.
    #[n(4)]
    pub cpu_ran_milli_ms: u64,
    /// Tasks whose first attempt started.
    #[n(5)]
    pub started: u64,
    /// How long they had waited for that, in milliseconds together.
    #[n(6)]
    pub wait_ms: u64,
    /// Tasks that ended after an attempt.
    #[n(7)]
    pub ended: u64,
    /// Of these, the ones that failed.
    #[n(8)]
    pub failed: u64,
}

impl Used {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Used) {
        let parts = [
            (&mut self.cpu_milli_ms, other.cpu_milli_ms),
            (&mut self.gpu_milli_ms, other.gpu_milli_ms),
            (&mut self.memory_mib_ms, other.memory_mib_ms),
            (&mut self.cpu_used_ms, other.cpu_used_ms),
            (&mut self.cpu_ran_milli_ms, other.cpu_ran_milli_ms),
            (&mut self.started, other.started),
            (&mut self.wait_ms, other.wait_ms),
            (&mut self.ended, other.ended),
            (&mut self.failed, other.failed),
        ];
        for (sum, part) in parts {
            *sum = sum.saturating_add(part);
        }
    }

    /// Tasks start for the first time, after having waited so long each.
    pub(crate) fn starts(&mut self, tasks: u32, waited_ms: u64) {
        self.started = self.started.saturating_add(tasks.into());
        self.wait_ms = self.wait_ms.saturating_add(waited_ms.saturating_mul(tasks.into()));
    }

    /// An attempt with so many thousandths of cores ended.
    pub(crate) fn ran(&mut self, end: &AttemptEnd, cpu_milli: u64) {
        self.cpu_used_ms = self.cpu_used_ms.saturating_add(end.cpu_ms);
        self.cpu_ran_milli_ms = self.cpu_ran_milli_ms.saturating_add(end.ran_ms.saturating_mul(cpu_milli));
    }

    /// A task ended, if it did.
    pub(crate) fn ends(&mut self, ended: Option<Phase>) {
        self.ended += u64::from(ended.is_some());
        self.failed += u64::from(ended == Some(Phase::Failed));
    }
}
