//! Which other servers can be reached, told once for each change: a dead server must not fill the logs of those that go on.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::boottime;

/// A change of the same kind is told once in this time, for each server.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// A server that says goodbye may still take connections for so long.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// What is known of all other servers.
#[derive(Default)]
pub(crate) struct Reach(Mutex<BTreeMap<u64, PeerReach>>);

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReachNews {
    /// It cannot be reached any more.
    Away,
    /// It is there again, after so long.
    Back(Duration),
    /// It stops in good order.
    Leaves,
}

#[derive(Default)]
struct PeerReach {
    stands: Stands,
    told_away: Option<Duration>,
    told_back: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stands {
    #[default]
    Here,
    Left(Duration),
    Away(Duration),
}

impl Reach {
    /// A connection to a server could not be made.
    pub(super) fn failed(&self, server: u64, url: &str, why: &dyn Display) {
        if self.change(server, |known, now| known.failed(now)) == Some(ReachNews::Away) {
            tracing::warn!(server, url, %why, "a server cannot be reached");
        }
    }

    /// A server has taken a connection, or answered on one.
    pub(super) fn answered(&self, server: u64) {
        if let Some(ReachNews::Back(after)) = self.change(server, |known, now| known.answered(now)) {
            let after_s = after.as_secs();
            tracing::info!(server, after_s, "a server answers again");
        }
    }

    /// A server says goodbye.
    pub(super) fn leaves(&self, server: u64) {
        if self.change(server, |known, now| known.leaves(now)) == Some(ReachNews::Leaves) {
            tracing::info!(server, "a server stops cleanly");
        }
    }

    fn change(
        &self,
        server: u64,
        change: impl FnOnce(&mut PeerReach, Duration) -> Option<ReachNews>,
    ) -> Option<ReachNews> {
        change(self.0.lock().entry(server).or_default(), boottime())
    }
}

impl PeerReach {
    fn failed(&mut self, now: Duration) -> Option<ReachNews> {
        match self.stands {
            Stands::Here => self.stands = Stands::Away(now),
            Stands::Left(_) | Stands::Away(_) => return None,
        }
        may_tell(&mut self.told_away, now).then_some(ReachNews::Away)
    }

    fn answered(&mut self, now: Duration) -> Option<ReachNews> {
        let since = match self.stands {
            Stands::Here => return None,
            Stands::Left(since) if now.saturating_sub(since) < LEAVES_WITHIN => return None,
            Stands::Left(since) | Stands::Away(since) => since,
        };
        self.stands = Stands::Here;
        may_tell(&mut self.told_back, now).then(|| ReachNews::Back(now.saturating_sub(since)))
    }

    fn leaves(&mut self, now: Duration) -> Option<ReachNews> {
        self.stands = Stands::Left(now);
        may_tell(&mut self.told_away, now).then_some(ReachNews::Leaves)
    }
}

fn may_tell(last: &mut Option<Duration>, now: Duration) -> bool {
    let may = last.is_none_or(|last| now.saturating_sub(last) >= LOG_EVERY);
    if may {
        *last = Some(now);
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn an_outage_is_two_lines_however_often_it_is_tried() {
        let mut server = PeerReach::default();
        assert_eq!(server.answered(at(0)), None, "nothing new");
        assert_eq!(server.failed(at(1)), Some(ReachNews::Away));
        assert!((2..20).all(|second| server.failed(at(second)).is_none()));
        assert_eq!(server.answered(at(21)), Some(ReachNews::Back(Duration::from_secs(20))));
        assert!((22..40).all(|second| server.answered(at(second)).is_none()));
    }

    #[test]
    fn one_that_comes_and_goes_is_told_once_a_minute() {
        let mut server = PeerReach::default();
        let mut lines = 0;
        for second in 0..600 {
            lines += usize::from(server.failed(at(second)).is_some());
            lines += usize::from(server.answered(at(second)).is_some());
        }
        assert_eq!(lines, 20, "two a minute");
    }

    #[test]
    fn a_goodbye_is_no_outage() {
        let mut server = PeerReach::default();
        assert_eq!(server.leaves(at(0)), Some(ReachNews::Leaves));
        assert_eq!((server.answered(at(1)), server.failed(at(2)), server.failed(at(30))), (None, None, None));
        assert!(matches!(server.answered(at(40)), Some(ReachNews::Back(_))));
        assert_eq!(server.failed(at(50)), None, "in the same minute");
        assert_eq!((server.answered(at(55)), server.failed(at(70))), (None, Some(ReachNews::Away)));
    }
}
