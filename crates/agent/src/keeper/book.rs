//! The keeper's books: what is prepared, what runs, what is due. Knows no process and no clock; it says whom to start or to kill, and the
//! threads around it do so.
//!
//! An attempt is in exactly one place: `ready` (start now), a group's `held` queue (start in the place of another), or `running`, which
//! includes those whose process is about to be created.

use super::files::Slot;
use super::health::{Health, machine_fails};
use super::job::Job;
use super::proto::{Ended, Event, Lease, Limits, Order};
use crate::spawn::Exit;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use taskyard_model::Outcome;

/// So long after the agent's last ping nothing is started: well before it gives up what a silent keeper has.
const START_WITHIN_MS: u64 = 10_000;

/// A signal for a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM.
    Ask(i32),
    /// SIGKILL.
    Kill(i32),
}

/// An attempt that has a process, or will have one in a moment.
pub(crate) struct Running {
    pub(crate) order: Order,
    pub(crate) job: Arc<Job>,
    pub(crate) slot: Option<Slot>,
    pid: Option<i32>,
    pub(crate) started_boot_ms: u64,
    pub(crate) started_wall_ms: u64,
    /// Its job's at this moment.
    limits: Limits,
    /// Why we stopped it; decides its outcome.
    doom: Option<Outcome>,
    /// When we asked it to stop.
    asked_ms: u64,
    /// The time limit that stopped it; 0 if none did.
    stopped_by_ms: u64,
    /// When something is to be done about it: its time limit, or the end of its grace.
    due_ms: Option<u64>,
    publish: bool,
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
    ready: VecDeque<Order>,
    held: HashMap<u32, VecDeque<Order>>,
    running: HashMap<u64, Running>,
    by_pid: HashMap<i32, u64>,
    due: BTreeSet<(u64, u64)>,
    lease: Lease,
    grace_max_ms: u64,
    /// The agent is gone: nothing starts any more.
    closed: bool,
    /// When the agent last asked whether we are there.
    pinged_ms: Option<u64>,
    /// Exits of pids that nobody has registered yet, with the number of the newest spawn at that time (see [`Book::exited`]).
    early: Vec<(u64, Exit)>,
    spawning: Vec<u64>,
    spawns: u64,
    health: Health,
    pub(crate) events: Vec<Event>,
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

