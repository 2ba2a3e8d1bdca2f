//! Usage accounting: what each user on each account took in each queue, day by day.
//!
//! What is allocated is an integral over time: it is charged when what somebody runs changes (see [`State::settle_party`]), so a task that takes
//! over the place of another costs nothing here. What concerns single tasks is gathered while an entry is applied, and added once at its end.

use crate::State;
use crate::ledger::{DAY_MS, DayOf, Ledger, day_of, days};
use crate::phase::Phase;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use taskyard_model::{AttemptEnd, ClassId, PartyId, QueueId, Request};

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
}

impl Used {
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

/// What a user on an account runs in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    cpu_milli: u64,
    gpu_milli: u64,
    memory_mib: u64,
    tasks: u64,
}

/// Whose work in which queue.
pub(crate) type Whose = (PartyId, QueueId);

/// One more task of a request runs, or one less.
pub(crate) fn takes(taken: &mut BTreeMap<Whose, Taken>, whose: Whose, request: &Request, begins: bool) {
    let memory_mib = request.amounts.memory.div_ceil(1 << 20);
    let of = taken.entry(whose).or_default();
    let change = |sum: &mut u64, part: u64| {
        *sum = if begins { sum.saturating_add(part) } else { sum.saturating_sub(part) };
    };
    change(&mut of.cpu_milli, request.amounts.cpu_milli);
    change(&mut of.gpu_milli, request.gpu_milli.into());
    change(&mut of.memory_mib, memory_mib);
    change(&mut of.tasks, 1);
    if of.tasks == 0 {
        taken.remove(&whose);
    }
}

impl Taken {
    fn over(&self, ms: u64) -> Used {
        Used {
            cpu_milli_ms: self.cpu_milli.saturating_mul(ms),
            gpu_milli_ms: self.gpu_milli.saturating_mul(ms),
            memory_mib_ms: self.memory_mib.saturating_mul(ms),
            ..Used::default()
        }
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

impl State {
    /// What was counted so far, with what runs counted up to now.
    pub fn usage(&self) -> UsageBook {
        let (now_ms, wall_ms) = (self.core.clock.now_ms, self.core.clock.wall_ms);
        let mut open = Vec::new();
        for (&(party, queue), taken) in &self.lookup.taken {
            let elapsed = now_ms.saturating_sub(self.charged_ms(party));
            let of_day = |(day, ms)| (DayOf { day, party, queue }, taken.over(ms));
            open.extend(days(wall_ms, elapsed).map(of_day));
        }
        let running = self.lookup.taken.iter().map(|(whose, taken)| (*whose, taken.tasks)).collect();
        UsageBook { ledger: self.core.ledger.clone(), open, running, wall_ms }
    }

    /// State time up to which what a party takes has been charged.
    fn charged_ms(&self, party: PartyId) -> u64 {
        self.view.parties.get((party.0 as usize).wrapping_sub(1)).map_or(u64::MAX, |party| party.usage.at_ms)
    }

    /// Charges what a party has run since it was settled last. To be called just before that.
    pub(crate) fn charge(&mut self, party: PartyId) {
        let (now_ms, wall_ms) = (self.core.clock.now_ms, self.core.clock.wall_ms);
        let elapsed = now_ms.saturating_sub(self.charged_ms(party));
        let today = day_of(wall_ms);
        let all = (party, QueueId(0))..=(party, QueueId(u32::MAX));
        for (&whose, taken) in self.lookup.taken.range(all) {
            for (day, ms) in days(wall_ms, elapsed) {
                let used = taken.over(ms);
                if day == today {
                    self.lookup.counted.entry(whose).or_default().add(&used);
                } else {
                    self.core.ledger.add(DayOf { day, party, queue: whose.1 }, &used, today);
                }
            }
        }
    }

    /// Whose work a class is, in which queue, and thousandths of cores of one task.
    pub(crate) fn whose(&self, class: ClassId) -> (Whose, u64) {
        let class = &self.view.classes[class.0 as usize];
        ((class.party, class.queue), class.request.amounts.cpu_milli)
    }

    /// Counts something on the day of this entry.
    pub(crate) fn count(&mut self, whose: Whose, add: impl FnOnce(&mut Used)) {
        add(self.lookup.counted.entry(whose).or_default());
    }

    /// Puts down what was counted while an entry was applied.
    pub(crate) fn put_down_counted(&mut self) {
        if self.lookup.counted.is_empty() {
            return;
        }
        let today = day_of(self.core.clock.wall_ms);
        for ((party, queue), used) in std::mem::take(&mut self.lookup.counted) {
            self.core.ledger.add(DayOf { day: today, party, queue }, &used, today);
        }
    }
}
