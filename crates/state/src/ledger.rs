//! Usage as it is kept: by days in UTC, bounded in number and age.

use crate::used::Used;
use minicbor::{Decode, Encode};
use taskyard_model::{PartyId, QueueId, limits};

/// A day in UTC, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// Entries taken out when one is added: more than come in, so that it shrinks, and few, so that it stays cheap.
const FORGOTTEN_PER_ENTRY: u32 = 4;

/// A day of somebody's work in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct DayOf {
    /// Days since 1970, in UTC.
    #[n(0)]
    pub(crate) day: u32,
    #[n(1)]
    pub(crate) party: PartyId,
    #[n(2)]
    pub(crate) queue: QueueId,
}

/// All that was counted and is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) days: imbl::OrdMap<DayOf, Used>,
    /// The last day of which something was forgotten.
    pub(crate) forgotten: Option<u32>,
}

impl Ledger {
    /// Adds to a day; `today` says how old that is.
    pub(crate) fn add(&mut self, key: DayOf, used: &Used, today: u32) {
        if let Some(there) = self.days.get_mut(&key) {
            return there.add(used);
        }
        self.days.insert(key, *used);
        for _ in 0..FORGOTTEN_PER_ENTRY {
            let Some((first, _)) = self.days.get_min() else { break };
            let first = *first;
            let is_old = first.day.saturating_add(limits::USAGE_DAYS_KEPT) <= today;
            if !is_old && self.days.len() <= limits::USAGE_ENTRIES_MAX {
                break;
            }
            self.days.remove(&first);
            self.forgotten = self.forgotten.max(Some(first.day));
        }
    }
}

/// Days since 1970 of a wall clock.
pub(crate) fn day_of(wall_ms: u64) -> u32 {
    u32::try_from(wall_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// The days of the time that ends at a wall clock and is so long, with how much of it lies in each; the last first. What lies further back than
/// is kept is left out.
pub(crate) fn days(wall_ms: u64, elapsed_ms: u64) -> impl Iterator<Item = (u32, u64)> {
    let (mut end, mut left) = (wall_ms, elapsed_ms);
    let mut first = true;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        // Midnight itself is of the new day for what happens then, but what ends then lies in the old one.
        let day = if first { end } else { end.saturating_sub(1) } / DAY_MS;
        let since = end - day * DAY_MS;
        first = false;
        let part = if day == 0 { left } else { left.min(since) };
        (end, left) = (day * DAY_MS, left - part);
        Some((u32::try_from(day).unwrap_or(u32::MAX), part))
    })
    .take(limits::USAGE_DAYS_KEPT as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(wall_ms: u64, elapsed_ms: u64) -> Vec<(u32, u64)> {
        days(wall_ms, elapsed_ms).filter(|(_, ms)| *ms > 0).collect()
    }

    #[test]
    fn time_is_split_at_midnight() {
        assert_eq!(parts(3 * DAY_MS + 10, 0), []);
        assert_eq!(parts(3 * DAY_MS + 10, 10), [(3, 10)]);
        assert_eq!(parts(3 * DAY_MS + 10, 12), [(3, 10), (2, 2)]);
        assert_eq!(parts(3 * DAY_MS, 12), [(2, 12)]);
        assert_eq!(parts(3 * DAY_MS + 10, 2 * DAY_MS + 15), [(3, 10), (2, DAY_MS), (1, DAY_MS), (0, 5)]);
        assert_eq!(parts(5, 100), [(0, 100)], "what was before 1970 counts then");
        assert_eq!(parts(0, 7), [(0, 7)]);
        let long: Vec<_> = parts(1_000 * DAY_MS, 900 * DAY_MS);
        assert!(long.len() <= limits::USAGE_DAYS_KEPT as usize);
    }

    #[test]
    fn old_days_and_more_than_fit_are_forgotten() {
        let key = |day, party| DayOf { day, party: PartyId(party), queue: QueueId(1) };
        let one = Used { ended: 1, ..Used::default() };
        let mut ledger = Ledger::default();
        for day in 0..limits::USAGE_DAYS_KEPT + 5 {
            ledger.add(key(day, 1), &one, day);
            ledger.add(key(day, 1), &one, day);
        }
        assert_eq!((ledger.days.len(), ledger.forgotten), (limits::USAGE_DAYS_KEPT as usize, Some(4)));
        assert_eq!(ledger.days[&key(5, 1)].ended, 2);
        let last = limits::USAGE_DAYS_KEPT + 4;
        for party in 2..=limits::USAGE_ENTRIES_MAX as u32 {
            ledger.add(key(last, party), &one, last);
        }
        assert_eq!((ledger.days.len(), ledger.forgotten), (limits::USAGE_ENTRIES_MAX, Some(last - 1)));
    }
}
