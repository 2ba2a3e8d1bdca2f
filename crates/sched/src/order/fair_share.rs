//! Turns by use: whose turn it is among the users of one queue, and which of their jobs is first.
//!
//! Under fair share, accounts take turns by what they have used lately and what they run ([`charges`]), against their
//! weights, and within an account its users do. Under DRF (Ghodsi et al., NSDI 2011) users take turns by their dominant
//! share, and those with equal ones by what they have used lately. Where the share is one factor of several, it moves
//! all jobs of a user against those of others. What a pass places counts at once. Of equals goes whose job is first.

use super::charges::{Charges, Used};
use super::key::{Key, PlacedTasks};
use super::line::ClassLine;
use super::measure::{Measure, UserShare, share};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, binary_heap::PeekMut};
use taskyard_model::{
    AccountId, AccountView, Amounts, ClassView, PartyId, PartyView, Policy, QueueView, View,
};

/// The users of a queue, in accounts or all together.
pub(crate) struct Turns<'v, K> {
    groups: Vec<ShareGroup<'v, K>>,
    /// Of groups with something left.
    order: BinaryHeap<Reverse<(Used, K, usize)>>,
    measure: Measure<'v>,
}

/// An account; where accounts take no turns there is one, for all users.
struct ShareGroup<'v, K> {
    used: Used,
    weight: u32,
    account: AccountId,
    members: Vec<ShareMember<'v, K>>,
    order: BinaryHeap<Reverse<(UserShare, K, usize)>>,
}

/// A user on an account.
struct ShareMember<'v, K> {
    party: &'v PartyView,
    used: Used,
    running: Amounts,
    gpu_milli: u64,
    /// What is taken off the ranks of their jobs.
    offset: i128,
    heads: BinaryHeap<Reverse<(K, usize)>>,
}

impl<'v, K: Key> Turns<'v, K> {
    /// Of the lines of one queue.
    pub(crate) fn new(view: &'v View, queue: &QueueView, lines: &[ClassLine<'_, K>]) -> Self {
        let (policy, measure) = (queue.config.policy, Measure::of_queue(view, queue));
        let charges = match policy {
            Policy::FairShare | Policy::Drf => Charges::of(view),
            _ => Charges::default(),
        };
        let mut groups: BTreeMap<AccountId, BTreeMap<PartyId, ShareMember<'v, K>>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let (Some(key), Some(party)) = (line.head, view.party(line.class.party)) else { continue };
            let account = if policy == Policy::FairShare { party.account } else { AccountId(0) };
            let member = || ShareMember::of(party, measure.used(view, &charges, party), &measure);
            let members = groups.entry(account).or_default();
            members.entry(party.id).or_insert_with(member).heads.push(Reverse((key, at)));
        }
        let group = |(account, members): (AccountId, BTreeMap<_, _>)| {
            ShareGroup::new(view, &measure, &charges, account, members.into_values().collect())
        };
        let groups: Vec<ShareGroup<'v, K>> = groups.into_iter().map(group).collect();
        let place =
            |(at, group): (usize, &ShareGroup<'v, K>)| Some(Reverse((group.share(), group.head()?, at)));
        let order = groups.iter().enumerate().filter_map(place).collect();
        Turns { groups, order, measure }
    }

    /// The line whose job is next and has something left.
    pub(crate) fn next(
        &mut self,
        lines: &mut [ClassLine<'_, K>],
        view: &View,
        taken: &PlacedTasks,
    ) -> Option<usize> {
        loop {
            let mut top = self.order.peek_mut()?;
            let group = &mut self.groups[top.0.2];
            let Some(at) = group.next(lines, view, taken) else {
                PeekMut::pop(top);
                continue;
            };
            let Some(key) = group.head().filter(|key| *key != top.0.1) else { return Some(at) };
            // Its first job is another one by now: among equals it may be another's turn.
            top.0.1 = key;
        }
    }

    /// The user who is next goes on to their next job.
    pub(crate) fn step(&mut self, lines: &mut [ClassLine<'_, K>]) {
        if let Some(member) = self.member() {
            step(&mut member.heads, lines);
        }
    }

    /// The next line leaves.
    pub(crate) fn block(&mut self) {
        if let Some(member) = self.member() {
            member.heads.pop();
        }
    }

    /// The user who is next got some tasks of a class.
    pub(crate) fn placed(&mut self, view: &View, class: &ClassView, count: u32) {
        // Only the top of each heap changes, so the heaps put it in its new place when the borrow ends.
        let Turns { groups, order, measure } = self;
        let Some(mut top) = order.peek_mut() else { return };
        let group = &mut groups[top.0.2];
        let (request, charge) = (&class.request, measure.charge(view, class, count));
        if let Some(mut first) = group.order.peek_mut() {
            let member = &mut group.members[first.0.2];
            member.used = member.used.saturating_add(charge);
            member.running.give_times(&request.amounts, count);
            member.gpu_milli += u64::from(request.gpu_milli) * u64::from(count);
            member.offset = measure.offset(member.party, member.used);
            first.0.0 = member.share(measure);
            first.0.1 = member.head().unwrap_or(first.0.1);
        }
        group.used = group.used.saturating_add(charge);
        if measure.adds(charge) {
            group.settle(measure);
        }
        top.0.0 = group.share();
    }

    fn member(&mut self) -> Option<&mut ShareMember<'v, K>> {
        let group = self.order.peek()?.0.2;
        let group = &mut self.groups[group];
        let member = group.order.peek()?.0.2;
        Some(&mut group.members[member])
    }
}

