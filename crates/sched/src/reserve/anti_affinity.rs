//! From when on a node is expected to have no task of a class whose tasks run apart.

use super::allocator::Allocator;
use super::completions;
use std::collections::BTreeMap;
use taskyard_model::{ClassView, NodeView};

/// What is known of the tasks of one class. They are all of one job: such a class is not shared.
pub(crate) struct AntiAffinity<'v> {
    class: &'v ClassView,
    now_ms: u64,
    /// By value of the label by which they are apart.
    domains: BTreeMap<&'v str, Option<u64>>,
}

impl<'v> AntiAffinity<'v> {
    pub(crate) fn of(allocator: &Allocator<'v>, class: &'v ClassView) -> Self {
        let mut apart =
            AntiAffinity { class, now_ms: allocator.capacity.view.now_ms, domains: BTreeMap::new() };
        if class.affinity.apart_by.is_none() {
            return apart;
        }
        for (index, node) in (0u32..).zip(&allocator.capacity.view.nodes) {
            if let Some(domain) = class.affinity.domain(&node.labels) {
                let until = gone(allocator, index, node, class);
                let all = apart.domains.entry(domain).or_insert(Some(apart.now_ms));
                *all = all.zip(until).map(|(one, other)| one.max(other));
            }
        }
        apart
    }

    /// From when on another task of the class may be on a node (an index): now, if nothing is in the way; `None` if
    /// that is unknown.
    pub(crate) fn since_ms(&self, allocator: &Allocator<'v>, node: u32) -> Option<u64> {
        if !self.class.affinity.is_apart() {
            return Some(self.now_ms);
        }
        let view = &allocator.capacity.view.nodes[node as usize];
        match self.class.affinity.domain(&view.labels).and_then(|domain| self.domains.get(domain)) {
            Some(domain) => *domain,
            None => gone(allocator, node, view, self.class),
        }
    }
}

/// When all tasks of a class are expected to have left a node: now, if there are none.
fn gone(allocator: &Allocator<'_>, index: u32, node: &NodeView, class: &ClassView) -> Option<u64> {
    let now_ms = allocator.capacity.view.now_ms;
    let here = node.by_class.get(&class.id).map_or(0, |here| here.running + here.prefetched);
    let (mut known, mut last_ms) = (0, now_ms);
    for (at_ms, count) in completions::of_class(allocator.capacity.view, node, class) {
        known += count;
        last_ms = last_ms.max(at_ms);
    }
    let expected = |from_ms: u64| Some(from_ms.saturating_add(class.span.expected_ms()?));
    if known < here {
        return None;
    }
    if allocator.capacity.placed(index).is_some_and(|placed| placed.has_apart(class.id)) {
        last_ms = last_ms.max(expected(now_ms)?);
    }
    for reserved in allocator.reservations.made.iter().filter(|reserved| reserved.node == index) {
        if allocator.capacity.view.jobs.get(&reserved.job).is_some_and(|job| job.class == class.id) {
            last_ms = last_ms.max(expected(reserved.at_ms)?);
        }
    }
    Some(last_ms)
}
