//! Attempts that did not start: *ready* ones start as soon as possible, *held* ones in the place of another of their
//! group.

use crate::orders::Order;
use std::collections::{HashMap, VecDeque};

/// See the module.
#[derive(Default)]
pub(super) struct Prepared {
    ready: VecDeque<Order>,
    held: HashMap<u32, VecDeque<Order>>,
}

impl Prepared {
    pub(super) fn add(&mut self, order: Order) {
        let queue = if order.run { &mut self.ready } else { self.held.entry(order.group).or_default() };
        queue.push_back(order);
    }

    /// Makes a held one ready.
    pub(super) fn promote(&mut self, key: u64) {
        let held = self.take_held(key);
        self.ready.extend(held);
    }

    /// True if it was here.
    pub(super) fn remove(&mut self, key: u64) -> bool {
        self.take_held(key).is_some() || {
            let before = self.ready.len();
            self.ready.retain(|order| order.key != key);
            self.ready.len() < before
        }
    }

    fn take_held(&mut self, key: u64) -> Option<Order> {
        self.held.values_mut().find_map(|queue| {
            let at = queue.iter().position(|order| order.key == key)?;
            queue.remove(at)
        })
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next_ready(&mut self) -> Option<Order> {
        self.ready.pop_front()
    }

    /// The held one that takes the next vacant place of its group.
    pub(super) fn successor(&mut self, group: u32) -> Option<Order> {
        self.held.get_mut(&group).and_then(VecDeque::pop_front)
    }

    /// All of them, which leave.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Order> {
        let Prepared { ready, held } = std::mem::take(self);
        ready.into_iter().chain(held.into_values().flatten())
    }
}
