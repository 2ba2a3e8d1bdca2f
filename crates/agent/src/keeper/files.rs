//! Files of a task: its directory, its captured output, and what its job names.
//!
//! Creating a file or a directory costs tens of microseconds, a good part of what starting a small program costs. So an attempt writes into
//! files of a *slot*, which get the attempt's own name (`INDEX.ATTEMPT.out`) only when there is something in them or someone reads them.
//! Files that stayed empty go to a later attempt of the same job, but only once no process has them open any more (see
//! [`spawn::sole_writer`]): two attempts never write into one file. A task directory that stayed empty is used again likewise.

use super::proto::{JobBody, Order};
use crate::spawn::{HasNul, Strings};
use crate::{layout, spawn};
use rustix::fs::{AtFlags, Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use taskyard_model::Outcome;
use taskyard_model::pattern::{Values, fill};

/// The default search path of tasks and of ours for their programs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Slots that are kept for later attempts of a job; each holds three descriptors.
const SLOTS_KEPT_MAX: usize = 64;
/// Empty files of each stream of a job that may still be written to; past that they get their attempts' names.
const DOUBTFUL_MAX: usize = 16;

/// A job as its tasks need it: everything that is equal for all of them is made once.
pub(crate) struct Job {
    pub(crate) body: JobBody,
    pub(crate) argv: Strings,
    pub(crate) env: Strings,
    program: Mutex<Option<CString>>,
    dir: OwnedFd,
    pub(crate) path: PathBuf,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    free: Vec<Slot>,
    /// Empty files that another process had open when last looked at.
    doubtful: [VecDeque<Doubtful>; 2],
    numbers: u32,
}

/// An empty file that may still be written to. Mostly it may not: a child of another thread has a copy of every descriptor until its `exec`.
struct Doubtful {
    captured: Captured,
    index: u32,
    attempt: u32,
}

/// Files of one attempt at a time.
pub(crate) struct Slot {
    /// The task directory and its number.
    dir: Option<(u32, OwnedFd)>,
    streams: [Option<Captured>; 2],
}

struct Captured {
    number: u32,
    file: File,
    /// It has the attempt's name already.
    published: bool,
}

impl Captured {
    fn is_clean(&self) -> bool {
        !self.published && self.is_empty() && spawn::sole_writer(&self.file)
    }

    fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|m| m.len() == 0)
    }
}

/// Why an attempt cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotStart(pub(crate) Outcome, pub(crate) Errno);

const STREAMS: [&str; 2] = ["out", "err"];

impl Job {
    /// Makes ready what all tasks of the job share.
    pub(crate) fn open(jobs_dir: &Path, body: JobBody) -> Result<Job, Errno> {
        let path = jobs_dir.join(body.job.to_string());
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = rustix::fs::open(&path, flags, Mode::empty())?;
        let nul = |_: HasNul| Errno::INVAL;
        let (mut argv, mut env) = (Strings::default(), Strings::default());
        for argument in &body.argv {
            argv.push(argument.as_bytes()).map_err(nul)?;
        }
        for (key, value) in &body.env {
            env.variable(key, value.as_bytes()).map_err(nul)?;
        }
        Ok(Job { body, argv, env, program: Mutex::default(), dir, path, slots: Mutex::default() })
    }

    /// The program's path: found once for a name without a slash, and again after a start that failed.
    pub(crate) fn program(&self, again: bool) -> Result<CString, CannotStart> {
        let mut known = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known.as_ref().filter(|_| !again) {
            return Ok(path.clone());
        }
        let name = self.body.argv.first().map_or("", String::as_str);
        let path = if name.contains('/') { Some(PathBuf::from(name)) } else { self.search(name) };
        let path = path.and_then(|p| CString::new(p.into_os_string().into_encoded_bytes()).ok());
        known.clone_from(&path);
        path.ok_or(CannotStart(Outcome::NoProgram, Errno::NOENT))
    }

    fn search(&self, name: &str) -> Option<PathBuf> {
        if name.is_empty() {
            return None;
        }
        let path = self.body.env.iter().rev().find(|(key, _)| key == "PATH").map_or(PATH, |(_, v)| v);
        path.split(':').map(|dir| Path::new(dir).join(name)).find(|candidate| {
            candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
        })
    }

