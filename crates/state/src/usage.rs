//! Usage accounting: what each user on each account took in each queue, day by day.
//!
//! What is allocated is an integral over time: it is charged when what somebody runs changes (see `State::settle_party`), so a task that takes
//! over the place of another costs nothing here. What concerns single tasks is gathered while an entry is applied, and added once at its end.

use crate::ledger::{DAY_MS, DayOf, Ledger, day_of, days};
use crate::used::Used;
use std::collections::BTreeMap;
use taskyard_model::{PartyId, QueueId, Request};

/// What a user on an account runs in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    cpu_milli: u64,
    gpu_milli: u64,
    memory_mib: u64,
    tasks: u64,
}

/// Whose work in which queue.
pub(crate) type Whose = (PartyId, QueueId);

impl Taken {
    fn change(&mut self, request: &Request, change: impl Fn(u64, u64) -> u64) {
        self.cpu_milli = change(self.cpu_milli, request.amounts.cpu_milli);
        self.gpu_milli = change(self.gpu_milli, request.gpu_milli.into());
        self.memory_mib = change(self.memory_mib, request.amounts.memory.div_ceil(1 << 20));
        self.tasks = change(self.tasks, 1);
    }

    fn over(&self, ms: u64) -> Used {
        Used {
            cpu_milli_ms: self.cpu_milli.saturating_mul(ms),
            gpu_milli_ms: self.gpu_milli.saturating_mul(ms),
            memory_mib_ms: self.memory_mib.saturating_mul(ms),
            ..Used::default()
        }
    }
}

/// What runs by whose it is, and what was counted while an entry is applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    taken: BTreeMap<Whose, Taken>,
    /// Empty between two entries.
    counted: BTreeMap<Whose, Used>,
}

impl Meter {
    /// One more task of a request runs.
    pub(crate) fn takes(&mut self, whose: Whose, request: &Request) {
        self.taken.entry(whose).or_default().change(request, u64::saturating_add);
    }

    /// One less.
    pub(crate) fn gives(&mut self, whose: Whose, request: &Request) {
        let taken = self.taken.entry(whose).or_default();
        taken.change(request, u64::saturating_sub);
        if taken.tasks == 0 {
            self.taken.remove(&whose);
        }
    }

    /// Counts something on the day of this entry.
    pub(crate) fn count(&mut self, whose: Whose, add: impl FnOnce(&mut Used)) {
        add(self.counted.entry(whose).or_default());
    }

    /// Charges what a party has run up to a wall clock, for `elapsed_ms`. What falls on an earlier day than this entry's goes down at once.
    pub(crate) fn charge(&mut self, party: PartyId, wall_ms: u64, elapsed_ms: u64, ledger: &mut Ledger) {
        let today = day_of(wall_ms);
        let all = (party, QueueId(0))..=(party, QueueId(u32::MAX));
        for (&whose, taken) in self.taken.range(all) {
            for (day, ms) in days(wall_ms, elapsed_ms) {
                let used = taken.over(ms);
                if day == today {
                    self.counted.entry(whose).or_default().add(&used);
                } else {
                    ledger.add(DayOf { day, party, queue: whose.1 }, &used, today);
                }
            }
        }
    }

    /// Puts down what was counted while an entry was applied.
    pub(crate) fn put_down(&mut self, wall_ms: u64, ledger: &mut Ledger) {
        if self.counted.is_empty() {
            return;
        }
        let today = day_of(wall_ms);
        for ((party, queue), used) in std::mem::take(&mut self.counted) {
            ledger.add(DayOf { day: today, party, queue }, &used, today);
        }
    }

    /// What was counted so far, with what runs counted up to now. `charged_ms`: state time up to which what a party takes has been charged.
    pub(crate) fn book(
        &self,
        ledger: &Ledger,
        (now_ms, wall_ms): (u64, u64),
        charged_ms: impl Fn(PartyId) -> u64,
    ) -> UsageBook {
        let mut open = Vec::new();
        for (&(party, queue), taken) in &self.taken {
            let elapsed = now_ms.saturating_sub(charged_ms(party));
            let of_day = |(day, ms)| (DayOf { day, party, queue }, taken.over(ms));
            open.extend(days(wall_ms, elapsed).map(of_day));
        }
        let running = self.taken.iter().map(|(whose, taken)| (*whose, taken.tasks)).collect();
        UsageBook { ledger: ledger.clone(), open, running, wall_ms }
    }
}

/// What was counted up to one entry: a copy that is cheap to take and is read while `apply` goes on.
#[derive(Clone, Debug)]
pub struct UsageBook {
    ledger: Ledger,
    /// What runs has taken since it was charged last.
    open: Vec<(DayOf, Used)>,
    running: Vec<(Whose, u64)>,
    /// The leader's wall clock at that entry.
    pub wall_ms: u64,
}

/// Sums of somebody's work in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedBy {
    /// What was counted.
    pub used: Used,
    /// Tasks that run now.
    pub running: u64,
}

impl UsageBook {
    /// Sums by user on an account and queue, of whole days in UTC: from the day of a wall clock on, up to now.
    pub fn since(&self, wall_ms: u64) -> BTreeMap<(PartyId, QueueId), UsedBy> {
        let (first, last) = (day_of(wall_ms), day_of(self.wall_ms));
        let start = DayOf { day: first, party: PartyId(0), queue: QueueId(0) };
        let kept = self.ledger.days.range(start..).map(|(key, used)| (*key, *used));
        let mut sums: BTreeMap<_, UsedBy> = BTreeMap::new();
        for (key, used) in kept.chain(self.open.iter().copied()) {
            if (first..=last).contains(&key.day) {
                sums.entry((key.party, key.queue)).or_default().used.add(&used);
            }
        }
        for (whose, tasks) in &self.running {
            sums.entry(*whose).or_default().running = *tasks;
        }
        sums
    }

    /// When the sums since a wall clock begin: with the day of it, or the first of which everything is kept.
    pub fn begins_wall_ms(&self, wall_ms: u64) -> u64 {
        let whole = self.ledger.forgotten.map_or(0, |day| day.saturating_add(1));
        u64::from(day_of(wall_ms).max(whole)) * DAY_MS
    }
}
