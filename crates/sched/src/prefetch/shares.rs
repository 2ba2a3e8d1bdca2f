//! Who has how much of their share at the end of a pass: users and accounts that take turns, and queues of one tier. It
//! says whether work of one may be held ahead of need while another waits.
//!
//! A slot that passes from a task to the next of the same class leaves the shares as they are. So work may be held for
//! a user who would get the slot anyway: one who has no more than the other once one of their tasks ends. It is taken
//! back when they would still have more after a slot had gone from them to the other. What lies between is left alone,
//! or work would be handed out and asked back in turns.

use crate::order::charges::{self, Charges, Used};
use crate::order::measure::{Measure, UserShare, counted, share};
use crate::order::{FairShares, Key};
use crate::pass::Pass;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use taskyard_model::{
    AccountId, AccountView, Amounts, ClassView, OrderKey, PartyId, PartyView, Policy, QueueId, QueueView,
    View,
};

/// Which step asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Whether more may be held.
    Fill,
    /// Whether what is held may stay.
    Recall,
}

/// The places of two jobs in their queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPair {
    pub(crate) waits: OrderKey,
    pub(crate) prefetched: OrderKey,
}

/// What the queue, the account and the user of a class have of their shares, with some tasks more or less.
#[derive(Clone, Copy)]
pub(crate) struct ClassShares<'v> {
    queue: (QueueId, Used),
    /// Where accounts take turns.
    account: Option<(AccountId, Used)>,
    /// Where users take turns.
    user: Option<UserShare>,
    /// Where ranks and the share decide together.
    factor: Option<FactorShare<'v>>,
}

/// What a user has of the fair share, where that is one factor of several.
#[derive(Clone, Copy)]
struct FactorShare<'v> {
    party: &'v PartyView,
    points: i32,
    fair: FairShares<'v>,
    /// With some tasks more or less.
    used: u64,
    /// What one task counts.
    task: u64,
}

impl FactorShare<'_> {
    /// What is taken off the ranks of their jobs, where all use so much.
    fn offset(&self, all: u64) -> i128 {
        if self.points == 0 { 0 } else { self.fair.with_all(all).offset(self.points, self.party, self.used) }
    }
}

impl ClassShares<'_> {
    /// Whether waiting work bars that work is held, where both are of one tier. `self` is of what is held, with one
    /// task less. `first`: the waiting work would be next if both had the same.
    pub(crate) fn barred_by(
        &self,
        waits: &ClassShares<'_>,
        keys: KeyPair,
        first: bool,
        purpose: Purpose,
    ) -> bool {
        // The outermost level on which they differ decides, as in a pass: queues take turns, in them accounts, in these
        // users.
        let order = match (self, waits) {
            (mine, theirs) if mine.queue.0 != theirs.queue.0 => mine.queue.1.cmp(&theirs.queue.1),
            (ClassShares { factor: Some(mine), .. }, ClassShares { factor: Some(theirs), .. }) => {
                // A slot that becomes free is used by neither until it is given away: else what both have used lately
                // would not count beside what runs, as it does when a pass gives the slot away.
                let freed = if purpose == Purpose::Fill { mine.task } else { 0 };
                let all = mine.fair.used().saturating_sub(freed);
                return keys.waits.shifted(theirs.offset(all)) < keys.prefetched.shifted(mine.offset(all));
            }
            (ClassShares { account: Some(mine), .. }, ClassShares { account: Some(theirs), .. })
                if mine.0 != theirs.0 =>
            {
                mine.1.cmp(&theirs.1)
            }
            (ClassShares { user: Some(mine), .. }, ClassShares { user: Some(theirs), .. }) => {
                mine.cmp(theirs)
            }
            _ => return true,
        };
        // Of equals the first goes first, so nothing is added for the other. But it is no reason to take back what is
        // there.
        match order {
            Ordering::Greater => true,
            Ordering::Equal => first && purpose == Purpose::Fill,
            Ordering::Less => false,
        }
    }
}

/// What somebody uses, in tasks that run and were placed in the pass.
#[derive(Clone, Default)]
struct Consumption {
    /// In units of [`taskyard_model::Usage::counted`].
    used: u64,
    /// What counts under fair share, and under DRF between equals.
    charged: Used,
    running: Amounts,
    gpu_milli: u64,
}

/// Shares of users, accounts and queues: as the view has them, and what the pass has placed since.
pub(crate) struct ShareLedger<'v> {
    view: &'v View,
    /// What the pass has placed, by user.
    users: BTreeMap<PartyId, Consumption>,
    /// Likewise by account: [`Consumption::charged`].
    accounts: BTreeMap<AccountId, Used>,
    /// Likewise by queue: thousandths of cores.
    queues: BTreeMap<QueueId, u64>,
    /// Of queues whose users take turns.
    measures: BTreeMap<QueueId, Measure<'v>>,
    /// Once asked.
    fair: OnceCell<FairShares<'v>>,
    charges: OnceCell<Charges>,
}

impl<'v> ShareLedger<'v> {
    /// As a view has it.
    pub(crate) fn of(view: &'v View) -> Self {
        let turns = |queue: &&QueueView| matches!(queue.config.policy, Policy::FairShare | Policy::Drf);
        let measures =
            view.queues.iter().filter(turns).map(|queue| (queue.id, Measure::of_queue(view, queue)));
        ShareLedger {
            view,
            users: BTreeMap::new(),
            accounts: BTreeMap::new(),
            queues: BTreeMap::new(),
            measures: measures.collect(),
            fair: OnceCell::new(),
            charges: OnceCell::new(),
        }
    }

