//! Who may not be passed. A class that waits has a claim on every node that could ever take it: work of lower rank is
//! neither prefetched there nor left there, since a takeover would keep the resources from the class whose turn it is.

use super::shares::{ClassShares, KeyPair, Purpose, ShareLedger};
use crate::order::{ClassLine, Rank, turn_of};
use crate::pass::Pass;
use std::cell::OnceCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use taskyard_model::{ClassView, NodeView, PoolId};

/// Whether waiting work bars the holding of other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The waiting work is behind the held work.
    Behind,
    /// The waiting work is before the held work.
    Before,
    /// Whose turn it is follows what they use: see [`ClassShares::barred_by`]. With the places of both jobs in their
    /// queues.
    ByShare(KeyPair),
}

/// Whether work of one rank, waiting, bars that work of another rank is held.
pub(crate) fn precedence(waits: Rank, prefetched: Rank) -> Precedence {
    let before = |yes| if yes { Precedence::Before } else { Precedence::Behind };
    match (waits, prefetched) {
        (Rank::Aged(waits), Rank::Aged(prefetched)) => before(waits < prefetched),
        (Rank::Aged(_), Rank::Queued { .. }) => Precedence::Before,
        (Rank::Queued { .. }, Rank::Aged(_)) => Precedence::Behind,
        (
            Rank::Queued { tier, queue, key, turn_of },
            Rank::Queued {
                tier: prefetched_tier,
                queue: prefetched_queue,
                key: prefetched_key,
                turn_of: prefetched_turn_of,
            },
        ) => match tier.cmp(&prefetched_tier) {
            Ordering::Less => Precedence::Before,
            Ordering::Greater => Precedence::Behind,
            Ordering::Equal if queue != prefetched_queue || turn_of != prefetched_turn_of => {
                Precedence::ByShare(KeyPair { waits: key, prefetched: prefetched_key })
            }
            Ordering::Equal => before(key < prefetched_key),
        },
    }
}

/// A class that waits and could not be placed, with the rank of its first job left.
pub(crate) struct Claim<'v> {
    pub(crate) class: &'v ClassView,
    pub(crate) rank: Rank,
    pub(crate) line: LineRef,
    pool: PoolId,
    /// What it has of its shares, once asked: for [`Purpose::Fill`] and for [`Purpose::Recall`].
    shares: OnceCell<[Option<ClassShares<'v>>; 2]>,
}

/// Where the pass left the class's line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineRef {
    /// Among the aged.
    Aged(usize),
    /// In the lane of a queue.
    Queued(usize, usize),
}

/// All claims at the end of a pass, in order of rank.
pub(crate) struct Claims<'v> {
    pub(crate) all: Vec<Claim<'v>>,
    ledger: ShareLedger<'v>,
}

impl<'v> Claims<'v> {
    pub(crate) fn of(pass: &mut Pass<'v>) -> Self {
        let mut claims = Vec::new();
        for queue in &mut pass.queues {
            // The pass makes lines only for what it reaches, but what it did not reach waits too. And what has a
            // reserved start waits until then.
            queue.lane.complete(pass.view, queue.queue);
            queue.lane.lines.iter_mut().for_each(ClassLine::rewind);
        }
        pass.aged.lines.iter_mut().for_each(ClassLine::rewind);
        for (index, line) in pass.aged.lines.iter().enumerate() {
            let Some(age) = line.head else { continue };
            let pool = pass.view.pool_of(line.class);
            claims.push(Claim::new(line.class, Rank::Aged(age), LineRef::Aged(index), pool));
        }
        // A class has one claim. That of an aged job ranks before what the class has in its queue.
        let aged: BTreeSet<_> = claims.iter().map(|c| c.class.id).collect();
        for (lane, queue) in pass.queues.iter().enumerate() {
            let (tier, pool) = (Reverse(queue.queue.config.tier), queue.queue.pool);
            for (index, line) in queue.lane.lines.iter().enumerate() {
                let Some(key) = line.head else { continue };
                if aged.is_empty() || !aged.contains(&line.class.id) {
                    let turn_of = turn_of(pass.view, line.class);
                    let rank = Rank::Queued { tier, queue: queue.queue.id, key, turn_of };
                    claims.push(Claim::new(line.class, rank, LineRef::Queued(lane, index), pool));
                }
            }
        }
        claims.sort_unstable_by_key(|c| c.rank);
        Claims { all: claims, ledger: ShareLedger::after(pass) }
    }

    /// Asks which claims are over work of a class that is or may be held.
    pub(crate) fn against<'c, 'h>(
        &'c self,
        class: &'h ClassView,
        purpose: Purpose,
    ) -> ClaimQuery<'c, 'h, 'v> {
        ClaimQuery { claims: self, class, purpose, prefetched: OnceCell::new() }
    }
}

/// A question about work of one class. Shares are computed once for all its jobs and all claims.
pub(crate) struct ClaimQuery<'c, 'h, 'v> {
    claims: &'c Claims<'v>,
    class: &'h ClassView,
    purpose: Purpose,
    /// What the class has of its shares, once needed.
    prefetched: OnceCell<Option<ClassShares<'v>>>,
}

impl<'c, 'v> ClaimQuery<'c, '_, 'v> {
    /// Whether work of this rank must yield to a claim.
    pub(crate) fn yields_to(&self, claim: &Claim<'v>, rank: Rank) -> bool {
        match precedence(claim.rank, rank) {
            Precedence::Behind => false,
            Precedence::Before => true,
            Precedence::ByShare(keys) => {
                let ledger = &self.claims.ledger;
                let prefetched = self.prefetched.get_or_init(|| ledger.of_prefetched(self.class));
                let waits = claim.shares.get_or_init(|| {
                    [Purpose::Fill, Purpose::Recall].map(|purpose| ledger.of_waiting(claim.class, purpose))
                });
                let waits = &waits[usize::from(self.purpose == Purpose::Recall)];
                // Without shares to compare, work is rather not held than held in the way of others.
                let shares = prefetched.as_ref().zip(waits.as_ref());
                shares.is_none_or(|(prefetched, waits)| {
                    prefetched.barred_by(waits, keys, claim.rank < rank, self.purpose)
                })
            }
        }
    }

    /// The claims to which work of this rank must yield.
    pub(crate) fn over(&self, rank: Rank) -> Vec<&'c Claim<'v>> {
        self.claims.all.iter().filter(|claim| self.yields_to(claim, rank)).collect()
    }
}

impl<'v> Claim<'v> {
    fn new(class: &'v ClassView, rank: Rank, line: LineRef, pool: PoolId) -> Self {
        Claim { class, rank, line, pool, shares: OnceCell::new() }
    }

    /// Whether the claim extends to a node: it could take the class, now or when others have left.
    pub(crate) fn is_on(&self, node: &NodeView) -> bool {
        node.pool == self.pool && node.could_hold(&self.class.request, &self.class.constraint).is_ok()
    }
}
