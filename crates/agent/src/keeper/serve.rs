//! The keeper's process: its set-up, and the thread that reads the agent's orders and watches the time.

use super::launch::Launcher;
use super::proto::{FromKeeper, KeeperSetup, ToKeeper};
use super::shared::SharedKeeper;
use crate::clock::boot_ms;
use crate::spawn;
use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::Resource;
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use taskyard_wire::Codec;
use tokio_util::codec::Decoder;

const STACK_BYTES: usize = 128 << 10;
const DESCRIPTORS_PER_WORKER: usize = 16;
const READ_BYTES: usize = 64 << 10;
/// How often the size of captured output is looked at.
const OUTPUT_CHECK_MS: u64 = 250;
/// The same while something grows fast.
const OUTPUT_CHECK_SOON_MS: u64 = 20;
/// How often it is looked whether the disk has room.
const DISK_CHECK_MS: u64 = 1_000;
/// With many tasks, looking takes at most this part of the time.
const OUTPUT_CHECK_PART: u64 = 20;
/// How often it is looked whether what was killed is gone.
const SWEEP_CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("cannot be set up")]
    SetUp(#[from] Errno),
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
    #[error("what the agent says cannot be read: {0}")]
    Agent(taskyard_wire::FrameError),
}

struct RequestReader {
    socket: OwnedFd,
    input: BytesMut,
    codec: Codec<ToKeeper, FromKeeper>,
}

pub(crate) fn serve() -> Result<(), KeeperError> {
    spawn::settle_signals();
    // Away from any terminal, and tasks with it. Fails only for one that leads a session already.
    let _ = rustix::process::setsid();
    // Inherited by every task: no program gains rights by set-user-id.
    rustix::thread::set_no_new_privs(true)?;
    // Orphans of tasks become children of the keeper rather than of its parent.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::Pid::INIT));
    own_mounts();
    let (socket, lock) = take_stdio()?;
    let stop = spawn::stop_signals()?;
    let mut reader = RequestReader {
        socket: rustix::io::fcntl_dupfd_cloexec(&socket, 3)?,
        input: BytesMut::with_capacity(READ_BYTES),
        codec: Codec::default(),
    };
    let Some(setup) = reader.first()? else { return Ok(()) };
    let files = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let shared = Arc::new(SharedKeeper::new(socket, &setup, files)?);
    // Each needs a few descriptors at the moment of a start.
    let workers = (setup.workers.max(1) as usize).min((files / DESCRIPTORS_PER_WORKER).max(2));
    for _ in 0..workers {
        let null = Launcher::open_null()?;
        let (shared, node) = (shared.clone(), setup.node.clone());
        let work = move || shared.work(&mut Launcher::new(node, null));
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map_err(KeeperError::Thread)?;
    }
    let mut launcher = Launcher::new(setup.node.clone(), Launcher::open_null()?);
    let result = watch(&shared, &mut reader, &stop, &mut launcher);
    drop(lock);
    result
}

/// Until the agent is gone and nothing runs any more.
fn watch(
    shared: &SharedKeeper,
    reader: &mut RequestReader,
    stop: &OwnedFd,
    launcher: &mut Launcher,
) -> Result<(), KeeperError> {
    // Orders may have come together with the set-up.
    let mut connected = reader.orders(|order| shared.order(order))?;
    shared.start_ready(launcher);
    let mut checks = Checks::default();
    loop {
        let (closed, idle) = {
            let mut inner = shared.lock();
            if !connected && !inner.book.is_closed() {
                inner.book.close();
            }
            (inner.book.is_closed(), inner.book.is_idle())
        };
        let swept = idle && shared.sweep();
        if closed && idle && !swept {
            return Ok(());
        }
        let mut socket_events = if connected { PollFlags::IN } else { PollFlags::empty() };
        socket_events.set(PollFlags::OUT, connected && shared.has_backlog());
        let mut fds = [
            PollFd::new(if connected { shared.socket() } else { shared.timer() }, socket_events),
            PollFd::new(shared.timer(), PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
            PollFd::new(&shared.wake, PollFlags::IN),
        ];
        // While tasks run, their output is looked at; after the agent's end, whether they are gone.
        let to_check = checks.until_next();
        let timeout = match (swept, idle) {
            (true, _) => Some(&SWEEP_CHECK),
            (false, true) => None,
            (false, false) => Some(&to_check),
        };
        let _ = poll(&mut fds, timeout);
        let [socket, timer, stopped, woken] = fds.map(|fd| fd.revents());
        checks.run(shared, idle);
        if !woken.is_empty() {
            drain(&shared.wake);
        }
        if connected && socket.contains(PollFlags::OUT) {
            shared.flush(&mut shared.lock(), true);
        }
        if connected && socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            connected = reader.orders(|order| shared.order(order))?;
            shared.start_ready(launcher);
        }
        // After the orders: a keeper that was stopped for a while may find its lease renewed.
        if !timer.is_empty() {
            drain(shared.timer());
            shared.tick();
            shared.probe(launcher);
        }
        if !stopped.is_empty() {
            drain(stop);
            shared.kill_all();
        }
    }
}

