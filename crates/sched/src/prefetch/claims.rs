//! Who may not be passed. A class that waits has a claim on every node that could ever take it: work of lower rank is neither held there
//! ahead of need nor left there, since a takeover would keep the resources from the one whose turn it is.

use super::shares::{Asks, KeyPair, Shares, Standing};
use crate::order::{Line, Rank, turn_of};
use crate::pass::Pass;
use std::cell::OnceCell;
use std::cmp::Ordering;
use taskyard_model::{ClassView, NodeView, PoolId};

/// Whether work of this rank, waiting, forbids that work of the other rank is held.
pub(crate) fn precedence(waits: Rank, held: Rank) -> Precedence {
    let over = |yes| if yes { Precedence::Before } else { Precedence::Behind };
    match (waits, held) {
        (Rank::Aged(mine), Rank::Aged(theirs)) => over(mine < theirs),
        (Rank::Aged(_), Rank::Queued { .. }) => Precedence::Before,
        (Rank::Queued { .. }, Rank::Aged(_)) => Precedence::Behind,
        (
            Rank::Queued { tier, queue, key, turn_of },
            Rank::Queued { tier: their_tier, queue: their_queue, key: their_key, turn_of: their_turn },
        ) => match tier.cmp(&their_tier) {
            Ordering::Less => Precedence::Before,
            Ordering::Greater => Precedence::Behind,
            Ordering::Equal if queue != their_queue || turn_of != their_turn => {
                Precedence::ByShare(KeyPair { waits: key, held: their_key })
            }
            Ordering::Equal => over(key < their_key),
        },
    }
}

/// Whether waiting work bars the holding of other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The waiting work is behind the held work.
    Behind,
    /// The waiting work is before the held work.
    Before,
    /// Whose turn it is follows what runs: see [`Shares::barred_by`]. With the places of both jobs in their queues.
    ByShare(KeyPair),
}

/// A class that waits and could not be placed, with the rank of its first job left.
pub(crate) struct Claim<'v> {
    pub(crate) class: &'v ClassView,
    pub(crate) rank: Rank,
    pub(crate) line: LineRef,
    pool: PoolId,
    /// What it has of its shares, once asked: for [`Asks::More`] and for [`Asks::Stay`].
    shares: OnceCell<[Option<Shares>; 2]>,
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
    standing: Standing<'v>,
}

impl<'v> Claims<'v> {
    pub(crate) fn of(pass: &mut Pass<'v>) -> Self {
        let mut claims = Vec::new();
        for queue in &mut pass.queues {
            queue.lane.complete(pass.view, queue.queue);
            queue.lane.lines.iter_mut().for_each(Line::rewind);
        }
        pass.aged.lines.iter_mut().for_each(Line::rewind);
        for (index, line) in pass.aged.lines.iter().enumerate() {
            let Some(age) = line.head else { continue };
            let pool = pass.view.pool_of(line.class);
            claims.push(Claim {
                class: line.class,
                rank: Rank::Aged(age),
                line: LineRef::Aged(index),
                pool,
                shares: OnceCell::new(),
            });
        }
        let aged: std::collections::BTreeSet<_> = claims.iter().map(|c| c.class.id).collect();
        for (lane, queue) in pass.queues.iter().enumerate() {
            let (tier, pool) = (std::cmp::Reverse(queue.queue.config.tier), queue.queue.pool);
            for (index, line) in queue.lane.lines.iter().enumerate() {
                let Some(key) = line.head else { continue };
                if aged.is_empty() || !aged.contains(&line.class.id) {
                    let turn_of = turn_of(pass.view, line.class);
                    let rank = Rank::Queued { tier, queue: queue.queue.id, key, turn_of };
                    claims.push(Claim {
                        class: line.class,
                        rank,
                        line: LineRef::Queued(lane, index),
                        pool,
                        shares: OnceCell::new(),
                    });
                }
            }
        }
        claims.sort_unstable_by_key(|c| c.rank);
        Claims { all: claims, standing: Standing::after(pass) }
    }

    /// Asks about work of a class that is or may be held.
    pub(crate) fn about<'c, 'h>(&'c self, class: &'h ClassView, asks: Asks) -> About<'c, 'h, 'v> {
        About { claims: self, class, asks, held: OnceCell::new() }
    }
}

/// A question about work of one class.
pub(crate) struct About<'c, 'h, 'v> {
    claims: &'c Claims<'v>,
    class: &'h ClassView,
    asks: Asks,
    /// What the class has of its shares, once needed.
    held: OnceCell<Option<Shares>>,
}

impl<'c, 'v> About<'c, '_, 'v> {
    /// Whether a claim is over work of this rank.
    pub(crate) fn is_under(&self, rank: Rank, claim: &Claim<'v>) -> bool {
        match precedence(claim.rank, rank) {
            Precedence::Behind => false,
            Precedence::Before => true,
            Precedence::ByShare(keys) => {
                let standing = &self.claims.standing;
                let held = self.held.get_or_init(|| standing.of_held(self.class));
                let waits = claim.shares.get_or_init(|| {
                    [Asks::More, Asks::Stay].map(|asks| standing.of_waiting(claim.class, asks))
                });
                let waits = &waits[usize::from(self.asks == Asks::Stay)];
                let shares = held.as_ref().zip(waits.as_ref());
                shares.is_none_or(|(held, waits)| held.barred_by(waits, keys, claim.rank < rank, self.asks))
            }
        }
    }

    /// The claims over work of this rank.
    pub(crate) fn over(&self, rank: Rank) -> Vec<&'c Claim<'v>> {
        self.claims.all.iter().filter(|claim| self.is_under(rank, claim)).collect()
    }
}

impl Claim<'_> {
    /// Whether the claim extends to a node: it could take the class, now or when others have left.
    pub(crate) fn is_on(&self, node: &NodeView) -> bool {
        node.pool == self.pool && node.could_hold(&self.class.request, &self.class.constraint).is_ok()
    }
}