    /// Gives a job other limits. They hold for what runs too: for its time limit from the start of each attempt, and for its grace from the
    /// moment at which it was asked to stop.
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
                self.events.push(Event::Ended(cannot_prepare(order.key, *errno)));
            } else if self.closed || self.health.is_faulty() || !self.jobs.contains_key(&order.job) {
                self.events.push(Event::Unprepared(order.key));
            } else if order.run {
                self.ready.push_back(order);
            } else {
                self.held.entry(order.group).or_default().push_back(order);
            }
        }
    }

    /// Starts these at the next opportunity, unless they started already.
    pub(crate) fn go(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(order) = self.take_held(*key) {
                self.ready.push_back(order);
            }
        }
    }

    /// Gives back what did not start.
    pub(crate) fn unprepare(&mut self, key: u64) -> bool {
        let found = self.take_held(key).is_some() || {
            let before = self.ready.len();
            self.ready.retain(|order| order.key != key);
            self.ready.len() < before
        };
        if found {
            self.events.push(Event::Unprepared(key));
        }
        found
    }

    fn take_held(&mut self, key: u64) -> Option<Order> {
        self.held.values_mut().find_map(|queue| {
            let at = queue.iter().position(|order| order.key == key)?;
            queue.remove(at)
        })
    }

    /// The next attempt to start without taking the place of another.
    pub(crate) fn next_ready(&mut self, boot_ms: u64, wall_ms: u64) -> Option<u64> {
        while let Some(order) = self.ready.pop_front() {
            if self.may_start(boot_ms) {
                return Some(self.launch(order, boot_ms, wall_ms));
            }
            self.events.push(Event::Unprepared(order.key));
        }
        None
    }

    /// The agent asks whether we take orders.
    pub(crate) fn pinged(&mut self, sent_ms: u64) {
        self.pinged_ms = Some(sent_ms);
        self.events.push(Event::Pong);
    }

    /// The node cannot start tasks: gives back what waits, and looks again after a while.
    pub(crate) fn fault(&mut self, errno: Errno, boot_ms: u64) {
        if self.closed || self.health.is_faulty() {
            return;
        }
        self.events.push(Event::Health(Some(self.health.fault(errno, boot_ms))));
        let held = self.held.drain().flat_map(|(_, queue)| queue);
        self.events.extend(self.ready.drain(..).chain(held).map(|order| Event::Unprepared(order.key)));
    }

    /// What all tasks of a job share cannot be made: the node is to blame, or the job, whose tasks may have replaced its directory.
    pub(crate) fn cannot_prepare(&mut self, job: u64, errno: Errno, boot_ms: u64) {
        if machine_fails(errno) {
            self.fault(errno, boot_ms);
        } else {
            self.unusable.insert(job, errno);
        }
    }

    /// Whether it is time to try whether the node can start tasks again.
    pub(crate) fn is_probe_due(&self, boot_ms: u64) -> bool {
        !self.closed && self.health.next_probe().is_some_and(|at| at <= boot_ms)
    }

    /// A try came out so.
    pub(crate) fn probed(&mut self, result: Result<(), Errno>, boot_ms: u64) {
        self.events.extend(self.health.probed(result, boot_ms).map(Event::Health));
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
    pub(crate) fn spawned(&mut self, spawn: u64, key: u64, pid: i32) -> (Option<Stop>, Option<Exit>) {
        let running = self.running.get_mut(&key).expect("a launching attempt stays in the books");
        running.pid = Some(pid);
        let stop = running.doom.map(|_| Stop::Ask(pid));
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

    /// A pid still stands in the books: its reaper has not come by yet, though the kernel gave the number to a new process.
    pub(crate) fn pid_taken(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// A process was reaped. `None` for one that is not a task: an orphan that a task left, or a task whose spawning thread has not come to
    /// register it; the exit is kept for as long as the latter is possible.
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
        let next = if self.may_start(boot_ms) {
            self.held.get_mut(&group).and_then(VecDeque::pop_front)
        } else {
            None
        };
        ended.next = next.as_ref().map(|order| order.key);
        self.events.push(Event::Ended(ended));
        next.map(|order| self.launch(order, boot_ms, wall_ms))
    }

    /// Stops one attempt for a reason; one that did not start is given back.
    pub(crate) fn kill(&mut self, key: u64, why: Outcome, boot_ms: u64) -> Option<Stop> {
        if self.unprepare(key) {
            return None;
        }
        let running = self.running.get_mut(&key)?;
        if running.doom.is_some() {
            return None;
        }
        let due = running.ask(why, boot_ms);
        set_due(&mut self.due, key, running, Some(due));
        running.pid.map(Stop::Ask)
    }

    /// Kills an attempt that was asked to stop.
    pub(crate) fn end_grace(&mut self, key: u64, boot_ms: u64) -> Option<Stop> {
        let running = self.running.get_mut(&key).filter(|running| running.doom.is_some())?;
        // One without a process yet is due as soon as it has one.
        let due = if running.pid.is_some() { boot_ms + KILL_AGAIN_MS } else { boot_ms };
        set_due(&mut self.due, key, running, Some(due));
        running.pid.map(Stop::Kill)
    }

    /// The agent renewed its lease.
    pub(crate) fn renew(&mut self, lease: Lease) {
        self.lease = lease;
        self.grace_max_ms = self.running.values().map(|r| r.limits.grace_ms).max().unwrap_or(0);
    }

    /// The agent is gone: nothing starts any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.ready.clear();
        self.held.clear();
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
        !self.ready.is_empty()
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
    pub(crate) fn stops_due(&mut self, boot_ms: u64) -> Vec<Stop> {
        let mut stops = Vec::new();
        while let Some(&(due, key)) = self.due.first()
            && due <= boot_ms
        {
            self.due.pop_first();
            let Some(running) = self.running.get_mut(&key) else { continue };
            let again = match running.doom {
                None => {
                    running.stopped_by_ms = running.limits.time_limit_ms.unwrap_or_default();
                    stops.extend(running.pid.map(Stop::Ask));
                    running.ask(Outcome::TimeLimit, boot_ms)
                }
                Some(_) => {
                    stops.extend(running.pid.map(Stop::Kill));
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

    fn doom_all(&mut self, boot_ms: u64, stops: &mut Vec<Stop>) {
        let keys: Vec<u64> = self.running.iter().filter(|(_, r)| r.doom.is_none()).map(|(k, _)| *k).collect();
        for key in keys {
            stops.extend(self.kill(key, Outcome::LeaseLost, boot_ms));
        }
        if boot_ms >= self.lease.kill_at() {
            stops.extend(self.kill_all());
        }
    }

    /// Every process there is.
    pub(crate) fn kill_all(&self) -> Vec<Stop> {
        self.running.values().filter_map(|r| r.pid).map(Stop::Kill).collect()
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

/// Sets when something is to be done about an attempt next.
fn set_due(all: &mut BTreeSet<(u64, u64)>, key: u64, running: &mut Running, due_ms: Option<u64>) {
    if let Some(old) = std::mem::replace(&mut running.due_ms, due_ms) {
        all.remove(&(old, key));
    }
    all.extend(due_ms.map(|due| (due, key)));
}

/// The job's directory or body is not usable, and the node is not to blame.
fn cannot_prepare(key: u64, errno: Errno) -> Ended {
    Ended {
        key,
        outcome: Outcome::StartFailed,
        code: errno.raw_os_error(),
        started_wall_ms: 0,
        ran_ms: 0,
        cpu_ms: 0,
        max_rss_kib: 0,
        limit_ms: 0,
        next: None,
    }
}

impl Running {
    /// When its time is over.
    fn over_at(&self) -> Option<u64> {
        Some(self.started_boot_ms.saturating_add(self.limits.time_limit_ms?))
    }

    /// Notes that it is asked to stop; answers with the end of its grace.
    fn ask(&mut self, why: Outcome, boot_ms: u64) -> u64 {
        self.doom = Some(why);
        self.asked_ms = boot_ms;
        boot_ms.saturating_add(self.limits.grace_ms)
    }

    /// How it ended, given how its process did.
    pub(crate) fn end(&self, exit: &Exit, boot_ms: u64) -> Ended {
        let (outcome, code) = match (self.doom, exit.status) {
            (Some(doom), Ok(code)) => (doom, code),
            (Some(doom), Err(signal)) => (doom, -signal),
            (None, Ok(0)) => (Outcome::Succeeded, 0),
            (None, Ok(code)) => (Outcome::Exited, code),
            (None, Err(signal)) => (Outcome::Signalled, signal),
        };
        Ended {
            key: self.order.key,
            outcome,
            code,
            started_wall_ms: self.started_wall_ms,
            ran_ms: boot_ms.saturating_sub(self.started_boot_ms),
            cpu_ms: exit.cpu_us / 1_000,
            max_rss_kib: exit.max_rss_kib,
            limit_ms: self.stopped_by_ms,
            next: None,
        }
    }

    /// It could not be started.
    pub(crate) fn failed(&self, outcome: Outcome, errno: i32) -> Ended {
        let exit = Exit { pid: 0, status: Ok(errno), cpu_us: 0, max_rss_kib: 0 };
        let ended = self.end(&exit, self.started_boot_ms);
        Ended { outcome: self.doom.unwrap_or(outcome), code: errno, ..ended }
    }
}
