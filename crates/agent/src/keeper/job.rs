//! A job as its tasks need it, and the paths that its user named.

use super::files::Files;
use super::health;
use super::proto::JobBody;
use crate::orders::Order;
use crate::spawn::{HasNul, Strings};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use taskyard_model::Outcome;
use taskyard_model::pattern::{Values, fill};

/// The default search path of tasks and of ours for their programs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A job as its tasks need it: everything that is equal for all of them is made once.
pub(crate) struct Job {
    pub(crate) body: JobBody,
    pub(crate) argv: Strings,
    pub(crate) env: Strings,
    program: Mutex<Option<CString>>,
    /// Shared with the job as it was before a change.
    pub(crate) files: Arc<Files>,
}

/// Why an attempt cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotStart(pub(crate) Outcome, pub(crate) Errno);

impl Job {
    /// Makes ready what all tasks of the job share.
    pub(crate) fn new(body: &JobBody, files: Arc<Files>) -> Result<Job, Errno> {
        let nul = |_: HasNul| Errno::INVAL;
        let (mut argv, mut env) = (Strings::default(), Strings::default());
        for argument in &body.argv {
            argv.push(argument.as_bytes()).map_err(nul)?;
        }
        for (key, value) in &body.env {
            env.variable(key, value.as_bytes()).map_err(nul)?;
        }
        Ok(Job { body: body.clone(), argv, env, program: Mutex::default(), files })
    }

    /// Which streams are captured.
    pub(crate) fn captures(&self) -> [bool; 2] {
        [self.body.stdout.is_none(), self.body.stderr.is_none()]
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
            std::fs::create_dir_all(parent).map_err(|e| named(Outcome::NoFile, errno(&e)))?;
            open()
        }
        other => other,
    };
    let unblock = |fd: OwnedFd| {
        rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? - OFlags::NONBLOCK)?;
        Ok(fd)
    };
    fd.and_then(unblock).map_err(|errno| named(Outcome::NoFile, errno))
}

/// Opens a working directory.
pub(crate) fn open_cwd(path: &Path) -> Result<OwnedFd, CannotStart> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| named(Outcome::NoCwd, errno))
}

/// Fills the patterns of a path of the job.
pub(crate) fn filled(text: &str, job: &JobBody, order: &Order, node: &str) -> String {
    let values = Values { job: job.job, task: order.number, attempt: order.attempt, node, name: &job.name };
    fill(text, &values)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// An error about a path that the user named, whose disk is not the node's concern.
fn named(outcome: Outcome, errno: Errno) -> CannotStart {
    CannotStart(if health::machine_lacks(errno) { Outcome::NodeFault } else { outcome }, errno)
}
