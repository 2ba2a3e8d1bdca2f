//! A state from its core alone: after a snapshot was read, and at the very beginning. What comes out is what `apply` keeps up to date: a test
//! compares the two after each entry.

use crate::core::Core;
use crate::lookup::Lookup;
use crate::node::Node;
use crate::phase::Phase;
use crate::record::TaskRecord;
use crate::state::State;
use crate::view::{AttemptGroup, Began, PlannerView};
use std::sync::Arc;
use taskyard_model::TaskRef;

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl State {
    /// The state before the first entry: one queue, one pool and one namespace, all `default`.
    pub fn new() -> State {
        State::from_core(Core::new())
    }

    pub(crate) fn from_core(core: Core) -> State {
        let mut state = State { view: PlannerView::default(), core, lookup: Lookup::default() };
        state.view.set_clock(state.core.clock.now_ms, state.core.clock.wall_ms);
        state.show_accounts();
        state.show_pools();
        state.show_classes();
        for id in state.core.nodes.ids() {
            state.show_node(id);
        }
        state.show_jobs();
        // Jobs come before what runs of them: a place is counted under the class of its job.
        for node in state.core.nodes.clone().iter() {
            state.show_attempts(node);
        }
        state
    }

    fn show_accounts(&mut self) {
        self.view.set_half_life(self.core.accounts.half_life_ms);
        for id in self.core.accounts.rows.ids() {
            let account = &self.core.accounts.rows[id];
            self.lookup.accounts.know_account(id, account);
            self.view.add_account(account);
        }
        for id in self.core.accounts.parties.ids() {
            let party = &self.core.accounts.parties[id];
            self.lookup.accounts.know_party(id, party);
            self.view.add_party(party);
        }
    }

    fn show_classes(&mut self) {
        for id in self.core.classes.ids() {
            let class = self.core.classes[id].as_deref();
            self.view.set_class(id, class);
            self.lookup.classes.know(id, class);
        }
    }

    fn show_jobs(&mut self) {
        for (id, job) in self.core.jobs.clone() {
            self.lookup.memory.add_job(&job);
            if job.is_finished() {
                self.lookup.memory.finish_job(&job);
            } else {
                self.show_new_job(&job);
                self.lookup.dependants.add(id, &job.head.waits);
                self.note_begin(id, job.head.begin);
            }
        }
    }

    /// Counts what a node has been given, from its runs.
    fn show_attempts(&mut self, node: &Arc<Node>) {
        let id = node.head.id;
        for (key, run) in &node.runs {
            let Some(job) = self.core.jobs.get(&key.job).cloned() else { continue };
            let class = job.head.class;
            for index in key.first..key.first + run.count {
                let is_here = |r: &TaskRecord| r.phase.is_assigned() && r.fence == key.fence && r.node == id;
                let Some(record) = job.record(index).filter(is_here) else { continue };
                let prefetched = record.phase == Phase::Queued;
                self.view.add_attempts(AttemptGroup { node: id, job: key.job, class, count: 1, prefetched });
                if record.phase == Phase::Running {
                    let gpus = node.gpus.get(&TaskRef { job: key.job, index }).map_or(&[][..], Vec::as_slice);
                    // Without settling: what was used until the snapshot is in it.
                    self.take_place(id, class, gpus);
                    self.view.expect_ends(Began { node: id, class, since_ms: run.since_ms }, 1, gpus);
                }
            }
        }
        for (job, here) in &node.jobs {
            self.view.set_recalled(id, *job, here.recalled);
        }
    }
}
