//! By what users of a queue take turns, and what counts against them.

use super::charges::{self, Charges, Used};
use super::factors::FairShares;
use taskyard_model::{Amounts, ClassView, PartyView, Policy, QueueView, Request, View, party, policy};

/// What all use may grow by this part of itself before the offsets of all users are computed again. A user's own
/// offset is computed at each placement, so this bounds only how much the others' are behind.
const GROWTH_PARTS: u64 = 256;

/// What a user has of their share: the least goes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserShare {
    share: Used,
    /// Decides between equals.
    lately: Used,
}

/// By what turns are taken.
pub(crate) enum Measure<'v> {
    /// What was used lately and what runs, over time.
    Lately,
    /// The largest part of any one resource that runs now, of what the pool has; where that is the same, what was used
    /// lately.
    Dominant { all: Amounts, gpu_milli: u64 },
    /// The ranks of jobs, less what the fair share of their user is worth.
    Factors {
        /// For all of the share.
        points: i32,
        fair: FairShares<'v>,
        /// What all used when the offsets of all were computed last.
        settled: u64,
    },
}

impl<'v> Measure<'v> {
    /// What a queue measures by.
    pub(crate) fn of_queue(view: &'v View, queue: &QueueView) -> Measure<'v> {
        if queue.config.policy == Policy::MultiFactor {
            let points = queue.config.factors.unwrap_or_default().fair_share;
            let fair = FairShares::new(view);
            return Measure::Factors { points, fair, settled: fair.used() };
        }
        if queue.config.policy != Policy::Drf {
            return Measure::Lately;
        }
        let mut all = Amounts::default();
        let mut gpus = 0;
        for node in view.nodes.iter().filter(|node| node.pool == queue.pool && node.status.is_alive()) {
            all.give(&node.capacity.amounts);
            gpus += u64::from(node.capacity.gpus);
        }
        Measure::Dominant { all, gpu_milli: gpus * 1_000 }
    }

    /// What a user has used, in the unit of [`Measure::charge`].
    pub(super) fn used(&self, view: &View, charges: &Charges, party: &PartyView) -> Used {
        match self {
            Measure::Lately | Measure::Dominant { .. } => charges.of_user(view, party),
            Measure::Factors { .. } => party.usage.counted(view.now_ms, view.half_life_ms).into(),
        }
    }

    /// What some tasks of a class add to it.
    pub(super) fn charge(&self, view: &View, class: &ClassView, count: u32) -> Used {
        match self {
            Measure::Lately | Measure::Dominant { .. } => charges::of_tasks(view, class, count),
            Measure::Factors { .. } => counted(&class.request, count).into(),
        }
    }

    /// Counts what was placed. Says whether the offsets of all users must be computed again.
    pub(super) fn adds(&mut self, charge: Used) -> bool {
        let Measure::Factors { fair, settled, .. } = self else { return false };
        *fair = fair.with_all(fair.used().saturating_add(u64::try_from(charge).unwrap_or(u64::MAX)));
        let due = fair.used() - *settled > *settled / GROWTH_PARTS;
        if due {
            *settled = fair.used();
        }
        due
    }

    /// What is taken off the ranks of a user's jobs who has used so much.
    pub(super) fn offset(&self, party: &PartyView, used: Used) -> i128 {
        match self {
            Measure::Factors { points, fair, .. } if *points != 0 => {
                fair.offset(*points, party, u64::try_from(used).unwrap_or(u64::MAX))
            }
            _ => 0,
        }
    }

    /// What a user has of their share: what they have used and run, in amounts and in GPUs.
    pub(crate) fn of(&self, used: Used, running: &Amounts, running_gpu_milli: u64, weight: u32) -> UserShare {
        match self {
            Measure::Lately => UserShare { share: share(used, weight.into()), lately: 0 },
            Measure::Dominant { all, gpu_milli } => {
                let part = |there: u64, all: u64| (u128::from(there) << 40) / u128::from(all.max(1));
                let named = running
                    .named
                    .iter()
                    .map(|(name, there)| part(*there, all.named.get(name).copied().unwrap_or(0)));
                let parts = [
                    part(running.cpu_milli, all.cpu_milli),
                    part(running.memory, all.memory),
                    part(running_gpu_milli, *gpu_milli),
                ];
                let dominant = parts.into_iter().chain(named).max().unwrap_or(0);
                // Users who share one slot have equal shares whenever it becomes free. If the first job decided then,
                // its user would get the slot each time.
                UserShare {
                    share: (dominant << 20) / u128::from(weight.max(1)),
                    lately: share(used, weight.into()),
                }
            }
            // Their ranks decide.
            Measure::Factors { .. } => UserShare::default(),
        }
    }
}

/// What was used against a weight, as a number to compare.
pub(crate) fn share(used: Used, weight: u64) -> Used {
    used.saturating_mul(1 << 16) / u128::from(weight.max(1))
}

/// What `count` tasks count, in units of [`taskyard_model::Usage::counted`].
pub(crate) fn counted(request: &Request, count: u32) -> u64 {
    policy::size(request).saturating_mul(u64::from(count)).saturating_mul(party::LEVEL_ONE)
}
