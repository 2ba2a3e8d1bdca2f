//! What counts against a share under fair share: what was used and is not forgotten, and what running tasks are yet to
//! use.
//!
//! A running task counts from its start with the length that is expected of it. Without that, the user who comes first
//! would get all that is free; and were it counted as if it ran on and on, what was used could never outweigh one slot
//! more or less, and few slots would never be shared by the weights.

use std::collections::BTreeMap;
use taskyard_model::party::recent_half_life_ms;
use taskyard_model::{AccountId, AccountView, ClassView, PartyId, PartyView, Usage, View, party, policy};

/// What somebody has of their share, as a number to compare: the least goes next.
pub(crate) type Used = u128;

/// A task is charged at least this length. A slot that changed hands for each shorter task would cost a round trip each
/// time.
const LENGTH_MS_MIN: u64 = 1_000;
/// The length of a task of which nothing is known, until the first of its class ends.
const LENGTH_MS_UNKNOWN: u64 = 60_000;
/// A task counts at most this part of the time over which what ran just now is remembered: beyond it, that could not
/// outweigh the task.
const REMEMBERED_PARTS: u64 = 16;

/// What runs, by whose it is. Each in units of [`Usage::past`].
#[derive(Default)]
pub(crate) struct Charges {
    users: BTreeMap<PartyId, Used>,
    accounts: BTreeMap<AccountId, Used>,
}

impl Charges {
    /// Of all that runs.
    pub(crate) fn of(view: &View) -> Charges {
        let mut charges = Charges::default();
        for class in view.classes.iter().filter(|class| class.running > 0) {
            let Some(party) = view.party(class.party) else { continue };
            let charge = of_tasks(view, class, class.running);
            *charges.users.entry(party.id).or_default() += charge;
            *charges.accounts.entry(party.account).or_default() += charge;
        }
        charges
    }

    /// What counts against an account's share.
    pub(crate) fn of_account(&self, view: &View, account: &AccountView) -> Used {
        past(view, &account.usage) + self.accounts.get(&account.id).copied().unwrap_or(0)
    }

    /// What counts against a user's share of the account.
    pub(crate) fn of_user(&self, view: &View, party: &PartyView) -> Used {
        past(view, &party.usage) + self.users.get(&party.id).copied().unwrap_or(0)
    }
}

fn past(view: &View, usage: &Usage) -> Used {
    usage.past(view.now_ms, view.half_life_ms)
}

/// What `count` tasks of a class are charged when they start.
pub(crate) fn of_tasks(view: &View, class: &ClassView, count: u32) -> Used {
    let typical_ms = class.typical_us.map(|us| us / 1_000);
    of_length(view, class, typical_ms.or(class.span.expected_ms()).unwrap_or(LENGTH_MS_UNKNOWN))
        * Used::from(count)
}

/// The least that a task of a class counts, whatever its length: by so much must shares differ before a slot changes
/// hands.
pub(crate) fn of_turn(view: &View, class: &ClassView) -> Used {
    of_length(view, class, LENGTH_MS_MIN)
}

fn of_length(view: &View, class: &ClassView, length_ms: u64) -> Used {
    // A longer task is charged for its first part only. Were it charged in full, what its user has used could never
    // outweigh one slot more or less: few slots would never change hands, and so never be shared by the weights.
    let length_ms =
        length_ms.max(LENGTH_MS_MIN).min(recent_half_life_ms(view.half_life_ms) / REMEMBERED_PARTS);
    // Never nothing, or work that asks for nothing would never yield.
    let size = policy::size(&class.request).max(1);
    Used::from(size) * Used::from(party::LEVEL_ONE) * Used::from(length_ms.max(1))
}
