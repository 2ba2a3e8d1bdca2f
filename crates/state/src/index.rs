//! The planner's view, kept in step with the core. Every change of the core that the planner can see goes through here.

use crate::node::Node;
use crate::phase::Phase;
use crate::shares;
use crate::{Class, Core, Job, Lookup, Pool, State};
use std::sync::Arc;
use taskyard_model::resources::place_gpus;
use taskyard_model::view::{OnNode, Targets};
use taskyard_model::{
    ClassId, ClassView, HeldJob, JobId, JobView, NodeId, NodeView, PoolId, PoolView, QueueId, QueueView,
    TaskRef, View, constraint::Labels,
};

impl State {
    /// A state whose view is made from its core: after a snapshot was read, and at the very beginning.
    pub(crate) fn from_core(mut core: Core) -> State {
        core.adopt_parties();
        let view = View { now_ms: core.clock.now_ms, wall_ms: core.clock.wall_ms, ..View::default() };
        let mut state = State { view, core, lookup: Lookup::default() };
        state.view_pools();
        state.view_shares();
        for queue in 0..state.core.queues.len() {
            state.view_queue(QueueId(queue as u32 + 1));
        }
        for class in 0..state.core.classes.len() {
            let (entry, id) = (state.core.classes[class].clone(), ClassId(class as u32));
            state.view.classes.push(class_view(id, entry.as_deref()));
            match entry {
                Some(class) => drop(state.lookup.class_ids.insert((*class).clone(), id)),
                None => drop(state.lookup.free_classes.insert(id.0)),
            }
        }
        for node in state.core.nodes.clone() {
            let view = state.empty_node_view(&node);
            state.view.nodes.push(view);
        }
        for (_, job) in state.core.jobs.clone() {
            state.count_job(&job);
            if job.is_finished() {
                state.lookup.finished_tasks += u64::from(job.tasks());
                state.count_finished(&job);
            }
            if !job.is_finished() {
                state.view_new_job(&job);
                state.note_waits(job.head.id, &job.head.waits);
                state.note_begin(job.head.id, job.head.begin);
            }
        }
        for node in state.core.nodes.clone() {
            state.view_assigned(&node);
        }
        state
    }

    /// Shows a job that is not finished. Its assigned attempts are counted by whoever assigns them.
    pub(crate) fn view_new_job(&mut self, job: &Job) {
        let queue = self.core.queues[job.head.queue.0 as usize - 1].clone();
        let view = JobView {
            class: job.head.class,
            key: queue.config.key(&job.orderable()),
            submitted_ms: job.waiting_since_ms(),
            priority: job.spec.priority,
            eligible: job.eligible(),
            assigned: 0,
            held: 0,
            max_running: job.spec.array.max_running,
            stopped: job.head.held || job.head.is_stopped(),
            gate: job.gate(),
        };
        let class = &mut self.view.classes[job.head.class.0 as usize];
        class.jobs += 1;
        if job.spec.siting.broadcast {
            let nodes = Arc::new(job.head.targets.clone());
            class.targets = Some(Targets { nodes, waiting: job.again.clone() });
        }
        self.view.jobs.insert(job.head.id, view.clone());
        self.view.set_waiting(view.stand(), view.placeable() > 0);
    }

    /// Counts what a node has been given, from its runs; used when the view is made anew.
    fn view_assigned(&mut self, node: &Node) {
        for (key, run) in &node.runs {
            let Some(job) = self.core.jobs.get(&key.job).cloned() else { continue };
            for index in key.first..key.first + run.count {
                let record = job
                    .record(index)
                    .filter(|r| r.phase.is_assigned() && r.fence == key.fence && r.node == node.head.id);
                let Some(record) = record else { continue };
                let task = TaskRef { job: key.job, index };
                self.view_count(
                    node.head.id,
                    key.job,
                    job.head.class,
                    1,
                    record.phase == Phase::Queued,
                    true,
                );
                if record.phase == Phase::Running {
                    let gpus = node.gpus.get(&task).map_or(&[][..], Vec::as_slice);
                    self.view_take(node.head.id, job.head.class, gpus);
                    self.view_runs(node.head.id, job.head.class, run.since_ms, 1, gpus);
                }
            }
        }
        for (job, here) in &node.jobs {
            if let Some(held) = self.view.nodes[node.head.id.0 as usize - 1].held_jobs.get_mut(job) {
                held.recalled = here.recalled;
            }
        }
    }

