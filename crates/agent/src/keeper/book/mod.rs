//! The keeper's books: what is prepared, what runs, what is due. They know no process and no clock. They say what to
//! start and what to kill, and the threads around them do it.
//!
//! An attempt is in exactly one place: `prepared` or `running`, which includes those whose process is about to be
//! created.

mod prepared;
mod running;
#[cfg(test)]
mod tests;

use super::health::{NodeFault, StartHealth, machine_fails};
use super::job::Job;
use super::proto::FromKeeper;
use crate::orders::{DriverEvent, Ended, Lease, Limits, Order};
use crate::spawn::Exit;
use prepared::Prepared;
pub(crate) use running::Running;
use running::{cannot_prepare, set_due};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use taskyard_model::{CutOutput, Outcome};

/// This long after the agent's last ping nothing is started: well before it gives up what a silent keeper has.
const START_WITHIN_MS: u64 = 10_000;

/// A signal for a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// SIGTERM.
    Ask(i32),
    /// SIGKILL.
    Kill(i32),
}

/// A job that has attempts here, or may have some again.
struct Known {
    job: Arc<Job>,
    limits: Limits,
}

#[derive(Default)]
pub(crate) struct Book {
    jobs: HashMap<u64, Known>,
    /// Jobs that cannot be prepared for a reason of their own.
    pub(crate) unusable: HashMap<u64, Errno>,
    prepared: Prepared,
    running: HashMap<u64, Running>,
    by_pid: HashMap<i32, u64>,
    due: BTreeSet<(u64, u64)>,
    lease: Lease,
    grace_max_ms: u64,
    /// The agent is gone: nothing starts any more.
    closed: bool,
    /// When the agent last asked whether we are there.
    pinged_ms: Option<u64>,
    /// It waits for the answer.
    owes_pong: bool,
    /// Exits of pids that no thread has registered yet, with the number of the newest spawn at that time. A short task
    /// may be reaped by one thread before the thread that created it comes back (see [`Book::exited`]).
    early: Vec<(u64, Exit)>,
    spawning: Vec<u64>,
    spawns: u64,
    health: StartHealth,
    pub(crate) events: Vec<DriverEvent>,
}

/// Between two SIGKILLs: a process that does not die of one at once may be in the kernel.
const KILL_AGAIN_MS: u64 = 1_000;

impl Book {
    /// Makes a job known, in place of what was known of it.
    pub(crate) fn add_job(&mut self, job: Job) {
        let limits = job.body.limits;
        self.jobs.insert(job.body.job, Known { job: Arc::new(job), limits });
    }

    /// Forgets a job; answers with it, so that the caller may drop its files elsewhere.
    pub(crate) fn drop_job(&mut self, job: u64) -> Option<Arc<Job>> {
        self.unusable.remove(&job);
        self.jobs.remove(&job).map(|known| known.job)
    }

    pub(crate) fn job(&self, job: u64) -> Option<&Arc<Job>> {
        self.jobs.get(&job).map(|known| &known.job)
    }

    pub(crate) fn each_job(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().map(|known| &known.job)
    }

    /// Changes the limits of a job, also for what runs: a time limit counts from the start of each attempt, a grace
    /// from the moment at which the attempt was asked to stop.
    pub(crate) fn set_limits(&mut self, job: u64, limits: Limits) {
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.limits = limits;
        self.grace_max_ms = self.grace_max_ms.max(limits.grace_ms);
        let running = self.running.iter_mut().filter(|(_, r)| r.order.job == job);
        for (&key, running) in running {
            running.limits = limits;
            if running.pid.is_none() {
                // It gets what is due when its process exists.
                continue;
            }
            let due = match running.doom {
                None => running.over_at(),
                Some(_) => Some(running.asked_ms.saturating_add(limits.grace_ms)),
            };
            set_due(&mut self.due, key, running, due);
        }
    }