/// When to look at output and disk again, by CLOCK_BOOTTIME.
#[derive(Default)]
struct Checks {
    output_ms: u64,
    disk_ms: u64,
}

impl Checks {
    /// How long to wait for the next look at output.
    fn until_next(&self) -> Timespec {
        let wait_ms = self.output_ms.saturating_sub(boot_ms()).min(OUTPUT_CHECK_MS);
        Timespec { tv_sec: 0, tv_nsec: (wait_ms * 1_000_000) as i64 }
    }

    /// Looks at what is due.
    fn run(&mut self, shared: &SharedKeeper, idle: bool) {
        let began = boot_ms();
        if !idle && began >= self.output_ms {
            let every = if shared.bound_output() { OUTPUT_CHECK_SOON_MS } else { OUTPUT_CHECK_MS };
            let now = boot_ms();
            self.output_ms = now + every.max(OUTPUT_CHECK_PART * (now - began));
        }
        // The pings of the agent wake this thread, so that an idle node is looked at without a timer.
        if began >= self.disk_ms {
            shared.check_disk();
            self.disk_ms = began + DISK_CHECK_MS;
        }
    }
}

impl RequestReader {
    /// Reads what has come. False: the agent is gone.
    fn orders(&mut self, mut each: impl FnMut(ToKeeper)) -> Result<bool, KeeperError> {
        loop {
            while let Some(order) = self.codec.decode(&mut self.input).map_err(KeeperError::Agent)? {
                each(order);
            }
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(_) => return Ok(false),
            }
        }
    }

    fn first(&mut self) -> Result<Option<KeeperSetup>, KeeperError> {
        loop {
            match self.codec.decode(&mut self.input).map_err(KeeperError::Agent)? {
                Some(ToKeeper::Setup(setup)) => return Ok(Some(setup)),
                Some(_) => return Ok(None),
                None => {}
            }
            match self.receive(RecvFlags::empty()) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Errno> {
        let length = self.input.len();
        self.input.resize(length + READ_BYTES, 0);
        let result = rustix::net::recv(&self.socket, &mut self.input[length..], flags);
        let received = result.as_ref().map_or(0, |(count, _)| *count);
        self.input.truncate(length + received);
        result.map(|(count, _)| count)
    }
}

/// Moves the socket and the lock off the standard descriptors, which tasks get their own of, and closes them on exec.
fn take_stdio() -> Result<(OwnedFd, OwnedFd), Errno> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    let lock = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((socket, lock))
}

/// As PID 1 of a pid namespace, shows tasks a `/proc` of that namespace. Without it tools would see the processes of
/// the host under numbers that mean nothing here; tasks run all the same, so an error is not fatal.
fn own_mounts() {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    if std::process::id() != 1 || spawn::unshare_mounts().is_err() {
        return;
    }
    if mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM).is_ok() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let _ = mount("proc", "/proc", "proc", flags, None);
    }
}

fn drain(fd: &OwnedFd) {
    let mut room = [0u8; 512];
    let _ = rustix::io::read(fd, &mut room);
}
