//! What is derived from the core is brought in step with it here, row by row: `apply` changes the core, then calls one of these.

use crate::accounts::{Account, Party};
use crate::class::Class;
use crate::core::Due;
use crate::job::{Job, NotBefore};
use crate::outcome::Rejection;
use crate::state::State;
use crate::stored::{SpecFile, Stored, Written};
use crate::usage::Whose;
use std::sync::Arc;
use taskyard_model::{AccountId, ClassId, JobId, JobSpec, NodeId, PartyId, PoolId, QueueId, Span, limits};

/// Jobs.
impl State {
    /// Shows a job that is not finished.
    pub(crate) fn show_new_job(&mut self, job: &Job) {
        self.view.add_job(job, &self.core.queues[job.head.queue].config);
    }

    /// Shows what has changed of a job.
    pub(crate) fn show_job(&mut self, id: JobId) {
        match self.core.jobs.get(&id) {
            Some(job) if job.is_finished() => self.hide_job(id),
            Some(job) => self.view.update_job(job),
            None => {}
        }
    }

    /// A job has ended, or is about to be shown under another class. Its class goes with its last job.
    pub(crate) fn hide_job(&mut self, id: JobId) {
        let Some(class) = self.view.remove_job(id) else { return };
        if let Some(gone) = self.core.classes[class].take() {
            self.lookup.classes.release(class, &gone);
        }
        self.view.set_class(class, None);
    }

    /// Gives a job its place in its queue by what it says now.
    pub(crate) fn rekey_job(&mut self, id: JobId) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        self.view.rekey_job(job, &self.core.queues[job.head.queue].config);
    }
}

/// Jobs that wait for a time.
impl State {
    /// Waits for the begin of a job, if it is ahead.
    pub(crate) fn note_begin(&mut self, id: JobId, begin: Option<NotBefore>) {
        let Some(begin) = begin.filter(|b| !b.passed) else { return };
        self.core.deadlines.insert((begin.at_ms, Due::Begin(id)));
        if begin.is_instant {
            self.lookup.instants.insert(id);
        }
    }

    /// The opposite of [`State::note_begin`].
    pub(crate) fn forget_begin(&mut self, id: JobId, begin: Option<NotBefore>) {
        let Some(begin) = begin.filter(|b| !b.passed) else { return };
        self.core.deadlines.remove(&(begin.at_ms, Due::Begin(id)));
        self.lookup.instants.remove(&id);
    }
}

/// Jobs on disk.
impl State {
    /// A snapshot has these: finished jobs are read from it from now on, and the one before it is not needed any more.
    pub fn stored(&mut self, written: &[Written], source: &Arc<dyn SpecFile>) {
        for Written { job: id, version, place } in written {
            let Some(job) = self.core.job_mut(*id).filter(|job| job.head.spec_version == *version) else {
                continue;
            };
            job.stored = Some((*version, Stored { source: Arc::clone(source), place: *place }));
            let was_unstored = job.is_finished() && !job.is_lean;
            job.slim();
            if was_unstored {
                self.lookup.memory.store_job(job);
            }
        }
    }
}

/// Nodes, pools and queues.
impl State {
    /// Shows a node that has moved on in its life.
    pub(crate) fn show_node(&mut self, id: NodeId) {
        let node = &self.core.nodes[id];
        let labels = &node.head.registered.labels;
        self.view.set_node(node, self.core.pool_of(labels), self.core.maintenance_of(labels));
    }

    /// Shows the settings of all pools, and which nodes and queues are whose.
    pub(crate) fn show_pools(&mut self) {
        let core = &self.core;
        self.view.set_pools(core.pools.ids().map(|id| (id, &*core.pools[id])));
        self.view.set_node_pools(|labels| core.pool_of(labels));
        for id in self.core.queues.ids() {
            self.show_queue(id);
        }
    }

    /// Shows a queue's settings.
    pub(crate) fn show_queue(&mut self, id: QueueId) {
        let queue = &self.core.queues[id];
        let pool =
            queue.config.pool.as_ref().and_then(|pool| self.core.pool_named(pool)).unwrap_or(PoolId(1));
        self.view.set_queue(id, queue, pool);
    }

    /// Sorts a queue's waiting jobs again: its policy changed.
    pub(crate) fn rekey_queue(&mut self, id: QueueId) {
        let jobs: Vec<JobId> = self.view.jobs_in(id).collect();
        for job in jobs {
            self.rekey_job(job);
        }
    }