    /// Takes orders from the agent, for jobs it has told of.
    pub(crate) fn prepare(&mut self, orders: Vec<Order>) {
        for order in orders {
            if let Some(errno) = self.unusable.get(&order.job) {
                self.events.push(DriverEvent::Ended(cannot_prepare(order.key, *errno)));
            } else if self.closed || self.health.is_faulty() || !self.jobs.contains_key(&order.job) {
                self.events.push(DriverEvent::Returned(order.key));
            } else {
                self.prepared.add(order);
            }
        }
    }

    /// Starts this one at the next opportunity, unless it started already.
    pub(crate) fn start(&mut self, key: u64) {
        self.prepared.promote(key);
    }

    /// Gives one back that did not start.
    pub(crate) fn recall(&mut self, key: u64) -> bool {
        let found = self.prepared.remove(key);
        if found {
            self.events.push(DriverEvent::Returned(key));
        }
        found
    }

    /// The next attempt to start without taking the place of another.
    pub(crate) fn next_ready(&mut self, boot_ms: u64, wall_ms: u64) -> Option<u64> {
        while let Some(order) = self.prepared.next_ready() {
            if self.may_start(boot_ms) {
                return Some(self.launch(order, boot_ms, wall_ms));
            }
            self.events.push(DriverEvent::Returned(order.key));
        }
        None
    }

    /// There is something to tell the agent.
    pub(crate) fn has_news(&self) -> bool {
        self.owes_pong || !self.events.is_empty()
    }

    /// What there is to tell, in messages of at most `events_max` events.
    pub(crate) fn take_news(&mut self, events_max: usize) -> Vec<FromKeeper> {
        let events = std::mem::take(&mut self.events);
        let mut news: Vec<FromKeeper> =
            events.chunks(events_max).map(|part| FromKeeper { events: part.to_vec(), pong: false }).collect();
        if std::mem::take(&mut self.owes_pong) {
            news.push(FromKeeper { events: Vec::new(), pong: true });
        }
        news
    }

    /// The agent asks whether we take orders.
    pub(crate) fn pinged(&mut self, sent_ms: u64) {
        self.pinged_ms = Some(sent_ms);
        self.owes_pong = true;
    }

    /// The node cannot start tasks: gives back what waits, and looks again after a while.
    pub(crate) fn fault(&mut self, fault: NodeFault, boot_ms: u64) {
        if self.closed || self.health.is_faulty() {
            return;
        }
        self.events.push(DriverEvent::Health(Some(self.health.fault(fault, boot_ms))));
        self.events.extend(self.prepared.drain().map(|order| DriverEvent::Returned(order.key)));
    }

    /// What all tasks of a job share cannot be made. Either the node is to blame, or the job: its tasks may have
    /// replaced its directory.
    pub(crate) fn cannot_prepare(&mut self, job: u64, errno: Errno, boot_ms: u64) {
        if machine_fails(errno) {
            self.fault(NodeFault::of(errno), boot_ms);
        } else {
            self.unusable.insert(job, errno);
        }
    }

    /// Whether it is time to try whether the node can start tasks again.
    pub(crate) fn is_probe_due(&self, boot_ms: u64) -> bool {
        !self.closed && self.health.next_probe().is_some_and(|at| at <= boot_ms)
    }

    /// A try came out so.
    pub(crate) fn probed(&mut self, result: Result<(), NodeFault>, boot_ms: u64) {
        self.events.extend(self.health.probed(result, boot_ms).map(DriverEvent::Health));
    }

    /// A keeper that was stopped must not start what its agent has given up meanwhile.
    fn may_start(&self, boot_ms: u64) -> bool {
        let in_touch = self.pinged_ms.is_none_or(|sent_ms| boot_ms < sent_ms + START_WITHIN_MS);
        !self.closed
            && in_touch
            && !self.health.is_faulty()
            && self.lease.may_start(boot_ms)
            && boot_ms < self.lease.term_at(self.grace_max_ms)
    }

