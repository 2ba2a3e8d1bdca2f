//! What the keeper's threads share: the books behind one lock, and the way back to the agent.

use super::book::{Book, Running, Stop};
use super::files::{Descriptors, Files};
use super::health;
use super::job::{CannotStart, Job};
use super::launch::Launcher;
use super::probe::probe;
use super::proto::{FromKeeper, JobBody, Setup, ToKeeper};
use super::space::Space;
use crate::clock::{boot_ms, wall_ms};
use crate::orders::{Event, Limits};
use crate::spawn::{self, Exit};
use crate::{descendants, layout};
use bytes::{Buf, BytesMut};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Pid, Signal};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use taskyard_model::Outcome;
use taskyard_wire::Codec;
use tokio_util::codec::Encoder;

/// Under load, events go to the agent at most this often: each batch costs both sides a few system calls and a switch between processes,
/// while the prepared attempts keep the slots busy meanwhile.
const FLUSH_EVERY_MS: u64 = 4;
/// Events of one message.
const EVENTS_PER_MESSAGE_MAX: usize = 8_192;

pub(crate) struct Shared {
    inner: Mutex<Inner>,
    /// Workers without a child to wait for.
    work: Condvar,
    socket: OwnedFd,
    timer: OwnedFd,
    pub(crate) wake: OwnedFd,
    /// Whether this process is PID 1 of a namespace of its own.
    alone: bool,
    descriptors: Arc<Descriptors>,
    space: Arc<Space>,
    jobs_dir: PathBuf,
}

pub(crate) struct Inner {
    pub(crate) book: Book,
    /// Jobs whose directory could not be opened yet.
    unopened: BTreeMap<u64, JobBody>,
    /// Captured output of attempts that run, in bytes, as last looked at.
    running_output: u64,
    out: BytesMut,
    flushed_ms: u64,
    /// What the timer is set to.
    armed_ms: Option<u64>,
    /// Workers that wait for a child.
    waiting: usize,
    idle: usize,
}

impl Inner {
    fn set_limits(&mut self, job: u64, limits: Limits) {
        // Also of one of which nothing has started yet.
        if let Some(body) = self.unopened.get_mut(&job) {
            body.limits = limits;
        }
        self.book.set_limits(job, limits);
    }
}

