//! A job as its tasks need it, and the paths that its user named.

use super::files::Files;
use super::health;
use super::proto::JobBody;
use crate::orders::Order;
use crate::spawn::{HasNul, Strings};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use taskyard_model::Outcome;
use taskyard_model::pattern::{Values, fill};

/// The default search path of tasks and of ours for their programs.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Modes of what is made for the user, less the umask.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);

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

/// Where a path begins that the user named.
pub(crate) enum Base<'a> {
    /// In a directory of the user's, where everything is the user's concern.
    Named(&'a Path),
    /// In the task's own directory, which it does not leave.
    Own(BorrowedFd<'a>),
}

/// Opens a file that the user named, for standard input (`write` false) or output. Output is appended: what an earlier
/// attempt or another task of the array wrote is never destroyed. For output, directories are made: all of a relative
/// path, and of an absolute one those from its first pattern on.
pub(crate) fn open_named(base: &Base<'_>, name: &NamedFile, write: bool) -> Result<OwnedFd, CannotStart> {
    let NamedFile { path, written_out } = name;
    let fd = match base {
        Base::Own(dir) if !path.is_absolute() => open_beneath(*dir, path, write),
        Base::Own(_) => open_anywhere(path, written_out, write),
        Base::Named(_) if path.is_absolute() => open_anywhere(path, written_out, write),
        Base::Named(cwd) => open_anywhere(&cwd.join(path), cwd, write),
    };
    let unblock = |fd: OwnedFd| {
        rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? - OFlags::NONBLOCK)?;
        Ok(fd)
    };
    fd.and_then(unblock).map_err(|errno| named(Outcome::NoFile, errno))
}

/// Without NONBLOCK a FIFO that no process has open would stop the keeper's thread.
fn flags(write: bool) -> OFlags {
    let access = if write { OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE } else { OFlags::RDONLY };
    access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY
}

/// `there` must exist: to make it would hide a mistyped path, and fill disks that are not mounted.
fn open_anywhere(path: &Path, there: &Path, write: bool) -> Result<OwnedFd, Errno> {
    let open = || rustix::fs::open(path, flags(write), FILE_MODE);
    match open() {
        Err(Errno::NOENT) if write && there.is_dir() => {
            let parent = path.parent().unwrap_or(path);
            std::fs::create_dir_all(parent).map_err(|error| errno(&error))?;
            open()
        }
        other => other,
    }
}

/// A part at a time, each without following a link: the directory may hold what an earlier task of the job left.
fn open_beneath(dir: BorrowedFd<'_>, path: &Path, write: bool) -> Result<OwnedFd, Errno> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir).peekable();
    let mut dir = rustix::io::fcntl_dupfd_cloexec(dir, 0)?;
    loop {
        let Some(Component::Normal(part)) = parts.next() else { return Err(Errno::XDEV) };
        if parts.peek().is_none() {
            return openat(&dir, part, flags(write) | OFlags::NOFOLLOW, FILE_MODE);
        }
        if write
            && let Err(errno) = mkdirat(&dir, part, DIR_MODE)
            && errno != Errno::EXIST
        {
            return Err(errno);
        }
        let parent = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        dir = openat(&dir, part, parent, Mode::empty())?;
    }
}

/// Opens a working directory.
pub(crate) fn open_cwd(path: &Path) -> Result<OwnedFd, CannotStart> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| named(Outcome::NoCwd, errno))
}

/// A file that the user named, as it is for one attempt.
pub(crate) struct NamedFile {
    path: PathBuf,
    /// The directories before the first pattern, which cannot depend on the attempt.
    written_out: PathBuf,
}

impl NamedFile {
    pub(crate) fn new(pattern: &str, filled: String) -> NamedFile {
        let dirs = Path::new(pattern).parent().map(Path::components).into_iter().flatten();
        let fixed = dirs.take_while(|dir| !dir.as_os_str().as_encoded_bytes().contains(&b'%')).count();
        let path = PathBuf::from(filled);
        let written_out = path.components().take(fixed).collect();
        NamedFile { path, written_out }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;

    #[test]
    fn a_path_in_the_tasks_own_directory_does_not_leave_it() {
        let temp = tempfile::tempdir().unwrap();
        let own = temp.path().join("own");
        fs::create_dir_all(own.join("sub")).unwrap();
        fs::write(temp.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(temp.path(), own.join("away")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("secret"), own.join("link")).unwrap();
        let dir = fs::File::open(&own).unwrap();
        let open = |name: &str, write| {
            let name = NamedFile::new(name, name.to_owned());
            open_named(&Base::Own(dir.as_fd()), &name, write).map_err(|e| e.1)
        };
        for (name, made) in [("out", "out"), ("./a//b/out", "a/b/out"), ("sub/out", "sub/out")] {
            open(name, true).unwrap();
            assert!(own.join(made).is_file(), "{name}");
            open(name, false).unwrap();
        }
        for name in ["../secret", "sub/../../secret", "away/secret", "link", "..", ".", ""] {
            for write in [false, true] {
                assert!(open(name, write).is_err(), "{name:?} {write}");
            }
        }
        assert_eq!(open("../secret", true).unwrap_err(), Errno::XDEV);
        assert_eq!(fs::read_to_string(temp.path().join("secret")).unwrap(), "secret");
        open(temp.path().join("secret").to_str().unwrap(), false).unwrap();
    }

    #[test]
    fn directories_are_made_below_what_exists() {
        let temp = tempfile::tempdir().unwrap();
        let base = Base::Named(temp.path());
        let open = |pattern: &str| {
            let name = NamedFile::new(pattern, pattern.replace("%{job}", "7"));
            open_named(&base, &name, true).map(drop).map_err(|e| e.1)
        };
        let absolute = |rest: &str| format!("{}/{rest}", temp.path().display());
        for wrong in ["typo/out", "typo/%{job}/out", "7/typo/out"] {
            assert_eq!(open(&absolute(wrong)), Err(Errno::NOENT), "{wrong}");
        }
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
        open(&absolute("%{job}/a/out")).unwrap();
        for right in ["out", "new/%{job}/a/out", "logs/b/out"] {
            open(right).unwrap();
        }
        assert!(["7/a/out", "new/7/a/out", "logs/b/out"].iter().all(|made| temp.path().join(made).is_file()));
        let gone = NamedFile::new("logs/out", "logs/out".to_owned());
        let gone =
            open_named(&Base::Named(&temp.path().join("gone")), &gone, true).map(drop).map_err(|e| e.1);
        assert_eq!(gone, Err(Errno::NOENT));
    }
}
