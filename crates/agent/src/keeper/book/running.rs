//! An attempt that has a process, or will have one in a moment: what stopped it, when it needs attention, and how it
//! ended.

use crate::keeper::files::Slot;
use crate::keeper::job::Job;
use crate::orders::{Ended, Limits, Order};
use crate::spawn::Exit;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::sync::Arc;
use taskyard_model::{CutOutput, Outcome};

/// An attempt that has a process, or will have one in a moment.
pub(crate) struct Running {
    pub(crate) order: Order,
    pub(crate) job: Arc<Job>,
    pub(crate) slot: Option<Slot>,
    pub(super) pid: Option<i32>,
    pub(crate) started_boot_ms: u64,
    pub(crate) started_wall_ms: u64,
    /// Its job's at this moment.
    pub(super) limits: Limits,
    /// Why we stopped it; decides its outcome.
    pub(super) doom: Option<Outcome>,
    /// When we asked it to stop.
    pub(super) asked_ms: u64,
    /// The time limit that stopped it; 0 if none did.
    pub(super) stopped_by_ms: u64,
    /// When something is to be done about it: its time limit, or the end of its grace.
    pub(super) due_ms: Option<u64>,
    pub(super) publish: bool,
    /// Its output, if not all of it is kept: known when it has ended.
    pub(crate) cut: CutOutput,
}

/// Sets when something is to be done about an attempt next.
pub(super) fn set_due(all: &mut BTreeSet<(u64, u64)>, key: u64, running: &mut Running, due_ms: Option<u64>) {
    if let Some(old) = std::mem::replace(&mut running.due_ms, due_ms) {
        all.remove(&(old, key));
    }
    all.extend(due_ms.map(|due| (due, key)));
}

impl Running {
    /// When its time is over.
    pub(super) fn over_at(&self) -> Option<u64> {
        Some(self.started_boot_ms.saturating_add(self.limits.time_limit_ms?))
    }

    /// Notes that it is asked to stop; answers with the end of its grace.
    pub(super) fn ask(&mut self, why: Outcome, boot_ms: u64) -> u64 {
        self.doom = Some(why);
        self.asked_ms = boot_ms;
        boot_ms.saturating_add(self.limits.grace_ms)
    }

    /// Whether any of its output goes to our files.
    pub(crate) fn writes_captured(&self) -> bool {
        self.job.captures().contains(&true)
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
            cut: self.cut,
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

/// The job's directory or body is not usable, and the node is not to blame.
pub(super) fn cannot_prepare(key: u64, errno: Errno) -> Ended {
    Ended {
        key,
        outcome: Outcome::StartFailed,
        code: errno.raw_os_error(),
        started_wall_ms: 0,
        ran_ms: 0,
        cpu_ms: 0,
        max_rss_kib: 0,
        limit_ms: 0,
        cut: CutOutput::default(),
        next: None,
    }
}