impl Shared {
    /// `files`: how many this process may have open.
    pub(crate) fn new(socket: OwnedFd, setup: &Setup, files: usize) -> Result<Shared, Errno> {
        let data_dir = Path::new(&setup.data_dir);
        let space = Space::new(data_dir, setup.output_bytes_max, setup.output_of_node_bytes_max);
        let inner = Inner {
            book: Book::default(),
            unopened: BTreeMap::new(),
            running_output: 0,
            out: BytesMut::new(),
            flushed_ms: 0,
            armed_ms: None,
            waiting: 0,
            idle: 0,
        };
        Ok(Shared {
            inner: Mutex::new(inner),
            work: Condvar::new(),
            socket,
            timer: rustix::time::timerfd_create(
                TimerfdClockId::Boottime,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            alone: std::process::id() == 1,
            descriptors: Arc::new(Descriptors::new(files)),
            space: Arc::new(space),
            jobs_dir: layout::jobs_dir(data_dir),
        })
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(crate) fn timer(&self) -> &OwnedFd {
        &self.timer
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life: reap, report, start the next; for ever.
    pub(crate) fn work(&self, launcher: &mut Launcher) {
        loop {
            let mut inner = self.lock();
            let key = inner.book.next_ready(boot_ms(), wall_ms());
            if let Some(key) = key {
                let spawn = inner.book.newest_spawn();
                drop(inner);
                self.start(launcher, spawn, key);
                continue;
            }
            self.flush(&mut inner, false);
            if inner.book.children() <= inner.waiting {
                inner.idle += 1;
                inner = self.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
                inner.idle -= 1;
                continue;
            }
            inner.waiting += 1;
            drop(inner);
            let exit = spawn::wait_any();
            self.lock().waiting -= 1;
            match exit {
                Some(exit) => self.reaped(launcher, exit),
                // Another worker has reaped the last child but not come to the books yet.
                None => std::thread::yield_now(),
            }
        }
    }

    /// Starts everything that waits to be started, in this thread.
    pub(crate) fn start_ready(&self, launcher: &mut Launcher) {
        loop {
            let mut inner = self.lock();
            let Some(key) = inner.book.next_ready(boot_ms(), wall_ms()) else {
                return self.flush(&mut inner, false);
            };
            let spawn = inner.book.newest_spawn();
            if inner.book.has_ready() && inner.idle > 0 {
                self.work.notify_one();
            }
            drop(inner);
            self.start(launcher, spawn, key);
        }
    }

    fn reaped(&self, launcher: &mut Launcher, exit: Exit) {
        let running = self.lock().book.exited(exit);
        if let Some(next) = running.and_then(|running| self.ended(running, Ok(exit))) {
            self.start(launcher, next.0, next.1);
        }
    }

    /// Cleans up after an attempt and reports it. Returns the spawn number and key of the attempt that takes its place.
    fn ended(&self, mut running: Running, how: Result<Exit, CannotStart>) -> Option<(u64, u64)> {
        if let Ok(exit) = how {
            // What the task left in its process group ends with it.
            signal(exit.pid, Signal::KILL);
        }
        if let Some(slot) = running.slot.take() {
            running.cut = running.job.files.settle(slot, &running.order);
        }
        let now = boot_ms();
        let end = match how {
            Ok(exit) => running.end(&exit, now),
            Err(cannot) => running.failed(cannot.0, cannot.1.raw_os_error()),
        };
        let mut inner = self.lock();
        if let Err(CannotStart(Outcome::NodeFault, errno)) = how {
            inner.book.fault(errno, now);
        }
        let next = inner.book.ended(end, running.order.group, now, wall_ms());
        // Nothing should live now; what still does has escaped from its process group.
        let idle = inner.book.is_idle();
        if idle && self.alone {
            kill_namespace();
        }
        let escaped = idle && !self.alone && descendants::any_child();
        if inner.book.is_closed() || escaped {
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
        next.map(|key| (inner.book.newest_spawn(), key))
    }

    /// Creates the process of a launching attempt, and of those that take its place if it cannot be created or is gone already.
    fn start(&self, launcher: &mut Launcher, mut spawn: u64, mut key: u64) {
        loop {
            let Some(next) = self.start_one(launcher, spawn, key) else { return };
            (spawn, key) = next;
        }
    }

    fn start_one(&self, launcher: &mut Launcher, spawn: u64, key: u64) -> Option<(u64, u64)> {
        let (job, order) = {
            let mut inner = self.lock();
            let running = inner.book.running(key)?;
            (running.job.clone(), running.order.clone())
        };
        let (mut slot, mut result) = launcher.launch(&job, &order);
        if result.as_ref().is_err_and(|cannot| health::lacks_descriptors(cannot.1)) {
            if let Some(slot) = slot {
                job.files.settle(slot, &order);
            }
            self.give_way();
            (slot, result) = launcher.launch(&job, &order);
        }
        let mut inner = self.lock();
        if let Some(running) = inner.book.running(key) {
            running.slot = slot;
        }
        let pid = match result {
            Ok(pid) => pid,
            Err(cannot) => {
                inner.book.spawn_over(spawn);
                let running = inner.book.remove(key)?;
                drop(inner);
                return self.ended(running, Err(cannot));
            }
        };
        while inner.book.pid_taken(pid) {
            drop(inner);
            std::thread::yield_now();
            inner = self.lock();
        }
        let (stop, exit) = inner.book.spawned(spawn, key, pid);
        stop.into_iter().for_each(send_stop);
        if inner.book.wants_publish(key) {
            publish(&mut inner, key);
        }
        if let Some(exit) = exit {
            let running = inner.book.remove(key)?;
            drop(inner);
            return self.ended(running, Ok(exit));
        }
        if inner.idle > 0 && inner.book.children() > inner.waiting {
            self.work.notify_one();
        }
        self.flush(&mut inner, false);
        self.arm(&mut inner);
        None
    }

    /// Carries out an order of the agent. True: the io thread should look for something to start.
    pub(crate) fn order(&self, order: ToKeeper) {
        let mut inner = self.lock();
        let now = boot_ms();
        match order {
            ToKeeper::Setup(_) => {}
            ToKeeper::Job(body) => {
                inner.book.unusable.remove(&body.job);
                inner.unopened.insert(body.job, *body);
            }
            ToKeeper::DropJob(job) => {
                inner.unopened.remove(&job);
                let dropped = inner.book.drop_job(job);
                // Its files are removed without the others waiting for that.
                drop(inner);
                return drop(dropped);
            }
            ToKeeper::Forgotten(job) => self.space.forget(job),
            ToKeeper::Prepare(orders) => {
                for order in &orders {
                    self.open_job(&mut inner, order.job);
                }
                inner.book.prepare(orders);
            }
            ToKeeper::CannotPrepare { job, errno } => {
                inner.book.cannot_prepare(job, Errno::from_raw_os_error(errno), now);
            }
            ToKeeper::Limits { job, limits } => inner.set_limits(job, limits),
            ToKeeper::Start(key) => inner.book.start(key),
            ToKeeper::Recall(key) => drop(inner.book.recall(key)),
            ToKeeper::Stop { key, why } => {
                inner.book.stop(key, why, now).into_iter().for_each(send_stop);
            }
            ToKeeper::Kill(key) => inner.book.kill(key, now).into_iter().for_each(send_stop),
            ToKeeper::Lease(lease) => inner.book.renew(lease),
            ToKeeper::Ping { sent_ms } => inner.book.pinged(sent_ms),
            ToKeeper::Publish(key) => {
                if inner.book.publish(key) {
                    publish(&mut inner, key);
                }
            }
        }
        self.arm(&mut inner);
    }

    /// Opens the directory of a job of which the first attempt comes now, or takes over the files of one that was changed.
    fn open_job(&self, inner: &mut Inner, job: u64) {
        let Some(body) = inner.unopened.get(&job) else { return };
        let known = inner.book.job(job).map(|job| job.files.clone());
        let open = || match &known {
            Some(files) => Ok(files.clone()),
            None => Files::open(&self.jobs_dir, job, &self.descriptors, &self.space).map(Arc::new),
        };
        let mut files = open();
        if files.as_ref().is_err_and(|errno| health::lacks_descriptors(*errno)) {
            inner.book.each_job().for_each(|job| job.files.give_way());
            files = open();
        }
        match files.and_then(|files| Job::new(body, files)) {
            Ok(opened) => {
                inner.unopened.remove(&job);
                inner.book.add_job(opened);
            }
            Err(errno) => inner.book.cannot_prepare(job, errno, boot_ms()),
        }
    }

    /// Closes files that are kept to be faster.
    fn give_way(&self) {
        let jobs: Vec<Arc<Job>> = self.lock().book.each_job().cloned().collect();
        jobs.iter().for_each(|job| job.files.give_way());
    }

    /// If the node could not start tasks and it is time: tries whether it can now.
    pub(crate) fn probe(&self, launcher: &mut Launcher) {
        if !self.lock().book.is_probe_due(boot_ms()) {
            return;
        }
        self.give_way();
        let result = probe(&self.jobs_dir, launcher);
        let mut inner = self.lock();
        inner.book.probed(result, boot_ms());
        self.flush(&mut inner, false);
        self.arm(&mut inner);
    }

    /// Time passed: stops what is due, and sends what has waited long enough.
    pub(crate) fn tick(&self) {
        let mut inner = self.lock();
        inner.armed_ms = None;
        for stop in inner.book.stops_due(boot_ms()) {
            send_stop(stop);
        }
        if inner.book.lease_over(boot_ms()) {
            self.kill_rest();
        }
        self.flush(&mut inner, false);
        self.arm(&mut inner);
    }

    /// Kills everything now.
    pub(crate) fn kill_all(&self) {
        let mut inner = self.lock();
        inner.book.close();
        inner.book.kill_all().into_iter().for_each(send_stop);
        self.kill_rest();
    }

    /// Kills whatever descends from this process.
    fn kill_rest(&self) {
        if self.alone {
            kill_namespace();
        } else {
            descendants::kill_all();
        }
    }

    /// While nothing of ours runs, or may: kills what escaped from its process group. True: it was there, and more may come of it. In a
    /// namespace of its own the keeper has seen to it when the last attempt ended.
    pub(crate) fn sweep(&self) -> bool {
        let inner = self.lock();
        if self.alone || !inner.book.is_idle() {
            return false;
        }
        descendants::reap_all();
        let left = descendants::any_child();
        if left {
            descendants::kill_all();
        }
        left
    }

    /// Keeps captured output within its limits. True: something grows so fast that it should be looked at again soon.
    pub(crate) fn bound_output(&self) -> bool {
        let mut running = BTreeSet::new();
        let mut inner = self.lock();
        let streams = 2 * inner.book.running_count();
        let max = self.space.running_max(inner.running_output, streams);
        let (mut bytes, mut any) = (0, false);
        inner.book.each_running(|one| {
            let Some(slot) = &mut one.slot else { return };
            let (kept, cut) = one.job.files.cut(slot, &one.order, max);
            bytes += kept;
            any |= cut;
            if kept > 0 {
                running.insert((one.order.job, one.order.index, one.order.attempt));
            }
        });
        inner.running_output = bytes;
        drop(inner);
        self.space.make_room(bytes, |job, name| {
            let mut numbers = name.split('.').map_while(|part| part.parse::<u32>().ok());
            let attempt = numbers.next().zip(numbers.next());
            attempt.is_some_and(|(index, attempt)| running.contains(&(job, index, attempt)))
        });
        any
    }

    /// Sends events: at once if the last ones went a while ago, else when the timer says so.
    pub(crate) fn flush(&self, inner: &mut Inner, anyway: bool) {
        if !inner.book.has_news() && inner.out.is_empty() {
            return;
        }
        let now = boot_ms();
        if !anyway && now < inner.flushed_ms + FLUSH_EVERY_MS {
            return self.arm(inner);
        }
        inner.flushed_ms = now;
        for message in inner.book.take_news(EVENTS_PER_MESSAGE_MAX) {
            // Far below the limit of a message: an event has some fifty bytes.
            let _ = Codec::<ToKeeper, FromKeeper>::default().encode(&message, &mut inner.out);
        }
        self.send(inner);
    }

    fn send(&self, inner: &mut Inner) {
        while !inner.out.is_empty() {
            match rustix::net::send(&self.socket, &inner.out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => inner.out.advance(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // The io thread goes on when there is room.
                    let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
                    return;
                }
                // The agent is gone; the io thread will find out.
                Err(_) => inner.out.clear(),
            }
        }
        // A burst must not keep its memory for ever.
        if inner.out.capacity() > 1 << 16 {
            inner.out = BytesMut::new();
        }
    }

    /// There is more to send than the socket took.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.lock().out.is_empty()
    }

    fn arm(&self, inner: &mut Inner) {
        let now = boot_ms();
        let flush = inner.book.has_news().then(|| inner.flushed_ms + FLUSH_EVERY_MS);
        let Some(wanted) = inner.book.next_due(now).into_iter().chain(flush).min() else { return };
        if inner.armed_ms.is_some_and(|armed| armed <= wanted && armed > now) {
            return;
        }
        inner.armed_ms = Some(wanted);
        let at = wanted.max(1);
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: (at / 1_000) as i64, tv_nsec: (at % 1_000 * 1_000_000) as i64 },
        };
        // Cannot fail with a valid descriptor and time.
        let _ = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec);
    }
}

fn publish(inner: &mut Inner, key: u64) {
    if let Some(running) = inner.book.running(key) {
        let (job, order) = (running.job.clone(), running.order.clone());
        if let Some(slot) = &mut running.slot {
            job.files.publish(slot, &order);
        }
    }
    inner.book.events.push(Event::Published(key));
}

/// Kills every other process of our pid namespace. Only for PID 1 of one: elsewhere it would kill the machine.
fn kill_namespace() {
    assert_eq!(std::process::id(), 1, "not alone");
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}

fn send_stop(stop: Stop) {
    match stop {
        Stop::Ask(pid) => signal(pid, Signal::TERM),
        Stop::Kill(pid) => signal(pid, Signal::KILL),
    }
}

/// To a whole process group; one that is gone already is no error.
fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}
