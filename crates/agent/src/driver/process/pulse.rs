//! Whether the keeper still answers. A keeper that is stopped, or hangs in the kernel, reaps nothing, starts nothing
//! and enforces no deadline, and only its silence shows it. Knows no process and no clock.

use crate::orders::Lease;

/// A keeper that is well answers within microseconds.
const PING_EVERY_MS: u64 = 2_000;
/// Without an answer for this long, the node takes no work.
const ANSWERS_WITHIN_MS: u64 = 3_000;
/// A keeper that is silent for this long is killed with its tasks, which then run elsewhere: their ends would not be
/// seen here.
const SILENT_MAX_MS: u64 = 20_000;

/// What is to be done about the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing now.
    Well,
    Ping,
    /// It hangs: no work for this node.
    Hangs,
    /// It has hung for too long, or too close to the end of the lease: it must be ended.
    End,
}

/// See the module. Times are milliseconds of CLOCK_BOOTTIME.
pub(super) struct Pulse {
    ping_at_ms: u64,
    /// Of the oldest ping that was not answered.
    silent_since_ms: Option<u64>,
    looked_ms: u64,
}

impl Pulse {
    /// Of a keeper that was started now.
    pub(super) fn new(now_ms: u64) -> Pulse {
        Pulse { ping_at_ms: now_ms + PING_EVERY_MS, silent_since_ms: None, looked_ms: now_ms }
    }

    pub(super) fn look(&mut self, now_ms: u64, lease: Option<Lease>) -> Verdict {
        let before_ms = std::mem::replace(&mut self.looked_ms, now_ms);
        let Some(since_ms) = self.silent_since_ms else {
            if now_ms < self.ping_at_ms {
                return Verdict::Well;
            }
            self.silent_since_ms = Some(now_ms);
            return Verdict::Ping;
        };
        if now_ms.saturating_sub(before_ms) > ANSWERS_WITHIN_MS {
            // It was the agent, or the whole machine, that stood still: the answer may be there, unread.
            self.silent_since_ms = Some(now_ms);
            return Verdict::Well;
        }
        match now_ms.saturating_sub(since_ms) {
            0..ANSWERS_WITHIN_MS => Verdict::Well,
            _ if self.is_over(now_ms, lease) => Verdict::End,
            _ => Verdict::Hangs,
        }
    }

    /// It has been silent for too long to be waited for.
    pub(super) fn is_over(&self, now_ms: u64, lease: Option<Lease>) -> bool {
        let silent_ms = self.silent_since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        let lease_ends = lease.is_some_and(|lease| now_ms >= lease.kill_at());
        silent_ms >= SILENT_MAX_MS || silent_ms >= ANSWERS_WITHIN_MS && lease_ends
    }

    /// It answered; nothing older than that is asked of it.
    pub(super) fn answered(&mut self, now_ms: u64) {
        self.silent_since_ms = None;
        self.ping_at_ms = now_ms + PING_EVERY_MS;
    }

    /// When [`Pulse::look`] may say something else.
    pub(super) fn due_ms(&self, now_ms: u64, lease: Option<Lease>) -> u64 {
        let Some(since_ms) = self.silent_since_ms else { return self.ping_at_ms };
        let marks = [since_ms + ANSWERS_WITHIN_MS, since_ms + SILENT_MAX_MS];
        let kill_at = lease.map(|lease| lease.kill_at());
        let next = marks.into_iter().chain(kill_at).filter(|at| *at > now_ms).min();
        next.unwrap_or(u64::MAX).min(now_ms + PING_EVERY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(pulse: &mut Pulse, lease: Option<Lease>, at: &[u64]) -> Vec<Verdict> {
        at.iter().map(|ms| pulse.look(*ms, lease)).collect()
    }

    #[test]
    fn a_silent_keeper_is_noticed_and_at_last_ended() {
        use Verdict::*;
        let mut pulse = Pulse::new(0);
        let times: Vec<u64> =
            [0, 1_999, 2_000, 2_001, 4_999].into_iter().chain((5_000..23_000).step_by(1_000)).collect();
        let seen = verdicts(&mut pulse, None, &times);
        assert_eq!(seen[..6], [Well, Well, Ping, Well, Well, Hangs]);
        assert_eq!(seen[seen.len() - 2..], [Hangs, End]);
        pulse.answered(30_000);
        assert_eq!(verdicts(&mut pulse, None, &[31_999, 32_000]), [Well, Ping], "it is asked again");
        // The agent was stopped while it waited for the answer.
        assert_eq!(verdicts(&mut pulse, None, &[90_000, 92_999, 93_000]), [Well, Well, Hangs]);
    }

    #[test]
    fn it_is_ended_sooner_where_the_lease_ends() {
        let lease = Some(Lease { deadline_ms: 8_000, length_ms: 15_000 });
        let mut pulse = Pulse::new(0);
        pulse.look(2_000, lease);
        pulse.look(5_000, lease);
        assert_eq!(pulse.look(6_999, lease), Verdict::Hangs);
        assert_eq!(pulse.look(7_000, lease), Verdict::End);
    }

    #[test]
    fn looks_when_something_changes() {
        let lease = Some(Lease { deadline_ms: 8_000, length_ms: 15_000 });
        let mut pulse = Pulse::new(0);
        assert_eq!(pulse.due_ms(0, None), 2_000);
        pulse.look(2_000, lease);
        let due: Vec<u64> = [2_000, 4_500, 6_500, 21_500].map(|now| pulse.due_ms(now, lease)).to_vec();
        assert_eq!(due, [4_000, 5_000, 7_000, 22_000]);
    }
}
