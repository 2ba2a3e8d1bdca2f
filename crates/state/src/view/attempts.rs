//! AttemptGroup on nodes: how many, what they take, and when they are expected to end.

use super::PlannerView;
use crate::class::Class;
use taskyard_model::resources::place_gpus;
use taskyard_model::view::OnNode;
use taskyard_model::{ClassId, ClassView, JobId, NodeId};

/// AttemptGroup of one job on one node.
#[derive(Clone, Copy)]
pub(crate) struct AttemptGroup {
    pub(crate) node: NodeId,
    pub(crate) job: JobId,
    pub(crate) class: ClassId,
    pub(crate) count: u32,
    /// Held ahead of need, not running.
    pub(crate) prefetched: bool,
}

/// Running attempts of a class on a node that began at the same state time.
#[derive(Clone, Copy)]
pub(crate) struct Began {
    pub(crate) node: NodeId,
    pub(crate) class: ClassId,
    pub(crate) since_ms: u64,
}

impl PlannerView {
    /// Counts attempts that a node was given.
    pub(crate) fn add_attempts(&mut self, attempts: AttemptGroup) {
        let count = attempts.count;
        self.count_attempts(attempts, |n| *n += count);
    }

    /// Counts attempts that a node no longer has.
    pub(crate) fn remove_attempts(&mut self, attempts: AttemptGroup) {
        let count = attempts.count;
        self.count_attempts(attempts, |n| *n -= count);
    }

    fn count_attempts(&mut self, attempts: AttemptGroup, change: impl Fn(&mut u32)) {
        let AttemptGroup { node, job, class, prefetched, .. } = attempts;
        let on_node = &mut self.0.nodes[node];
        let on_class = on_node.by_class.entry(class).or_default();
        if prefetched {
            change(&mut on_class.prefetched);
            change(&mut on_node.prefetched);
            let prefetched_job = on_node.prefetched_jobs.entry(job).or_default();
            change(&mut prefetched_job.count);
            if prefetched_job.count == 0 {
                on_node.prefetched_jobs.remove(&job);
            }
        } else {
            change(&mut on_class.running);
            change(&mut on_node.running);
            change(&mut self.0.classes[class].running);
        }
        if *on_class == OnNode::default() {
            on_node.by_class.remove(&class);
        }
        let Some(view) = self.0.jobs.get_mut(&job) else { return };
        let was_waiting = view.placeable() > 0;
        change(&mut view.assigned);
        if prefetched {
            change(&mut view.prefetched);
        }
        self.settle_waiting(job, was_waiting);
    }

    /// Devices for one more attempt of a class on a node.
    pub(crate) fn free_gpus(&self, node: NodeId, class: ClassId) -> Option<Vec<(u16, u32)>> {
        place_gpus(&self.0.nodes[node].gpu_free, self.0.classes[class].request.gpu_milli)
    }

    /// Takes the resources of one attempt of a class on a node.
    pub(crate) fn take_place(&mut self, node: NodeId, class: ClassId, gpus: &[(u16, u32)]) {
        let ClassView { queue, party, request, .. } = &self.0.classes[class];
        let on_node = &mut self.0.nodes[node];
        on_node.free.take(&request.amounts);
        on_node.alone |= request.exclusive;
        for &(device, milli) in gpus {
            on_node.gpu_free[usize::from(device)] -= milli;
        }
        self.0.queues[*queue].running_cpu_milli += request.amounts.cpu_milli;
        let party = &mut self.0.parties[*party];
        party.takes(request);
        self.0.accounts[party.account].usage.takes(request);
    }

    /// Gives them back. `class` is its row and not its id, since its last job may have ended by then.
    pub(crate) fn give_place(&mut self, node: NodeId, class: &Class, gpus: &[(u16, u32)]) {
        let request = &class.request;
        let party = &mut self.0.parties[class.party];
        party.gives(request);
        self.0.accounts[party.account].usage.gives(request);
        let on_node = &mut self.0.nodes[node];
        on_node.free.give(&request.amounts);
        on_node.alone &= !request.exclusive;
        for &(device, milli) in gpus {
            on_node.gpu_free[usize::from(device)] += milli;
        }
        self.0.queues[class.queue].running_cpu_milli -= request.amounts.cpu_milli;
    }

    /// Counts attempts among those that are expected to end.
    pub(crate) fn expect_ends(&mut self, of: Began, count: u32, gpus: &[(u16, u32)]) {
        let Some(at_ms) = self.expected_end(of) else { return };
        let ending = self.0.nodes[of.node].ends.entry((at_ms, of.class)).or_default();
        ending.count += count;
        for &(device, milli) in gpus {
            *ending.gpus.entry(device).or_default() += milli;
        }
    }

    /// Takes one of them out.
    pub(crate) fn forget_end(&mut self, of: Began, gpus: &[(u16, u32)]) {
        let Some(at_ms) = self.expected_end(of) else { return };
        let key = (at_ms, of.class);
        let ends = &mut self.0.nodes[of.node].ends;
        let ending = ends.get_mut(&key).expect("what runs was counted");
        ending.count -= 1;
        for (device, milli) in gpus {
            if let Some(there) = ending.gpus.get_mut(device) {
                *there -= milli;
            }
        }
        ending.gpus.retain(|_, milli| *milli > 0);
        if ending.count == 0 {
            ends.remove(&key);
        }
    }

    fn expected_end(&self, of: Began) -> Option<u64> {
        Some(of.since_ms.saturating_add(self.0.classes[of.class].span.expected_ms()?))
    }

    /// Shows that a job's held attempts on a node were asked back, or that they no longer are.
    pub(crate) fn set_recalled(&mut self, node: NodeId, job: JobId, recalled: bool) {
        self.0.nodes[node].prefetched_jobs.entry(job).and_modify(|prefetched| prefetched.recalled = recalled);
    }
}