impl<'v, K: Key> ShareGroup<'v, K> {
    fn new(
        view: &View,
        measure: &Measure<'v>,
        charges: &Charges,
        account: AccountId,
        members: Vec<ShareMember<'v, K>>,
    ) -> Self {
        let known = view.accounts.get(account);
        let weight = known.map_or(1, |account: &AccountView| account.weight);
        // All of the account count, also those who have nothing waiting.
        let used = known.map_or(0, |account| charges.of_account(view, account));
        let mut group = ShareGroup { used, weight, account, members, order: BinaryHeap::new() };
        group.settle(measure);
        group
    }

    /// Brings all members to their place.
    fn settle(&mut self, measure: &Measure<'v>) {
        self.members.iter_mut().for_each(|member| member.offset = measure.offset(member.party, member.used));
        let place = |(at, member): (usize, &ShareMember<'v, K>)| {
            Some(Reverse((member.share(measure), member.head()?, at)))
        };
        self.order = self.members.iter().enumerate().filter_map(place).collect();
    }

    /// Where there is one group, its share decides nothing.
    fn share(&self) -> Used {
        if self.account == AccountId(0) { 0 } else { share(self.used, u64::from(self.weight)) }
    }

    /// The first job of whose turn it is.
    fn head(&self) -> Option<K> {
        self.order.peek().map(|Reverse((_, key, _))| *key)
    }

    fn next(&mut self, lines: &mut [ClassLine<'_, K>], view: &View, taken: &PlacedTasks) -> Option<usize> {
        loop {
            let mut top = self.order.peek_mut()?;
            let member = &mut self.members[top.0.2];
            let (Some(key), Some(&Reverse((_, at)))) = (member.head(), member.heads.peek()) else {
                PeekMut::pop(top);
                continue;
            };
            if key != top.0.1 {
                top.0.1 = key;
            } else if lines[at].has_left(view, taken) {
                return Some(at);
            } else {
                step(&mut member.heads, lines);
            }
        }
    }
}

/// The first of some heads goes on to its next job.
fn step<K: Key>(heads: &mut BinaryHeap<Reverse<(K, usize)>>, lines: &mut [ClassLine<'_, K>]) {
    let Some(mut head) = heads.peek_mut() else { return };
    let line = &mut lines[head.0.1];
    line.next_job();
    match line.head {
        Some(key) => head.0.0 = key,
        None => drop(PeekMut::pop(head)),
    }
}

impl<'v, K: Key> ShareMember<'v, K> {
    fn of(party: &'v PartyView, used: Used, measure: &Measure<'v>) -> Self {
        ShareMember {
            party,
            used,
            running: party.running.clone(),
            gpu_milli: party.running_gpu_milli,
            offset: measure.offset(party, used),
            heads: BinaryHeap::new(),
        }
    }

    fn share(&self, measure: &Measure<'v>) -> UserShare {
        measure.of(self.used, &self.running, self.gpu_milli, self.party.weight)
    }

    /// The place of their first job among those of others.
    fn head(&self) -> Option<K> {
        self.heads.peek().map(|Reverse((key, _))| key.shifted(self.offset))
    }
}
