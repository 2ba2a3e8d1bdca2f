//! A worker's life: start what is ready, wait for any child, report its end, start the next in its place.

use super::{SharedKeeper, publish, send_stop, signal};
use crate::clock::{boot_ms, wall_ms};
use crate::descendants;
use crate::keeper::book::Running;
use crate::keeper::health;
use crate::keeper::job::CannotStart;
use crate::keeper::launch::Launcher;
use crate::keeper::shared::kill_namespace;
use crate::spawn::{self, Exit};
use rustix::process::Signal;
use std::sync::PoisonError;
use taskyard_model::Outcome;

impl SharedKeeper {
    /// A worker's life: reap, report, start the next. Does not end.
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
            // One waiter per child: with more, waitpid(2) would fail for those that get none.
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
        let disk = &self.space.disk;
        let full = disk.fault();
        running.cut.disk_full =
            running.writes_captured() && how.is_ok() && disk.was_used_up_since(running.started_boot_ms);
        let now = boot_ms();
        let end = match how {
            Ok(exit) => running.end(&exit, now),
            Err(cannot) => running.failed(cannot.0, cannot.1.raw_os_error()),
        };
        let mut inner = self.lock();
        let fault = match how {
            Err(CannotStart(Outcome::NodeFault, errno)) => Some(disk.describe(errno)),
            _ => full,
        };
        if let Some(fault) = fault {
            inner.book.fault(fault, now);
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

    /// Creates the process of a launching attempt. If that fails, or the process has ended already, the next attempt
    /// takes the place, and so on.
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
        let (mut slot, mut result) = match self.space.disk.fault_before_start() {
            // Its output would be lost, though a program starts without a byte of room.
            Some(fault) => (None, Err(CannotStart(Outcome::NodeFault, fault.errno))),
            None => launcher.launch(&job, &order),
        };
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
        // The kernel has reused the pid of a process that was just reaped, and the thread that reaped it has not
        // reached the books yet. It needs the lock for that, so let go of it.
        while inner.book.pid_taken(pid) {
            drop(inner);
            std::thread::yield_now();
            inner = self.lock();
        }
        // It may have been told to stop while it was created, and it may have ended before this thread came here.
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
}