    /// Files for an attempt: used ones that are clean, else new ones.
    pub(crate) fn slot(&self) -> Result<(Slot, PathBuf), CannotStart> {
        let mut slot = self.slots().free.pop().unwrap_or(Slot { dir: None, streams: [None, None] });
        let wanted = [self.body.stdout.is_none(), self.body.stderr.is_none()];
        for (i, stream) in slot.streams.iter_mut().enumerate().filter(|(i, _)| wanted[*i]) {
            if stream.is_none() {
                *stream = self.cleared(i);
            }
            if stream.is_none() {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o600);
                let make = |number| openat(&self.dir, slot_name(number, i), flags, mode);
                let (number, fd) = self.numbered(make).map_err(no_file)?;
                *stream = Some(Captured { number, file: File::from(fd), published: false });
            }
        }
        if slot.dir.is_none() {
            slot.dir = Some(self.numbered(|number| self.make_dir(number)).map_err(no_file)?);
        }
        let number = slot.dir.as_ref().map_or(0, |dir| dir.0);
        Ok((slot, self.path.join(format!("work.{number}"))))
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes something under the next number that is free: a keeper that was killed may have left some taken.
    fn numbered<T>(&self, make: impl Fn(u32) -> Result<T, Errno>) -> Result<(u32, T), Errno> {
        loop {
            let number = {
                let mut slots = self.slots();
                slots.numbers += 1;
                slots.numbers
            };
            match make(number) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
                Ok(made) => return Ok((number, made)),
            }
        }
    }

    fn make_dir(&self, number: u32) -> Result<OwnedFd, Errno> {
        let name = format!("work.{number}");
        rustix::fs::mkdirat(&self.dir, &name, Mode::from_raw_mode(0o700))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(&self.dir, &name, flags, Mode::empty())
    }

    /// The descriptor a task writes to: a description of its own, so that a process it leaves behind can be told from ours.
    pub(crate) fn open_stream(&self, slot: &Slot, stream: usize) -> Result<OwnedFd, CannotStart> {
        let number = slot.streams[stream].as_ref().map_or(0, |captured| captured.number);
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.dir, slot_name(number, stream), flags, Mode::empty()).map_err(no_file)
    }

    /// Gives the captured files of a running attempt their final names.
    pub(crate) fn publish(&self, slot: &mut Slot, order: &Order) {
        for (i, stream) in slot.streams.iter_mut().enumerate() {
            if let Some(captured) = stream.as_mut().filter(|c| !c.published) {
                captured.published = self.rename(captured.number, i, order.index, order.attempt);
            }
        }
    }

    fn rename(&self, number: u32, stream: usize, index: u32, attempt: u32) -> bool {
        let name = layout::output_name(index, attempt, STREAMS[stream]);
        rustix::fs::renameat(&self.dir, slot_name(number, stream), &self.dir, name).is_ok()
    }

    /// After the end of an attempt: names what it wrote, and keeps what is clean for the next.
    pub(crate) fn settle(&self, mut slot: Slot, order: &Order) {
        for (i, stream) in slot.streams.iter_mut().enumerate() {
            let Some(captured) = stream.take() else { continue };
            if captured.is_clean() {
                *stream = Some(captured);
            } else if !captured.published && captured.is_empty() {
                self.doubt(i, Doubtful { captured, index: order.index, attempt: order.attempt });
            } else if !captured.published {
                self.rename(captured.number, i, order.index, order.attempt);
            }
        }
        if slot.dir.as_ref().is_some_and(|(_, fd)| !is_empty(fd)) {
            slot.dir = None;
        }
        let mut slots = self.slots();
        if slots.free.len() < SLOTS_KEPT_MAX {
            slots.free.push(slot);
        } else {
            drop(slots);
            self.discard(slot);
        }
    }

    fn doubt(&self, stream: usize, doubtful: Doubtful) {
        let mut slots = self.slots();
        let queue = &mut slots.doubtful[stream];
        queue.push_back(doubtful);
        let oldest = if queue.len() > DOUBTFUL_MAX { queue.pop_front() } else { None };
        drop(slots);
        if let Some(old) = oldest {
            self.rename(old.captured.number, stream, old.index, old.attempt);
        }
    }

    /// A file that was doubtful and is clean now. One that was written to gets the name of its attempt.
    fn cleared(&self, stream: usize) -> Option<Captured> {
        let doubtful = self.slots().doubtful[stream].pop_front()?;
        if doubtful.captured.is_clean() {
            return Some(doubtful.captured);
        }
        if doubtful.captured.is_empty() {
            self.doubt(stream, doubtful);
        } else {
            self.rename(doubtful.captured.number, stream, doubtful.index, doubtful.attempt);
        }
        None
    }

    fn discard(&self, slot: Slot) {
        for (i, captured) in slot.streams.iter().enumerate() {
            if let Some(captured) = captured {
                let _ = rustix::fs::unlinkat(&self.dir, slot_name(captured.number, i), AtFlags::empty());
            }
        }
        if let Some((number, _)) = slot.dir {
            let _ = rustix::fs::unlinkat(&self.dir, format!("work.{number}"), AtFlags::REMOVEDIR);
        }
    }

    /// Cuts captured output of a running attempt that passed its limit.
    pub(crate) fn cut(&self, slot: &Slot, order: &Order, bytes_max: u64) {
        for (i, captured) in slot.streams.iter().enumerate() {
            let Some(captured) = captured else { continue };
            let over = captured.file.metadata().map_or(0, |m| m.len()).saturating_sub(bytes_max);
            if over > 0 && captured.file.set_len(bytes_max).is_ok() {
                let output = layout::output_name(order.index, order.attempt, STREAMS[i]);
                let path = self.path.join(format!("{output}.dropped"));
                let before = std::fs::read_to_string(&path).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
                let _ = std::fs::write(&path, (before + over).to_string());
            }
        }
    }
}