    /// Shows when nodes are to be maintained.
    pub(crate) fn show_maintenance(&mut self) {
        let core = &self.core;
        self.view.set_maintenance(|labels| core.maintenance_of(labels));
    }
}

/// Classes.
impl State {
    /// The class of a job with this specification, made when it is the first of its kind.
    pub(crate) fn class_of(
        &mut self,
        queue: QueueId,
        owner: &str,
        spec: &JobSpec,
        job: JobId,
    ) -> Result<ClassId, Rejection> {
        let party = self.party_for(spec.account.as_deref().unwrap_or_default(), owner)?;
        let wanted = Class {
            queue,
            owner: owner.to_owned(),
            request: spec.request.clone(),
            constraint: self.core.constraint(queue, spec),
            span: Span::of(spec),
            party,
            affinity: spec.affinity.clone(),
            only: spec.affinity.is_apart().then_some(job),
        };
        if let Some(id) = self.lookup.classes.find(&wanted) {
            return Ok(id);
        }
        let id = self.lookup.classes.claim(wanted.clone(), self.core.classes.next_id());
        self.view.set_class(id, Some(&wanted));
        self.core.classes.put(id, Some(Arc::new(wanted)));
        Ok(id)
    }

    /// The tasks of a class take another time. There is no such class yet.
    pub(crate) fn respan(&mut self, id: ClassId, span: Span) {
        let before = Arc::clone(self.core.class(id));
        let after = Class { span, ..(*before).clone() };
        self.lookup.classes.replace(&before, after.clone());
        self.core.classes[id] = Some(Arc::new(after));
        self.view.set_span(id, span);
    }
}

/// Accounts, and what is used on them.
impl State {
    pub(crate) fn party_for(&mut self, account: &str, owner: &str) -> Result<PartyId, Rejection> {
        let known = self.lookup.accounts.account(account);
        if let Some(party) = known.and_then(|account| self.lookup.accounts.party(account, owner)) {
            return Ok(party);
        }
        if self.core.accounts.parties.len() >= limits::PARTIES_MAX {
            return Err(Rejection::Limit("users on accounts", limits::PARTIES_MAX as u64));
        }
        let account = known.unwrap_or_else(|| self.new_account(account));
        let party = Party::new(account, owner);
        let id = self.core.accounts.parties.push(party.clone());
        self.lookup.accounts.know_party(id, &party);
        self.view.add_party(&party);
        Ok(id)
    }

    pub(crate) fn new_account(&mut self, name: &str) -> AccountId {
        let account = Account::new(name);
        let id = self.core.accounts.rows.push(account.clone());
        self.lookup.accounts.know_account(id, &account);
        self.view.add_account(&account);
        id
    }

    /// Brings what a party has used up to now, before what it runs changes.
    pub(crate) fn settle_party(&mut self, id: PartyId) {
        let at_ms = self.view.parties[id].usage.at_ms;
        let clock = &self.core.clock;
        if at_ms == clock.now_ms {
            return;
        }
        let elapsed_ms = clock.now_ms.saturating_sub(at_ms);
        self.lookup.meter.charge(id, clock.wall_ms, elapsed_ms, &mut self.core.ledger);
        let (of_party, of_account) = self.view.settle_party(id);
        let party = &mut self.core.accounts.parties[id];
        (party.level, party.recent, party.at_ms) = (of_party.level, of_party.recent, of_party.at_ms);
        let account = &mut self.core.accounts.rows[party.account];
        (account.level, account.recent, account.at_ms) =
            (of_account.level, of_account.recent, of_account.at_ms);
    }

    /// Takes the resources of one attempt of a class on a node. What its party has used until now is settled first.
    pub(crate) fn take_place(&mut self, node: NodeId, class: ClassId, gpus: &[(u16, u32)]) {
        self.view.take_place(node, class, gpus);
        let class = &self.view.classes[class];
        self.lookup.meter.takes((class.party, class.queue), &class.request);
    }

    /// Gives them back. Takes the class itself, since its last job may have ended by then.
    pub(crate) fn give_place(&mut self, node: NodeId, class: &Class, gpus: &[(u16, u32)]) {
        self.settle_party(class.party);
        self.lookup.meter.gives((class.party, class.queue), &class.request);
        self.view.give_place(node, class, gpus);
    }

    /// Whose work a class is, in which queue, and thousandths of cores of one task.
    pub(crate) fn whose(&self, class: ClassId) -> (Whose, u64) {
        let class = &self.view.classes[class];
        ((class.party, class.queue), class.request.amounts.cpu_milli)
    }
}
