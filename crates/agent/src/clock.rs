//! The clocks that the agent and its keeper read.

use rustix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// CLOCK_BOOTTIME in milliseconds: leases and intervals.
    pub(crate) boot_ms: u64,
    /// Milliseconds since 1970: for display only.
    pub(crate) wall_ms: u64,
}

/// This moment.
pub(crate) fn now() -> Now {
    Now { boot_ms: boot_ms(), wall_ms: wall_ms() }
}

/// CLOCK_BOOTTIME in milliseconds.
pub(crate) fn boot_ms() -> u64 {
    read(ClockId::Boottime)
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}
