//! Files of a job on this node: task directories and captured output.
//!
//! Creating a file or a directory costs tens of microseconds, a good part of the cost of starting a small program. So
//! an attempt writes into the files of a *slot*. At its end, small output is packed (see [`crate::packed`]) and the
//! file is emptied for a later attempt of the job. A file with large output, or one that is read while the attempt
//! runs, gets the attempt's own name (`INDEX.ATTEMPT.out`).
//!
//! A file goes to a later attempt only when no process has it open (see [`spawn::sole_writer`]), as two attempts must
//! never write into one file. Output of a process that outlives its attempt is dropped. A task directory that stayed
//! empty is reused too.

use super::cut::{Cut, cut};
use super::health;
use super::job::CannotStart;
use super::space::Space;
use crate::orders::Order;
use crate::packed::{self, Packer};
use crate::{layout, spawn};
use rustix::fs::{AtFlags, Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use taskyard_model::{CutOutput, Outcome, limits};

/// Slots that are kept for later attempts of a job, as far as there are descriptors for them; each holds three.
const SLOTS_KEPT_MAX: usize = 64;
/// Files of each stream of a job that are done with but may still be open somewhere; past that they are removed.
const DOUBTFUL_MAX: usize = 16;
const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// How many descriptors the keeper holds only to be faster: it gives them up before it lacks one for work.
pub(crate) struct Descriptors {
    held: AtomicUsize,
    max: usize,
}

impl Descriptors {
    /// Half of those that the keeper may have.
    pub(crate) fn new(allowed: usize) -> Descriptors {
        Descriptors { held: AtomicUsize::new(0), max: allowed / 2 }
    }

    fn are_used_up(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.max
    }

    fn hold(self: &Arc<Self>, fd: OwnedFd) -> Held {
        self.held.fetch_add(1, Ordering::Relaxed);
        Held { fd, budget: self.clone() }
    }
}

/// A descriptor that is counted.
struct Held {
    fd: OwnedFd,
    budget: Arc<Descriptors>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module.
pub(crate) struct Files {
    job: u64,
    dir: OwnedFd,
    path: PathBuf,
    slots: Mutex<Slots>,
    packer: Mutex<Option<Packer>>,
    budget: Arc<Descriptors>,
    space: Arc<Space>,
}

#[derive(Default)]
struct Slots {
    free: Vec<Slot>,
    /// Files that are done with and that another process had open when last looked at. Mostly it will not write: a
    /// child of another thread has a copy of every descriptor until its `exec`.
    doubtful: [VecDeque<Captured>; 2],
    numbers: u32,
    /// Outputs that have files of their own.
    own_files: u32,
}

/// Files of one attempt at a time.
pub(crate) struct Slot {
    /// The task directory.
    dir: Option<TaskDir>,
    streams: [Option<Captured>; 2],
}

/// Without a descriptor where there are too few for all that run.
struct TaskDir {
    number: u32,
    held: Option<Held>,
}

/// Without a descriptor likewise.
struct Captured {
    number: u32,
    held: Option<Held>,
    /// It has the attempt's name already.
    published: bool,
    /// What was dropped of it.
    cut: Cut,
}

impl Captured {
    fn size(&self) -> Option<u64> {
        packed::size(&self.held.as_ref()?.fd).ok()
    }

    /// Whether no other process can write to it.
    fn is_alone(&self) -> bool {
        !self.published && self.held.as_ref().is_some_and(|held| spawn::sole_writer(&held.fd))
    }

    /// Makes the file ready for another attempt.
    fn empty(&self, size: u64) -> bool {
        size == 0 || self.held.as_ref().is_some_and(|held| rustix::fs::ftruncate(&held.fd, 0).is_ok())
    }
}

impl Files {
    /// Opens the directory that the agent has made for the job.
    pub(crate) fn open(
        jobs_dir: &Path,
        job: u64,
        budget: &Arc<Descriptors>,
        space: &Arc<Space>,
    ) -> Result<Files, Errno> {
        let path = jobs_dir.join(job.to_string());
        let dir = rustix::fs::open(&path, DIRECTORY, Mode::empty())?;
        let (budget, space) = (budget.clone(), space.clone());
        Ok(Files { job, dir, path, slots: Mutex::default(), packer: Mutex::default(), budget, space })
    }

    /// Files for an attempt of which these streams are captured: used ones that are clean, else new ones.
    pub(crate) fn slot(&self, captured: [bool; 2]) -> Result<(Slot, PathBuf), CannotStart> {
        let mut slot = self.slots().free.pop().unwrap_or(Slot { dir: None, streams: [None, None] });
        match self.fill(&mut slot, captured) {
            Ok(number) => Ok((slot, self.path.join(dir_name(number)))),
            Err(errno) => {
                self.discard(slot);
                Err(own_file(errno))
            }
        }
    }

    fn fill(&self, slot: &mut Slot, captured: [bool; 2]) -> Result<u32, Errno> {
        for (i, stream) in slot.streams.iter_mut().enumerate().filter(|(i, _)| captured[*i]) {
            if stream.is_none() {
                *stream = self.cleared(i);
            }
            if stream.is_none() {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o600);
                let make = |number| openat(&self.dir, slot_name(number, i), flags, mode);
                let (number, fd) = self.numbered(make)?;
                let held = Some(self.budget.hold(fd));
                *stream = Some(Captured { number, held, published: false, cut: Cut::default() });
            }
        }
        if let Some(dir) = &slot.dir {
            return Ok(dir.number);
        }
        let (number, fd) = self.numbered(|number| self.make_dir(number))?;
        slot.dir = Some(TaskDir { number, held: Some(self.budget.hold(fd)) });
        Ok(number)
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
        let name = dir_name(number);
        rustix::fs::mkdirat(&self.dir, &name, Mode::from_raw_mode(0o700))?;
        let opened = openat(&self.dir, &name, DIRECTORY, Mode::empty());
        if opened.is_err() {
            let _ = rustix::fs::unlinkat(&self.dir, &name, AtFlags::REMOVEDIR);
        }
        opened
    }

    /// The descriptor a task writes to: a description of its own, so that a process it leaves behind can be told from
    /// ours.
    pub(crate) fn open_stream(&self, slot: &Slot, stream: usize) -> Result<OwnedFd, CannotStart> {
        let number = slot.streams[stream].as_ref().map_or(0, |captured| captured.number);
        let name = slot_name(number, stream);
        let fd = layout::open_plain(&self.dir, &name, OFlags::WRONLY | OFlags::APPEND).map_err(own_file)?;
        // Opening does not wait, but programs expect that writing does.
        rustix::fs::fcntl_setfl(&fd, OFlags::APPEND).map_err(own_file)?;
        Ok(fd)
    }

    /// While descriptors are short, an attempt that runs holds none: its files are opened again at its end.
    pub(crate) fn spare(&self, slot: &mut Slot) {
        if self.budget.are_used_up() {
            slot.streams.iter_mut().flatten().for_each(|captured| captured.held = None);
            slot.dir.iter_mut().for_each(|dir| dir.held = None);
        }
    }

    /// Closes and removes what is kept for later attempts.
    pub(crate) fn give_way(&self) {
        let (free, doubtful) = {
            let mut slots = self.slots();
            (std::mem::take(&mut slots.free), std::mem::take(&mut slots.doubtful))
        };
        free.into_iter().for_each(|slot| self.discard(slot));
        for (stream, queue) in doubtful.into_iter().enumerate() {
            queue.into_iter().for_each(|captured| self.unlink(&slot_name(captured.number, stream)));
        }
    }

    /// Gives the captured files of a running attempt their final names.
    pub(crate) fn publish(&self, slot: &mut Slot, order: &Order) {
        for (i, stream) in slot.streams.iter_mut().enumerate() {
            if let Some(captured) = stream.as_mut().filter(|c| !c.published) {
                captured.published = self.rename(captured.number, i, order);
            }
        }
    }

    fn rename(&self, number: u32, stream: usize, order: &Order) -> bool {
        let name = layout::output_name(order.index, order.attempt, stream);
        rustix::fs::renameat(&self.dir, slot_name(number, stream), &self.dir, name).is_ok()
    }

    fn unlink(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.dir, name, AtFlags::empty());
    }

    /// After the end of an attempt: keeps what it wrote and what can be reused. Answers with how much of the output was
    /// dropped.
    pub(crate) fn settle(&self, mut slot: Slot, order: &Order) -> CutOutput {
        let mut output = CutOutput::default();
        for (i, stream) in slot.streams.iter_mut().enumerate() {
            let Some(captured) = stream.take() else { continue };
            *stream = self.settle_stream(captured, i, order, &mut output);
        }
        slot.dir = slot.dir.filter(|dir| match &dir.held {
            Some(held) => is_empty(&held.fd),
            None => {
                let _ = rustix::fs::unlinkat(&self.dir, dir_name(dir.number), AtFlags::REMOVEDIR);
                false
            }
        });
        let mut slots = self.slots();
        if slots.free.len() < SLOTS_KEPT_MAX && !self.budget.are_used_up() {
            slots.free.push(slot);
        } else {
            drop(slots);
            self.discard(slot);
        }
        // Of output that is all there, the size says everything.
        if output.dropped_bytes > 0 { output } else { CutOutput::default() }
    }

    /// Keeps what is in one file; the file, if it is empty again.
    fn settle_stream(
        &self,
        mut captured: Captured,
        i: usize,
        order: &Order,
        output: &mut CutOutput,
    ) -> Option<Captured> {
        if captured.held.is_none() {
            captured.held = self.reopen(&captured, i, order);
        }
        // Looked at before the size is, which then stays as it is.
        let is_alone = captured.is_alone();
        let Some(size) = captured.size() else {
            // It cannot be looked at now, and must not be lost.
            if !captured.published {
                self.rename(captured.number, i, order);
            }
            return None;
        };
        let key = (order.index, order.attempt, i as u8);
        let small = captured.cut.is_none() && size <= self.packed_max();
        if size > 0 && !(small && self.pack(&captured, key, size).is_ok()) {
            let kept = self.keep_own(captured, i, order);
            output.written_bytes += kept.written_bytes;
            output.dropped_bytes += kept.dropped_bytes;
            return None;
        }
        output.written_bytes += size;
        if captured.published {
            self.unlink(&layout::output_name(order.index, order.attempt, i));
            return None;
        }
        if is_alone && captured.empty(size) {
            return Some(captured);
        }
        self.doubt(i, captured);
        None
    }

    /// Lets an output have a file of its own. Answers with how much of it was dropped.
    fn keep_own(&self, mut captured: Captured, i: usize, order: &Order) -> CutOutput {
        if !captured.published {
            self.rename(captured.number, i, order);
        }
        self.slots().own_files += 1;
        self.cut_stream(&mut captured, i, order, self.space.stream_max(), true);
        let size = captured.size().unwrap_or(0);
        self.space.add(self.job, size - captured.cut.hole());
        // Without its record the file is still there, and is shown as it is.
        let _ = self.record(|packer| packer.note_own_file((order.index, order.attempt, i as u8), size));
        let (written_bytes, dropped_bytes) = (size + captured.cut.lost(), captured.cut.dropped());
        CutOutput { written_bytes, dropped_bytes, disk_full: false }
    }

    /// Up to which size an output is packed.
    fn packed_max(&self) -> u64 {
        let many = self.slots().own_files >= limits::OUTPUT_FILES_PER_JOB_MAX;
        let max = if many { limits::OUTPUT_PACKED_MANY_BYTES_MAX } else { limits::OUTPUT_PACKED_BYTES_MAX };
        (max as u64).min(self.space.stream_max())
    }

    fn pack(&self, captured: &Captured, key: packed::Key, size: u64) -> Result<(), Errno> {
        let held = captured.held.as_ref().ok_or(Errno::BADF)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::FBIG)?];
        let count = packed::read_at(&held.fd, &mut bytes, 0)?;
        bytes.truncate(count);
        self.record(|packer| packer.append(key, &bytes))?;
        self.space.add(self.job, size);
        Ok(())
    }

    /// Adds to the index of the job's output, which is opened when there is the first.
    fn record(&self, add: impl FnOnce(&mut Packer) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut packer = self.packer.lock().unwrap_or_else(PoisonError::into_inner);
        let packer = match &mut *packer {
            Some(packer) => packer,
            none => {
                let flags = OFlags::CREATE | OFlags::RDWR;
                let index = layout::open_index(&self.space.data_dir, self.job, flags)?;
                none.insert(Packer::open(&self.dir, index)?)
            }
        };
        add(packer).inspect_err(|errno| self.space.disk.note_failure(*errno))
    }

    fn reopen(&self, captured: &Captured, i: usize, order: &Order) -> Option<Held> {
        let name = if captured.published {
            layout::output_name(order.index, order.attempt, i)
        } else {
            slot_name(captured.number, i)
        };
        let fd = layout::open_plain(&self.dir, &name, OFlags::RDWR).ok()?;
        Some(self.budget.hold(fd))
    }

    fn doubt(&self, stream: usize, captured: Captured) {
        let mut slots = self.slots();
        let queue = &mut slots.doubtful[stream];
        queue.push_back(captured);
        let oldest = if queue.len() > DOUBTFUL_MAX { queue.pop_front() } else { None };
        drop(slots);
        if let Some(old) = oldest {
            self.unlink(&slot_name(old.number, stream));
        }
    }

    /// A file that was doubtful and is clean now.
    fn cleared(&self, stream: usize) -> Option<Captured> {
        let captured = self.slots().doubtful[stream].pop_front()?;
        if captured.is_alone() && captured.size().is_some_and(|size| captured.empty(size)) {
            return Some(captured);
        }
        self.doubt(stream, captured);
        None
    }

    fn discard(&self, slot: Slot) {
        for (i, captured) in slot.streams.iter().enumerate() {
            if let Some(captured) = captured {
                self.unlink(&slot_name(captured.number, i));
            }
        }
        if let Some(dir) = slot.dir {
            let _ = rustix::fs::unlinkat(&self.dir, dir_name(dir.number), AtFlags::REMOVEDIR);
        }
    }

    /// Drops the middle of output of a running attempt that passed its limit. Answers with how much is kept and whether
    /// something was dropped.
    pub(crate) fn cut(&self, slot: &mut Slot, order: &Order, bytes_max: u64) -> (u64, bool) {
        let (mut kept, mut any) = (0, false);
        for (i, stream) in slot.streams.iter_mut().enumerate() {
            let Some(captured) = stream else { continue };
            any |= self.cut_stream(captured, i, order, bytes_max, false);
            kept += captured.size().unwrap_or(0).saturating_sub(captured.cut.hole());
        }
        (kept, any)
    }

    /// `last`: down to the limit; else only when it is well past it, so that not each look costs a cut.
    fn cut_stream(&self, captured: &mut Captured, i: usize, order: &Order, max: u64, last: bool) -> bool {
        let spared = captured.held.is_none();
        if spared {
            captured.held = self.reopen(captured, i, order);
        }
        let kept = captured.size().unwrap_or(0).saturating_sub(captured.cut.hole());
        let is_over = kept > if last { max } else { max + max / 4 };
        if let Some(held) = captured.held.as_ref().filter(|_| is_over) {
            let name = layout::output_name(order.index, order.attempt, i);
            cut(&self.dir, &name, &held.fd, &mut captured.cut, max);
        }
        if spared {
            captured.held = None;
        }
        is_over
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.give_way();
    }
}

impl Slot {
    /// The task directory.
    pub(crate) fn dir(&self) -> Option<&OwnedFd> {
        self.dir.as_ref()?.held.as_ref().map(|held| &held.fd)
    }
}

fn slot_name(number: u32, stream: usize) -> String {
    format!("slot.{number}.{}", layout::STREAMS[stream])
}

fn dir_name(number: u32) -> String {
    format!("work.{number}")
}

/// An error about a file of ours.
fn own_file(errno: Errno) -> CannotStart {
    let outcome = if health::machine_fails(errno) { Outcome::NodeFault } else { Outcome::NoFile };
    CannotStart(outcome, errno)
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
