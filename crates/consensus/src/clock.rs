//! Clocks: CLOCK_BOOTTIME for everything that matters, the wall clock for display.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine started, counting suspension.
pub fn boottime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Milliseconds since 1970. For display, never for safety.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// State time as this server would stamp it: the last applied time, plus what has passed since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryClock {
    base_ms: u64,
    base_at: Duration,
    /// When an entry was last applied.
    applied_at: Duration,
}

impl EntryClock {
    pub(crate) fn now_ms(&self, boottime: Duration) -> u64 {
        self.base_ms + boottime.saturating_sub(self.base_at).as_millis() as u64
    }

    /// Since an entry was last applied.
    pub(crate) fn age_ms(&self, boottime: Duration) -> u64 {
        boottime.saturating_sub(self.applied_at).as_millis() as u64
    }

    /// Follows an applied entry. One that this process stamped leaves the clock as it is: its time was taken from
    /// this very clock, and following it would lose the time from stamp to apply, with each entry again.
    pub(crate) fn applied(&mut self, state_ms: u64, own: bool, boottime: Duration) {
        self.applied_at = boottime;
        if !own || state_ms > self.now_ms(boottime) {
            (self.base_ms, self.base_at) = (state_ms, boottime);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_entries_lose_no_time_and_others_set_it() {
        let ms = Duration::from_millis;
        let mut clock = EntryClock::default();
        clock.applied(500, false, ms(10_000));
        assert_eq!(clock.now_ms(ms(10_100)), 600);
        // Stamped at 600, applied 30 ms later.
        clock.applied(600, true, ms(10_130));
        assert_eq!(clock.now_ms(ms(10_200)), 700);
        // Another leader's time may lag behind ours.
        clock.applied(650, false, ms(10_300));
        assert_eq!(clock.now_ms(ms(10_300)), 650);
    }
}
