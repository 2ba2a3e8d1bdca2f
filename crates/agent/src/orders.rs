//! What drivers are told and what they answer. The keeper's socket carries the same messages, so they have an encoding.

use minicbor::{Decode, Encode};
use taskyard_model::{CutOutput, JobSpec, Outcome};

/// One attempt.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Order {
    /// The agent's name for it.
    #[n(0)]
    pub(crate) key: u64,
    #[n(1)]
    pub(crate) job: u64,
    #[n(2)]
    pub(crate) number: u64,
    #[n(3)]
    pub(crate) attempt: u32,
    #[n(4)]
    pub(crate) fence: u64,
    #[n(5)]
    pub(crate) group: u32,
    /// Start now, rather than in the place of another.
    #[n(6)]
    pub(crate) run: bool,
    /// Position of the task in its job: what its files are named after.
    #[n(9)]
    pub(crate) index: u32,
    #[n(7)]
    pub(crate) entry: Option<String>,
    #[n(8)]
    pub(crate) gpus: Vec<u16>,
}

/// How long each attempt of a job may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Limits {
    /// From its start until it is asked to stop.
    #[n(0)]
    pub(crate) time_limit_ms: Option<u64>,
    /// From then until it is killed.
    #[n(1)]
    pub(crate) grace_ms: u64,
}

impl Limits {
    /// Those of a job.
    pub(crate) fn of(spec: &JobSpec) -> Limits {
        Limits { time_limit_ms: spec.time_limit_ms, grace_ms: spec.grace_ms }
    }
}

/// Until when attempts may live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Lease {
    /// End, milliseconds of CLOCK_BOOTTIME.
    #[n(0)]
    pub(crate) deadline_ms: u64,
    /// Length (D), milliseconds.
    #[n(1)]
    pub(crate) length_ms: u64,
}

impl Lease {
    /// With less than this left nothing new starts: 5 s, or a third of a short lease.
    pub(crate) fn may_start(&self, boot_ms: u64) -> bool {
        self.deadline_ms.saturating_sub(boot_ms) > (self.length_ms / 3).min(5_000)
    }

    /// From here on tasks are asked to stop, given the longest grace among them. At most a third of the lease is left
    /// then: the other two thirds are how long servers may be away without a task noticing.
    pub(crate) fn term_at(&self, grace_ms: u64) -> u64 {
        self.deadline_ms.saturating_sub((grace_ms + 2_000).min(self.length_ms / 3))
    }

    /// Here they are killed.
    pub(crate) fn kill_at(&self) -> u64 {
        self.deadline_ms.saturating_sub((self.length_ms / 4).min(1_000))
    }
}

/// One thing that happened at a driver.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum DriverEvent {
    /// An attempt ended (or could not start), and `next` took its place.
    #[n(0)]
    Ended(#[n(0)] Ended),
    /// An attempt was given back: it did not start and never will.
    #[n(1)]
    Returned(#[n(0)] u64),
    /// The output of a running attempt can be read from now on.
    #[n(2)]
    Published(#[n(0)] u64),
    /// Why the driver cannot start anything on this node, or that it can again (`None`). What was prepared is given
    /// back.
    #[n(3)]
    Health(#[n(0)] Option<String>),
    /// Whatever the driver had is dead: what ran, and what was prepared, which may have started unseen.
    #[n(4)]
    Lost,
}

/// See [`DriverEvent::Ended`].
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) struct Ended {
    #[n(0)]
    pub(crate) key: u64,
    #[n(1)]
    pub(crate) outcome: Outcome,
    #[n(2)]
    pub(crate) code: i32,
    #[n(3)]
    pub(crate) started_wall_ms: u64,
    #[n(4)]
    pub(crate) ran_ms: u64,
    #[n(5)]
    pub(crate) cpu_ms: u64,
    #[n(6)]
    pub(crate) max_rss_kib: u64,
    /// The time limit that stopped it; 0 if none did.
    #[n(8)]
    pub(crate) limit_ms: u64,
    /// Its output, if not all of it was kept.
    #[n(9)]
    pub(crate) cut: CutOutput,
    /// The held attempt of the same group that was started in its place.
    #[n(7)]
    pub(crate) next: Option<u64>,
}