impl Slot {
    /// The task directory.
    pub(crate) fn dir(&self) -> Option<&OwnedFd> {
        self.dir.as_ref().map(|dir| &dir.1)
    }
}

/// Opens a file that the user named, for standard input (`write` false) or output. Output is appended: what an earlier attempt or another
/// task of the array wrote is never destroyed. Parent directories of output are made.
pub(crate) fn open_named(cwd: &Path, name: &str, write: bool) -> Result<OwnedFd, CannotStart> {
    let path = cwd.join(name);
    let access = if write { OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE } else { OFlags::RDONLY };
    // Without NONBLOCK a FIFO nobody has open would stop the keeper's thread.
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let open = || rustix::fs::open(&path, flags, Mode::from_raw_mode(0o666));
    let fd = match open() {
        Err(Errno::NOENT) if write => {
            let parent = path.parent().unwrap_or(cwd);
            std::fs::create_dir_all(parent).map_err(|e| no_file(errno(&e)))?;
            open()
        }
        other => other,
    }
    .map_err(no_file)?;
    let status = rustix::fs::fcntl_getfl(&fd).map_err(no_file)?;
    rustix::fs::fcntl_setfl(&fd, status - OFlags::NONBLOCK).map_err(no_file)?;
    Ok(fd)
}

/// Opens a working directory.
pub(crate) fn open_cwd(path: &Path) -> Result<OwnedFd, CannotStart> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| CannotStart(Outcome::NoCwd, e))
}

/// Fills the patterns of a path of the job.
pub(crate) fn filled(text: &str, job: &JobBody, order: &Order, node: &str) -> String {
    let values = Values { job: job.job, task: order.number, attempt: order.attempt, node, name: &job.name };
    fill(text, &values)
}

pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn slot_name(number: u32, stream: usize) -> String {
    format!("slot.{number}.{}", STREAMS[stream])
}

fn no_file(errno: Errno) -> CannotStart {
    CannotStart(Outcome::NoFile, errno)
}

/// Reads the directory from its start through the descriptor we keep.
fn is_empty(dir: &OwnedFd) -> bool {
    let Ok(own) = rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0)) else { return false };
    debug_assert_eq!(own, 0);
    let mut room = [std::mem::MaybeUninit::uninit(); 256];
    let mut entries = rustix::fs::RawDir::new(dir.as_fd(), &mut room);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            _ => return false,
        }
    }
    true
}
