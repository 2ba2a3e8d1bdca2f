//! One task that has been assigned at least once.

use crate::phase::Phase;
use minicbor::{Decode, Encode};
use taskyard_model::{AttemptEnd, CutOutput, Fence, NodeId, Outcome};

/// What is known of one task: its current or last attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TaskRecord {
    /// Where it is.
    #[n(0)]
    pub phase: Phase,
    /// How the last attempt ended (see [`TaskRecord::outcome`]).
    #[n(1)]
    pub(crate) outcome: u8,
    /// A user cancelled this task.
    #[n(2)]
    pub(crate) cancelled: bool,
    /// Waits in the deadlines for its next try.
    #[n(3)]
    pub backing_off: bool,
    /// The current or last attempt, from 1; 0 before the first.
    #[n(4)]
    pub attempt: u16,
    /// AttemptGroup that failed by the task's own fault.
    #[n(5)]
    pub fails: u16,
    /// AttemptGroup that the infrastructure ended.
    #[n(6)]
    pub losses: u16,
    /// Where the attempt is or was.
    #[n(7)]
    pub node: NodeId,
    /// Exit code, signal or errno, by outcome.
    #[n(8)]
    pub code: i32,
    /// Fence of the attempt.
    #[n(9)]
    pub fence: Fence,
    /// The node's wall clock at the start; 0 before.
    #[n(10)]
    pub started_wall_ms: u64,
    /// How long it ran.
    #[n(11)]
    pub ran_ms: u64,
    /// User and system CPU time.
    #[n(12)]
    pub cpu_ms: u32,
    /// Largest resident set in KiB.
    #[n(13)]
    pub max_rss_kib: u32,
    /// While it runs: state time of its start, as far as that is known here; else 0.
    #[n(14)]
    #[cbor(default)]
    pub(crate) started_ms: u64,
    /// The time limit that stopped the attempt; 0 if none did.
    #[n(15)]
    #[cbor(default)]
    pub(crate) limit_ms: u64,
    /// The attempt's output, if the node did not keep all of it.
    #[n(16)]
    #[cbor(default)]
    pub(crate) cut: CutOutput,
}

/// Marks a record whose attempt has not ended.
const NO_OUTCOME: u8 = u8::MAX;

impl TaskRecord {
    /// A task that was never assigned.
    pub(crate) fn fresh() -> TaskRecord {
        TaskRecord { outcome: NO_OUTCOME, ..TaskRecord::default() }
    }

    /// How the last attempt ended, if it did.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::from_u8(self.outcome)
    }

    /// The last attempt's end, if it did.
    pub fn end(&self) -> Option<AttemptEnd> {
        Some(AttemptEnd {
            outcome: self.outcome()?,
            code: self.code,
            started_wall_ms: self.started_wall_ms,
            ran_ms: self.ran_ms,
            cpu_ms: self.cpu_ms.into(),
            max_rss_kib: self.max_rss_kib.into(),
            limit_ms: self.limit_ms,
            cut: self.cut,
        })
    }

    pub(crate) fn set_end(&mut self, end: &AttemptEnd) {
        self.outcome = end.outcome as u8;
        self.code = end.code;
        self.started_wall_ms = end.started_wall_ms;
        self.ran_ms = end.ran_ms;
        self.cpu_ms = u32::try_from(end.cpu_ms).unwrap_or(u32::MAX);
        self.max_rss_kib = u32::try_from(end.max_rss_kib).unwrap_or(u32::MAX);
        self.limit_ms = end.limit_ms;
        self.cut = end.cut;
        self.started_ms = 0;
    }

    /// How long an attempt that nobody saw end ran up to this state time.
    pub(crate) fn ran_until(&self, until_ms: u64) -> u64 {
        if self.started_ms == 0 { 0 } else { until_ms.saturating_sub(self.started_ms) }
    }

    pub(crate) fn begin(&mut self, phase: Phase, node: NodeId, fence: Fence) {
        *self = TaskRecord {
            phase,
            outcome: NO_OUTCOME,
            attempt: self.attempt.saturating_add(1),
            node,
            fence,
            cancelled: self.cancelled,
            fails: self.fails,
            losses: self.losses,
            ..TaskRecord::default()
        };
    }
}