    fn launch(&mut self, order: Order, boot_ms: u64, wall_ms: u64) -> u64 {
        let key = order.key;
        let Known { job, limits } = &self.jobs[&order.job];
        let (job, limits) = (Arc::clone(job), *limits);
        self.grace_max_ms = self.grace_max_ms.max(limits.grace_ms);
        self.spawns += 1;
        let running = Running {
            order,
            job,
            slot: None,
            pid: None,
            started_boot_ms: boot_ms,
            started_wall_ms: wall_ms,
            limits,
            doom: None,
            asked_ms: 0,
            stopped_by_ms: 0,
            due_ms: None,
            publish: false,
            cut: CutOutput::default(),
        };
        self.running.insert(key, running);
        self.spawning.push(self.spawns);
        key
    }

    /// Number of the spawn that [`Book::launch`] has just announced.
    pub(crate) fn newest_spawn(&self) -> u64 {
        self.spawns
    }

    pub(crate) fn running(&mut self, key: u64) -> Option<&mut Running> {
        self.running.get_mut(&key)
    }

    /// A process exists. Returns what must be done to it at once, and its exit if another thread has reaped it already.
    pub(crate) fn spawned(&mut self, spawn: u64, key: u64, pid: i32) -> (Option<StopSignal>, Option<Exit>) {
        let running = self.running.get_mut(&key).expect("a launching attempt stays in the books");
        running.pid = Some(pid);
        let stop = running.doom.map(|_| StopSignal::Ask(pid));
        if running.doom.is_none() {
            let over_at = running.over_at();
            set_due(&mut self.due, key, running, over_at);
        }
        let at = self.early.iter().position(|(newest, exit)| exit.pid == pid && *newest >= spawn);
        let exit = at.map(|at| self.early.swap_remove(at).1);
        if exit.is_none() {
            self.by_pid.insert(pid, key);
        }
        self.spawn_over(spawn);
        (stop, exit)
    }

    /// No process came of a launch.
    pub(crate) fn spawn_over(&mut self, spawn: u64) {
        self.spawning.retain(|s| *s != spawn);
        let oldest = self.spawning.iter().min().copied().unwrap_or(u64::MAX);
        self.early.retain(|(newest, _)| *newest >= oldest);
    }

    /// Whether a pid is still in the books: the kernel may have given the number of a reaped process to a new one
    /// before the reaping thread got here.
    pub(crate) fn pid_taken(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// A process was reaped. `None` for one that is not a task: an orphan that a task left, or a task whose spawning
    /// thread has not come to register it; the exit is kept for as long as the latter is possible.
    pub(crate) fn exited(&mut self, exit: Exit) -> Option<Running> {
        let Some(key) = self.by_pid.remove(&exit.pid) else {
            if !self.spawning.is_empty() {
                self.early.push((self.spawns, exit));
            }
            return None;
        };
        self.remove(key)
    }

    /// Takes an attempt out of the books; the caller reports it by [`Book::ended`].
    pub(crate) fn remove(&mut self, key: u64) -> Option<Running> {
        let running = self.running.remove(&key)?;
        if let Some(due) = running.due_ms {
            self.due.remove(&(due, key));
        }
        Some(running)
    }

    /// Reports the end of an attempt and hands its place to the next held one of its group.
    pub(crate) fn ended(&mut self, mut ended: Ended, group: u32, boot_ms: u64, wall_ms: u64) -> Option<u64> {
        let next = if self.may_start(boot_ms) { self.prepared.successor(group) } else { None };
        ended.next = next.as_ref().map(|order| order.key);
        self.events.push(DriverEvent::Ended(ended));
        next.map(|order| self.launch(order, boot_ms, wall_ms))
    }

    /// Stops one attempt for a reason; one that did not start is given back.
    pub(crate) fn stop(&mut self, key: u64, why: Outcome, boot_ms: u64) -> Option<StopSignal> {
        if self.recall(key) {
            return None;
        }
        let running = self.running.get_mut(&key)?;
        if running.doom.is_some() {
            return None;
        }
        let due = running.ask(why, boot_ms);
        set_due(&mut self.due, key, running, Some(due));
        running.pid.map(StopSignal::Ask)
    }

    /// Kills an attempt that was told to stop.
    pub(crate) fn kill(&mut self, key: u64, boot_ms: u64) -> Option<StopSignal> {
        let running = self.running.get_mut(&key).filter(|running| running.doom.is_some())?;
        // One without a process yet is due as soon as it has one.
        let due = if running.pid.is_some() { boot_ms + KILL_AGAIN_MS } else { boot_ms };
        set_due(&mut self.due, key, running, Some(due));
        running.pid.map(StopSignal::Kill)
    }

    /// The agent renewed its lease.
    pub(crate) fn renew(&mut self, lease: Lease) {
        self.lease = lease;
        self.grace_max_ms = self.running.values().map(|r| r.limits.grace_ms).max().unwrap_or(0);
    }

    /// The agent is gone: nothing starts any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.prepared = Prepared::default();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// No process of a task is left.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn running_count(&self) -> u64 {
        self.running.len() as u64
    }

