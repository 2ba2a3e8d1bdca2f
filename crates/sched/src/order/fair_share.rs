//! Turns by use: whose turn it is among the users of one queue, and which of their jobs is first.
//!
//! Under fair share, accounts take turns by what they have used lately and what they run ([`charges`]), against their
//! weights, and within an account its users do. Under DRF (Ghodsi et al., NSDI 2011) users take turns by their dominant
//! share. What a pass places counts at once. Of equals goes whose job is first.

use super::charges::{self, Charges, Used};
use super::key::{Key, PlacedTasks};
use super::line::ClassLine;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, binary_heap::PeekMut};
use taskyard_model::{
    AccountId, AccountView, Amounts, ClassView, PartyId, PartyView, Policy, QueueView, View,
};

/// The users of a queue, in accounts or all together.
pub(crate) struct Turns<K> {
    groups: Vec<ShareGroup<K>>,
    /// Of groups with something left.
    order: BinaryHeap<Reverse<(Used, K, usize)>>,
    measure: Measure,
}

/// An account; under DRF there is one, for all users.
struct ShareGroup<K> {
    used: Used,
    weight: u32,
    account: AccountId,
    members: Vec<ShareMember<K>>,
    order: BinaryHeap<Reverse<(Used, K, usize)>>,
}

/// A user on an account.
struct ShareMember<K> {
    used: Used,
    running: Amounts,
    gpu_milli: u64,
    weight: u32,
    heads: BinaryHeap<Reverse<(K, usize)>>,
}

/// By what turns are taken.
pub(crate) enum Measure {
    /// What was used lately and what runs, over time.
    Lately,
    /// The largest part of any one resource that runs now, of what the pool has.
    Dominant { all: Amounts, gpu_milli: u64 },
}

impl Measure {
    /// What a queue measures by.
    pub(crate) fn of_queue(view: &View, queue: &QueueView) -> Measure {
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

    fn of_member<K>(&self, member: &ShareMember<K>) -> Used {
        self.of(member.used, &member.running, member.gpu_milli, member.weight)
    }

    /// What a user has of their share: what they have used and run, in amounts and in GPUs.
    pub(crate) fn of(&self, used: Used, running: &Amounts, running_gpu_milli: u64, weight: u32) -> Used {
        match self {
            Measure::Lately => share(used, u64::from(weight)),
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
                (dominant << 20) / u128::from(weight.max(1))
            }
        }
    }
}

/// What was used against a weight, as a number to compare.
pub(crate) fn share(used: Used, weight: u64) -> Used {
    used.saturating_mul(1 << 16) / u128::from(weight.max(1))
}

impl<K: Key> Turns<K> {
    /// Of the lines of one queue.
    pub(crate) fn new(view: &View, queue: &QueueView, lines: &[ClassLine<'_, K>]) -> Self {
        let (policy, measure) = (queue.config.policy, Measure::of_queue(view, queue));
        let charges = if policy == Policy::FairShare { Charges::of(view) } else { Charges::default() };
        let mut groups: BTreeMap<AccountId, BTreeMap<PartyId, ShareMember<K>>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let (Some(key), Some(party)) = (line.head, view.party(line.class.party)) else { continue };
            let account = if policy == Policy::FairShare { party.account } else { AccountId(0) };
            let member = || ShareMember::of(party, view, &charges);
            let members = groups.entry(account).or_default();
            members.entry(party.id).or_insert_with(member).heads.push(Reverse((key, at)));
        }
        let group = |(account, members): (AccountId, BTreeMap<_, _>)| {
            ShareGroup::new(view, &measure, &charges, account, members.into_values().collect())
        };
        let groups: Vec<ShareGroup<K>> = groups.into_iter().map(group).collect();
        let place = |(at, group): (usize, &ShareGroup<K>)| Some(Reverse((group.share(), group.head()?, at)));
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
        let (request, charge) = (&class.request, charges::of_tasks(view, class, count));
        if let Some(mut first) = group.order.peek_mut() {
            let member = &mut group.members[first.0.2];
            member.used = member.used.saturating_add(charge);
            member.running.give_times(&request.amounts, count);
            member.gpu_milli += u64::from(request.gpu_milli) * u64::from(count);
            first.0.0 = measure.of_member(member);
        }
        group.used = group.used.saturating_add(charge);
        top.0.0 = group.share();
    }

    fn member(&mut self) -> Option<&mut ShareMember<K>> {
        let group = self.order.peek()?.0.2;
        let group = &mut self.groups[group];
        let member = group.order.peek()?.0.2;
        Some(&mut group.members[member])
    }
}

impl<K: Key> ShareGroup<K> {
    fn new(
        view: &View,
        measure: &Measure,
        charges: &Charges,
        account: AccountId,
        members: Vec<ShareMember<K>>,
    ) -> Self {
        let place = |(at, member): (usize, &ShareMember<K>)| {
            Some(Reverse((measure.of_member(member), member.head()?, at)))
        };
        let order = members.iter().enumerate().filter_map(place).collect();
        let known = view.accounts.get(account);
        let weight = known.map_or(1, |account: &AccountView| account.weight);
        // All of the account count, also those who have nothing waiting.
        let used = known.map_or(0, |account| charges.of_account(view, account));
        ShareGroup { used, weight, account, members, order }
    }

    /// Under DRF there is one group, and its share decides nothing.
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
            let heads = &mut self.members[top.0.2].heads;
            let Some(&Reverse((key, at))) = heads.peek() else {
                PeekMut::pop(top);
                continue;
            };
            if key != top.0.1 {
                top.0.1 = key;
            } else if lines[at].has_left(view, taken) {
                return Some(at);
            } else {
                step(heads, lines);
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
        Some(key) => head.0.0 = key.shifted(line.offset),
        None => drop(PeekMut::pop(head)),
    }
}

impl<K: Key> ShareMember<K> {
    fn of(party: &PartyView, view: &View, charges: &Charges) -> Self {
        ShareMember {
            used: charges.of_user(view, party),
            running: party.running.clone(),
            gpu_milli: party.running_gpu_milli,
            weight: party.weight,
            heads: BinaryHeap::new(),
        }
    }

    fn head(&self) -> Option<K> {
        self.heads.peek().map(|Reverse((key, _))| *key)
    }
}
