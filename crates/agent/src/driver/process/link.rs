//! The agent's end of its keeper: starting it, finding and ending an old one, talking to it.

use crate::clock::now;
use crate::descendants::{children, in_another_session};
use crate::keeper::proto::{FromKeeper, ToKeeper};
use crate::{AgentError, spawn};
use bytes::{Buf, BytesMut};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use taskyard_wire::{Codec, FrameError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio_util::codec::{Decoder, Encoder};

const LOCK: &str = "keeper.lock";
const READ_BYTES: usize = 16 << 10;
const STACK_BYTES: usize = 128 << 10;
/// An old keeper kills its tasks and goes; one that does not is killed itself.
const OLD_KEEPER_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// How tasks are contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// The keeper is PID 1 of a pid namespace.
    PidNamespace,
    /// Process groups only.
    ProcessGroup,
}

impl Isolation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Isolation::PidNamespace => "pid-namespace",
            Isolation::ProcessGroup => "process-group",
        }
    }
}

pub(crate) struct Link {
    pub(crate) reader: LinkReader,
    pub(crate) writer: LinkWriter,
    /// Resolves when the keeper's process has ended; in a pid namespace that is after the last task's.
    pub(crate) ended: oneshot::Receiver<()>,
    pub(crate) isolation: Isolation,
    pub(crate) pid: i32,
}

pub(crate) struct LinkReader {
    stream: OwnedReadHalf,
    input: BytesMut,
    codec: Codec<FromKeeper, ToKeeper>,
}

pub(crate) struct LinkWriter {
    stream: OwnedWriteHalf,
    out: BytesMut,
    codec: Codec<FromKeeper, ToKeeper>,
}

/// Makes sure that no keeper of an older process lives: asks it to kill its tasks, waits for its end, and takes its
/// lock.
pub(crate) async fn claim(data_dir: &Path) -> Result<File, AgentError> {
    let path = data_dir.join(LOCK);
    let failed = |source| AgentError::DataDir { path: path.clone(), source };
    let mut lock =
        taskyard_datadir::open(&path, OpenOptions::new().create(true).read(true).write(true).truncate(false))
            .map_err(failed)?;
    let deadline = tokio::time::Instant::now() + OLD_KEEPER_WAIT;
    let mut signalled = None;
    while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let signal = if tokio::time::Instant::now() < deadline { Signal::TERM } else { Signal::KILL };
        if signalled != Some(signal) {
            signalled = Some(signal);
            tracing::info!(?signal, "a keeper of an earlier agent lives: ending it and its tasks");
            signal_holder(&mut lock, signal);
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
    Ok(lock)
}

/// Signals the process whose pid is in the lock file. The lock is still held after the pidfd was opened, so it is the
/// keeper's.
fn signal_holder(lock: &mut File, signal: Signal) {
    use std::io::Seek;
    let mut text = String::new();
    let _ = lock.rewind();
    let _ = lock.read_to_string(&mut text);
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if flock(&*lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

/// Starts a keeper that holds `lock` for as long as it lives.
pub(crate) async fn start(command: &[String], lock: &File) -> Result<Link, AgentError> {
    let failed = |source| AgentError::Keeper { program: command.join(" "), source };
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let their_lock = lock.try_clone().map_err(failed)?;
    let (program, arguments) = match command {
        [program, arguments @ ..] => (PathBuf::from(program), arguments.to_vec()),
        [] => (PathBuf::from("/proc/self/exe"), vec!["keeper".to_owned()]),
    };
    let (started, is_started) = oneshot::channel();
    let (over, ended) = oneshot::channel();
    // Only children of the thread that unshared it are born in the new namespace, so the thread is the keeper's own.
    let run = move || {
        let isolation = match spawn::unshare_pids() {
            Ok(()) => Isolation::PidNamespace,
            Err(_) => Isolation::ProcessGroup,
        };
        if isolation == Isolation::ProcessGroup {
            // What the keeper leaves when it is killed becomes ours, to be killed.
            let _ = rustix::process::set_child_subreaper(Some(Pid::INIT));
        }
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
        // The keeper makes a session of its own: an interrupt from a terminal is for the agent, which stops in an
        // orderly way.
        command.stdout(Stdio::from(their_lock));
        match command.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok((child.id(), isolation)));
                let _ = child.wait();
            }
            Err(error) => drop(started.send(Err(error))),
        }
        let _ = over.send(());
    };
    std::thread::Builder::new().name("keeper".into()).stack_size(STACK_BYTES).spawn(run).map_err(failed)?;
    let lost = || Err(io::Error::other("its thread ended"));
    let (pid, isolation) = is_started.await.unwrap_or_else(|_| lost()).map_err(failed)?;
    write_pid(lock, pid).map_err(failed)?;
    let (read, write) = UnixStream::from_std(ours).map_err(failed)?.into_split();
    Ok(Link {
        reader: LinkReader { stream: read, input: BytesMut::new(), codec: Codec::default() },
        writer: LinkWriter { stream: write, out: BytesMut::new(), codec: Codec::default() },
        ended,
        isolation,
        pid: pid as i32,
    })
}

fn write_pid(mut lock: &File, pid: u32) -> io::Result<()> {
    use std::io::Seek;
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "{pid}")
}

impl Link {
    /// Waits until something came or went, or it is time. An error: the keeper's end of the socket is closed.
    /// Cancel-safe.
    pub(crate) async fn turn(&mut self, due_ms: Option<u64>) -> io::Result<()> {
        let busy = !self.writer.is_empty();
        let until = due_ms.map(|due_ms| Duration::from_millis(due_ms.saturating_sub(now().boot_ms)));
        tokio::select! {
            result = self.reader.fill() => result,
            result = self.writer.send_some(), if busy => result,
            () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => Ok(()),
        }
    }

    pub(crate) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Waits until the process of the keeper and all it ran are dead.
    pub(crate) async fn until_dead(self) {
        let _ = self.ended.await;
        if self.isolation == Isolation::ProcessGroup {
            kill_orphans().await;
        }
    }
}

impl LinkReader {
    /// Waits for bytes. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the keeper is gone")),
            _ => Ok(()),
        }
    }

    pub(crate) fn message(&mut self) -> Result<Option<FromKeeper>, FrameError> {
        self.codec.decode(&mut self.input)
    }
}

impl LinkWriter {
    /// Adds an order to what is to be sent; bounded by what the server assigned.
    pub(crate) fn push(&mut self, order: &ToKeeper) {
        if let Err(error) = self.codec.encode(order, &mut self.out) {
            tracing::error!(%error, "an order for the keeper cannot be sent");
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Sends what the socket takes at once. An error shows when reading.
    pub(crate) fn send_now(&mut self) {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(sent) => self.out.advance(sent),
                Err(_) => return,
            }
        }
    }

    pub(crate) async fn send_some(&mut self) -> io::Result<()> {
        let sent = self.stream.write(&self.out).await?;
        self.out.advance(sent);
        Ok(())
    }
}

/// Without a pid namespace: kills what a dead keeper left. Its tasks became children of this process, which reaps
/// subtrees (see [`start`]). They are in the keeper's session; other children of this process are in its own.
async fn kill_orphans() {
    loop {
        let mut found = false;
        for pid in children(rustix::process::getpid()) {
            if in_another_session(pid) {
                found = true;
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                let _ = kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
            }
        }
        if !found {
            return;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}