    /// Children that exist for certain.
    pub(crate) fn children(&self) -> usize {
        self.by_pid.len()
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.prepared.has_ready()
    }

    /// When [`Book::stops_due`] has something to do next.
    pub(crate) fn next_due(&self, boot_ms: u64) -> Option<u64> {
        let own = self.due.first().map(|(due, _)| *due);
        let lease = (!self.running.is_empty()).then(|| {
            let term = self.lease.term_at(self.grace_max_ms);
            let doomed = self.running.values().all(|r| r.doom.is_some());
            if boot_ms < term || !doomed { term } else { self.lease.kill_at().max(boot_ms + 100) }
        });
        let probe = self.health.next_probe().filter(|_| !self.closed);
        own.into_iter().chain(lease).chain(probe).min()
    }

    /// Everything whose time has come: time limits, ends of grace, the lease.
    pub(crate) fn stops_due(&mut self, boot_ms: u64) -> Vec<StopSignal> {
        let mut stops = Vec::new();
        while let Some(&(due, key)) = self.due.first()
            && due <= boot_ms
        {
            self.due.pop_first();
            let Some(running) = self.running.get_mut(&key) else { continue };
            let again = match running.doom {
                None => {
                    running.stopped_by_ms = running.limits.time_limit_ms.unwrap_or_default();
                    stops.extend(running.pid.map(StopSignal::Ask));
                    running.ask(Outcome::TimeLimit, boot_ms)
                }
                Some(_) => {
                    stops.extend(running.pid.map(StopSignal::Kill));
                    boot_ms + KILL_AGAIN_MS
                }
            };
            set_due(&mut self.due, key, running, Some(again));
        }
        if boot_ms >= self.lease.term_at(self.grace_max_ms) {
            self.doom_all(boot_ms, &mut stops);
        }
        stops
    }

    fn doom_all(&mut self, boot_ms: u64, stops: &mut Vec<StopSignal>) {
        let keys: Vec<u64> = self.running.iter().filter(|(_, r)| r.doom.is_none()).map(|(k, _)| *k).collect();
        for key in keys {
            stops.extend(self.stop(key, Outcome::LeaseLost, boot_ms));
        }
        if boot_ms >= self.lease.kill_at() {
            stops.extend(self.kill_all());
        }
    }

    /// Every process there is.
    pub(crate) fn kill_all(&self) -> Vec<StopSignal> {
        self.running.values().filter_map(|r| r.pid).map(StopSignal::Kill).collect()
    }

    /// The lease ran out, or is about to.
    pub(crate) fn lease_over(&self, boot_ms: u64) -> bool {
        boot_ms >= self.lease.kill_at()
    }

    pub(crate) fn each_running(&mut self, each: impl FnMut(&mut Running)) {
        self.running.values_mut().for_each(each);
    }

    /// Remembers that someone reads the output of a running attempt. True: its files are there to be renamed now.
    pub(crate) fn publish(&mut self, key: u64) -> bool {
        let Some(running) = self.running.get_mut(&key) else { return false };
        running.publish = true;
        running.slot.is_some()
    }

    pub(crate) fn wants_publish(&self, key: u64) -> bool {
        self.running.get(&key).is_some_and(|r| r.publish && r.slot.is_some())
    }
}