    /// Brings a job's eligible tasks, stops and limits up to date, and its place among the waiting.
    pub(crate) fn view_job(&mut self, id: JobId) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        if job.is_finished() {
            return self.view_forget_job(id);
        }
        if let Some(targets) = &mut self.view.classes[job.head.class.0 as usize].targets {
            targets.waiting.clone_from(&job.again);
        }
        let (eligible, stopped, max_running) =
            (job.eligible(), job.head.held || job.head.is_stopped(), job.spec.array.max_running);
        let Some(view) = self.view.jobs.get_mut(&id) else { return };
        let was_waiting = view.placeable() > 0;
        (view.eligible, view.stopped, view.max_running) = (eligible, stopped, max_running);
        let is_waiting = view.placeable() > 0;
        if was_waiting != is_waiting {
            let stand = view.stand();
            self.view.set_waiting(stand, is_waiting);
        }
    }

    /// A job ended, or is about to be shown under another class or key.
    pub(crate) fn view_forget_job(&mut self, id: JobId) {
        let Some(view) = self.view.jobs.remove(&id) else { return };
        self.view.set_waiting(view.stand(), false);
        let class = &mut self.view.classes[view.class.0 as usize];
        class.jobs -= 1;
        if class.jobs == 0 {
            self.forget_class(view.class);
        }
    }

    /// Counts attempts of a job that a node was given (`added`) or no longer has.
    pub(crate) fn view_count(
        &mut self,
        node: NodeId,
        job: JobId,
        class: ClassId,
        count: u32,
        held: bool,
        added: bool,
    ) {
        let change = |n: &mut u32| if added { *n += count } else { *n -= count };
        let on_node = &mut self.view.nodes[node.0 as usize - 1];
        let on_class = on_node.by_class.entry(class).or_default();
        if held {
            change(&mut on_class.held);
            change(&mut on_node.held);
            let held_job = on_node.held_jobs.entry(job).or_default();
            change(&mut held_job.count);
            if held_job.count == 0 {
                on_node.held_jobs.remove(&job);
            }
        } else {
            change(&mut on_class.running);
            change(&mut on_node.running);
            change(&mut self.view.classes[class.0 as usize].running);
        }
        if *on_class == OnNode::default() {
            on_node.by_class.remove(&class);
        }
        let Some(view) = self.view.jobs.get_mut(&job) else { return };
        let was_waiting = view.placeable() > 0;
        change(&mut view.assigned);
        if held {
            change(&mut view.held);
        }
        let is_waiting = view.placeable() > 0;
        if was_waiting != is_waiting {
            let stand = view.stand();
            self.view.set_waiting(stand, is_waiting);
        }
    }

    /// Takes the resources of one attempt of a class on a node. What its party has used until now is settled first (see
    /// [`State::settle_party`]), except when the view is made anew.
    pub(crate) fn view_take(&mut self, node: NodeId, class: ClassId, gpus: &[(u16, u32)]) {
        let class = &self.view.classes[class.0 as usize];
        let on_node = &mut self.view.nodes[node.0 as usize - 1];
        on_node.free.take(&class.request.amounts);
        on_node.alone |= class.request.exclusive;
        for &(device, milli) in gpus {
            on_node.gpu_free[usize::from(device)] -= milli;
        }
        self.view.queues[class.queue.0 as usize - 1].running_cpu_milli += class.request.amounts.cpu_milli;
        let of = (&mut self.view.parties[..], &mut self.view.accounts[..]);
        shares::runs(of, &mut self.lookup.taken, (class.party, class.queue), &class.request, true);
    }

    /// Gives them back. Takes the class itself, since its last job may have ended by then.
    pub(crate) fn view_give(&mut self, node: NodeId, class: &Class, gpus: &[(u16, u32)]) {
        self.settle_party(class.party);
        let of = (&mut self.view.parties[..], &mut self.view.accounts[..]);
        shares::runs(of, &mut self.lookup.taken, (class.party, class.queue), &class.request, false);
        let on_node = &mut self.view.nodes[node.0 as usize - 1];
        on_node.free.give(&class.request.amounts);
        on_node.alone &= !class.request.exclusive;
        for &(device, milli) in gpus {
            on_node.gpu_free[usize::from(device)] += milli;
        }
        self.view.queues[class.queue.0 as usize - 1].running_cpu_milli -= class.request.amounts.cpu_milli;
    }

    /// Counts attempts that began at a state time among those that are expected to end.
    pub(crate) fn view_runs(
        &mut self,
        node: NodeId,
        class: ClassId,
        since_ms: u64,
        count: u32,
        gpus: &[(u16, u32)],
    ) {
        let Some(expected) = self.view.classes[class.0 as usize].span.expected_ms() else { return };
        let ends = &mut self.view.nodes[node.0 as usize - 1].ends;
        let ending = ends.entry((since_ms.saturating_add(expected), class)).or_default();
        ending.count += count;
        for &(device, milli) in gpus {
            *ending.gpus.entry(device).or_default() += milli;
        }
    }

    /// Takes one of them out.
    pub(crate) fn view_runs_no_more(
        &mut self,
        node: NodeId,
        class: ClassId,
        since_ms: u64,
        gpus: &[(u16, u32)],
    ) {
        let Some(expected) = self.view.classes[class.0 as usize].span.expected_ms() else { return };
        let key = (since_ms.saturating_add(expected), class);
        let ends = &mut self.view.nodes[node.0 as usize - 1].ends;
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

    /// Devices for one more attempt of a class on a node.
    pub(crate) fn view_gpus(&self, node: NodeId, class: ClassId) -> Option<Vec<(u16, u32)>> {
        let wanted = self.view.classes[class.0 as usize].request.gpu_milli;
        place_gpus(&self.view.nodes[node.0 as usize - 1].gpu_free, wanted)
    }

    /// Shows that a job's held attempts on a node were asked back.
    pub(crate) fn view_recalled(&mut self, node: NodeId, job: JobId) {
        self.view.nodes[node.0 as usize - 1].held_jobs.entry(job).and_modify(|h| h.recalled = true);
    }

    /// Shows a node whose agent has just registered, was lost, drained or resumed. It runs nothing when its life changes.
    pub(crate) fn view_node(&mut self, id: NodeId) {
        let node = &self.core.nodes[id.0 as usize - 1];
        let fresh = self.empty_node_view(node);
        match self.view.nodes.get_mut(id.0 as usize - 1) {
            Some(view) if view.status.incarnation() == fresh.status.incarnation() => {
                view.status = fresh.status
            }
            Some(view) => *view = fresh,
            None => self.view.nodes.push(fresh),
        }
    }

    /// Shows the settings of all pools, and which nodes and queues are whose.
    pub(crate) fn view_pools(&mut self) {
        let pool = |(id, pool): (u32, &Arc<Pool>)| PoolView {
            id: PoolId(id),
            name: pool.name.clone(),
            config: pool.config.clone(),
            deleted: pool.deleted,
        };
        self.view.pools = (1u32..).zip(&self.core.pools).map(pool).collect();
        for at in 0..self.view.nodes.len() {
            self.view.nodes[at].pool = self.pool_of(&self.view.nodes[at].labels);
        }
        for at in 0..self.view.queues.len() {
            self.view_queue(QueueId(at as u32 + 1));
        }
    }

    /// The pool of a node with these labels: the first that selects it, else the default one.
    fn pool_of(&self, labels: &Labels) -> PoolId {
        let selects = |pool: &Arc<Pool>| !pool.deleted && pool.config.nodes.broken(labels).is_none();
        let selected = self.core.pools.iter().skip(1).position(selects);
        PoolId(selected.map_or(1, |at| at as u32 + 2))
    }

    /// The pool of a name.
    pub(crate) fn pool_named(&self, name: &str) -> Option<PoolId> {
        let at = self.core.pools.iter().position(|p| p.name == name && !p.deleted)?;
        Some(PoolId(at as u32 + 1))
    }

    /// Shows a queue's settings.
    pub(crate) fn view_queue(&mut self, id: QueueId) {
        let at = id.0 as usize - 1;
        let queue = &self.core.queues[at];
        let pool = queue.config.pool.as_ref().and_then(|pool| self.pool_named(pool)).unwrap_or(PoolId(1));
        match self.view.queues.get_mut(at) {
            Some(view) => {
                let ages = view.config.ages();
                (view.config, view.pool, view.deleted) = (queue.config.clone(), pool, queue.deleted);
                if view.config.ages() != ages {
                    self.view.find_firsts(id);
                }
            }
            None => self.view.queues.push(QueueView {
                id,
                name: queue.name.clone(),
                config: queue.config.clone(),
                deleted: queue.deleted,
                pool,
                running_cpu_milli: 0,
                heads: Default::default(),
                ages: Default::default(),
            }),
        }
    }

    /// Sorts a queue's waiting jobs anew: its policy changed.
    pub(crate) fn view_rekey_queue(&mut self, id: QueueId) {
        let config = self.core.queues[id.0 as usize - 1].config.clone();
        let of_queue: Vec<_> = self
            .view
            .jobs
            .iter()
            .filter(|(_, v)| self.view.classes[v.class.0 as usize].queue == id)
            .collect();
        let jobs: Vec<JobId> = of_queue.into_iter().map(|(id, _)| *id).collect();
        for id in jobs {
            self.view_rekey(id, &config);
        }
    }

    /// Gives a job its place by what it says now. What must come before it may have changed too.
    pub(crate) fn view_rekey(&mut self, id: JobId, config: &taskyard_model::QueueConfig) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        let (key, since, gate) = (config.key(&job.orderable()), job.waiting_since_ms(), job.gate());
        let priority = job.spec.priority;
        let Some(mut view) = self.view.jobs.get(&id).cloned() else { return };
        self.view.set_waiting(view.stand(), false);
        (view.key, view.submitted_ms, view.priority, view.gate) = (key, since, priority, gate);
        self.view.set_waiting(view.stand(), view.placeable() > 0);
        self.view.jobs.insert(id, view);
    }

    /// The class of an unfinished job.
    pub(crate) fn class(&self, id: ClassId) -> Arc<Class> {
        self.core.classes.get(id.0 as usize).cloned().flatten().expect("an unfinished job has its class")
    }

    /// The class of a job, made when it is the first of its kind.
    pub(crate) fn class_for(&mut self, wanted: Class) -> ClassId {
        if let Some(id) = self.lookup.class_ids.get(&wanted) {
            return *id;
        }
        let at = self.lookup.free_classes.pop_first().unwrap_or(self.core.classes.len() as u32);
        let id = ClassId(at);
        let view = class_view(id, Some(&wanted));
        self.lookup.class_ids.insert(wanted.clone(), id);
        if at as usize == self.core.classes.len() {
            self.core.classes.push_back(Some(Arc::new(wanted)));
            self.view.classes.push(view);
        } else {
            self.core.classes[at as usize] = Some(Arc::new(wanted));
            self.view.classes[at as usize] = view;
        }
        id
    }

    fn forget_class(&mut self, id: ClassId) {
        if let Some(class) = self.core.classes[id.0 as usize].take() {
            self.lookup.class_ids.remove(&*class);
        }
        self.lookup.free_classes.insert(id.0);
        self.view.classes[id.0 as usize] = class_view(id, None);
    }

    fn empty_node_view(&self, node: &Node) -> NodeView {
        let registered = &node.head.registered;
        NodeView {
            id: node.head.id,
            name: registered.name.clone(),
            status: node.head.status.clone(),
            pool: self.pool_of(&registered.labels),
            alone: false,
            given: node.head.given_at,
            maintenance: self.maintenance_of(&registered.labels),
            capacity: registered.capacity.clone(),
            free: registered.capacity.amounts.clone(),
            gpu_free: vec![1_000; registered.capacity.gpus as usize],
            labels: registered.labels.clone(),
            running: 0,
            held: 0,
            by_class: Default::default(),
            held_jobs: std::collections::BTreeMap::<JobId, HeldJob>::new(),
            ends: Default::default(),
        }
    }

    /// Learns how long attempts of a class take, for how much is held ahead of need.
    pub(crate) fn view_ran(&mut self, class: ClassId, ran_ms: u64) {
        const SMOOTHING: u64 = 8;
        let ran_us = ran_ms.saturating_mul(1_000);
        let typical = &mut self.view.classes[class.0 as usize].typical_us;
        *typical = Some(match *typical {
            None => ran_us,
            Some(before) => (before.saturating_mul(SMOOTHING - 1).saturating_add(ran_us)) / SMOOTHING,
        });
    }
}

fn class_view(id: ClassId, class: Option<&Class>) -> ClassView {
    ClassView {
        id,
        queue: class.map_or(QueueId(1), |c| c.queue),
        party: class.map(|c| c.party).unwrap_or_default(),
        request: class.map(|c| c.request.clone()).unwrap_or_default(),
        constraint: class.map(|c| c.constraint.clone()).unwrap_or_default(),
        span: class.map(|c| c.span).unwrap_or_default(),
        siting: class.map(|c| c.siting.clone()).unwrap_or_default(),
        targets: None,
        waiting: Default::default(),
        by_age: Default::default(),
        jobs: 0,
        running: 0,
        typical_us: None,
    }
}