    /// At the end of a pass.
    pub(crate) fn after(pass: &Pass<'v>) -> Self {
        let mut ledger = ShareLedger::of(pass.view);
        for (class, count) in pass.placements.by_job(pass.view) {
            ledger.users.entry(class.party).or_default().add(pass.view, class, count);
            if let Some(party) = pass.view.party(class.party) {
                *ledger.accounts.entry(party.account).or_default() +=
                    charges::of_tasks(pass.view, class, count);
            }
            *ledger.queues.entry(class.queue).or_default() +=
                class.request.amounts.cpu_milli.saturating_mul(u64::from(count));
        }
        ledger
    }

    /// Of a class that holds work, with one of its tasks less: what it has when a slot becomes free.
    pub(crate) fn of_prefetched(&self, class: &ClassView) -> Option<ClassShares<'v>> {
        self.shares(class, 1, 0, 0)
    }

    /// Of a class that waits, with the margin by which it must be behind before work is taken back for it.
    pub(crate) fn of_waiting(&self, class: &ClassView, purpose: Purpose) -> Option<ClassShares<'v>> {
        let queue = self.view.queue(class.queue)?;
        // What was used drifts with time, and shares that are no whole slots never rest. So that slots change hands
        // seldom, fair share has a margin for both questions. It is one turn and not the length of the next task: work
        // of which no length is known yet is charged a long one, and would not get its first slot while shorter work
        // hands on its own.
        let margin = match queue.config.policy {
            Policy::FairShare => charges::of_turn(self.view, class),
            _ => 0,
        };
        self.shares(class, 0, u32::from(purpose == Purpose::Recall), margin)
    }

    /// What a class has with `less` or `more` of its tasks, and with a `margin` to what is charged under fair share.
    fn shares(&self, class: &ClassView, less: u32, more: u32, margin: Used) -> Option<ClassShares<'v>> {
        let queue = self.view.queue(class.queue)?;
        let party = self.view.party(class.party)?;
        let by_past = queue.config.policy == Policy::FairShare;
        let cores = moved(self.of_queue(queue), class.request.amounts.cpu_milli, less, more);
        let account = || {
            let account = self.view.accounts.get(party.account)?;
            let charged = self.of_account(account).saturating_sub(charges::of_tasks(self.view, class, less));
            Some((account.id, share(charged.saturating_add(margin), account.weight.into())))
        };
        let user = self.measures.get(&queue.id).map(|measure| {
            let mut has = self.of_user(party);
            has.take(self.view, class, less);
            has.add(self.view, class, if by_past { 0 } else { more });
            has.charged = has.charged.saturating_add(margin);
            measure.of(has.charged, &has.running, has.gpu_milli, party.weight)
        });
        let factor = || {
            let task = counted(&class.request, 1);
            FactorShare {
                party,
                points: queue.config.factors.unwrap_or_default().fair_share,
                fair: *self.fair.get_or_init(|| self.fair_after()),
                used: moved(self.used_by(party), task, less, more),
                task,
            }
        };
        Some(ClassShares {
            factor: (queue.config.policy == Policy::MultiFactor).then(factor),
            queue: (queue.id, share(cores.into(), queue.config.weight.into())),
            account: by_past.then(account).flatten(),
            user,
        })
    }

    /// With what the pass has placed.
    fn fair_after(&self) -> FairShares<'v> {
        let fair = FairShares::new(self.view);
        fair.with_all(self.users.values().fold(fair.used(), |sum, has| sum.saturating_add(has.used)))
    }

    fn of_queue(&self, queue: &QueueView) -> u64 {
        queue.running_cpu_milli.saturating_add(self.queues.get(&queue.id).copied().unwrap_or(0))
    }

    fn of_account(&self, account: &AccountView) -> Used {
        let placed = self.accounts.get(&account.id).copied().unwrap_or(0);
        self.charges().of_account(self.view, account).saturating_add(placed)
    }

    fn charges(&self) -> &Charges {
        self.charges.get_or_init(|| Charges::of(self.view))
    }

    fn used_by(&self, party: &PartyView) -> u64 {
        let placed = self.users.get(&party.id).map_or(0, |has| has.used);
        placed.saturating_add(party.usage.counted(self.view.now_ms, self.view.half_life_ms))
    }

    fn of_user(&self, party: &PartyView) -> Consumption {
        let mut has = self.users.get(&party.id).cloned().unwrap_or_default();
        has.charged = has.charged.saturating_add(self.charges().of_user(self.view, party));
        has.used = self.used_by(party);
        has.running.give(&party.running);
        has.gpu_milli += party.running_gpu_milli;
        has
    }
}

impl Consumption {
    fn add(&mut self, view: &View, class: &ClassView, count: u32) {
        let request = &class.request;
        self.charged = self.charged.saturating_add(charges::of_tasks(view, class, count));
        self.used = self.used.saturating_add(counted(request, count));
        self.running.give_times(&request.amounts, count);
        self.gpu_milli += u64::from(request.gpu_milli) * u64::from(count);
    }

    fn take(&mut self, view: &View, class: &ClassView, count: u32) {
        let request = &class.request;
        self.charged = self.charged.saturating_sub(charges::of_tasks(view, class, count));
        self.used = self.used.saturating_sub(counted(request, count));
        self.gpu_milli = self.gpu_milli.saturating_sub(u64::from(request.gpu_milli) * u64::from(count));
        for _ in 0..count {
            // Work is held also where the class's last task has just ended.
            if self.running.has(&request.amounts) {
                self.running.take(&request.amounts);
            }
        }
    }
}

/// What there is with some tasks less and some more.
fn moved(all: u64, one: u64, less: u32, more: u32) -> u64 {
    all.saturating_sub(one.saturating_mul(less.into())).saturating_add(one.saturating_mul(more.into()))
}
