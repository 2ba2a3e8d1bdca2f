//! What the keeper's threads share: the books behind one lock, and the way back to the agent.

mod orders;
mod outbox;
mod work;

use super::book::{Book, StopSignal};
use super::files::Descriptors;
use super::proto::{JobBody, KeeperSetup};
use super::space::Space;
use crate::clock::boot_ms;
use crate::orders::{DriverEvent, Limits};
use crate::{descendants, layout};
use bytes::BytesMut;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::time::{TimerfdClockId, TimerfdFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) struct SharedKeeper {
    /// One lock for all books. An end is recorded and its place given to the next attempt in one critical section, so
    /// that no other thread can fill the place in between. The lock is never held across a system call that may wait:
    /// files are opened and processes created outside.
    inner: Mutex<Guarded>,
    /// Workers without a child to wait for: waitpid(2) with no child at all returns at once.
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

pub(crate) struct Guarded {
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

impl Guarded {
    fn set_limits(&mut self, job: u64, limits: Limits) {
        // Also of one of which nothing has started yet.
        if let Some(body) = self.unopened.get_mut(&job) {
            body.limits = limits;
        }
        self.book.set_limits(job, limits);
    }
}

impl SharedKeeper {
    /// `files`: how many this process may have open.
    pub(crate) fn new(socket: OwnedFd, setup: &KeeperSetup, files: usize) -> Result<SharedKeeper, Errno> {
        let data_dir = Path::new(&setup.data_dir);
        let space = Space::new(data_dir, setup.output_bytes_max, setup.output_of_node_bytes_max);
        let inner = Guarded {
            book: Book::default(),
            unopened: BTreeMap::new(),
            running_output: 0,
            out: BytesMut::new(),
            flushed_ms: 0,
            armed_ms: None,
            waiting: 0,
            idle: 0,
        };
        Ok(SharedKeeper {
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Kills what escaped from its process group, at a moment when nothing should run. True: something did, and it may
    /// have started more. In a pid namespace that happened already, at the end of the last attempt.
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
}

fn publish(inner: &mut Guarded, key: u64) {
    if let Some(running) = inner.book.running(key) {
        let (job, order) = (running.job.clone(), running.order.clone());
        if let Some(slot) = &mut running.slot {
            job.files.publish(slot, &order);
        }
    }
    inner.book.events.push(DriverEvent::Published(key));
}

/// Kills every other process of our pid namespace. Only for PID 1 of one: elsewhere it would kill the machine.
fn kill_namespace() {
    assert_eq!(std::process::id(), 1, "not alone");
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}

fn send_stop(stop: StopSignal) {
    match stop {
        StopSignal::Ask(pid) => signal(pid, Signal::TERM),
        StopSignal::Kill(pid) => signal(pid, Signal::KILL),
    }
}

/// To a whole process group; one that is gone already is no error.
fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}
