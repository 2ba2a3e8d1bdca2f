//! From an order to a process: opens its files, fills what differs from task to task, spawns, and says precisely what failed.

use super::files::{CannotStart, Job, Slot, filled, open_cwd, open_named};
use super::proto::Order;
use crate::spawn::{self, HasNul, Scratch, Start, Strings};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use taskyard_model::Outcome;

/// What one spawning thread keeps from task to task.
pub(crate) struct Launcher {
    node: String,
    null: OwnedFd,
    scratch: Scratch,
    env: Strings,
}

impl Launcher {
    pub(crate) fn new(node: String, null: OwnedFd) -> Launcher {
        Launcher { node, null, scratch: Scratch::default(), env: Strings::default() }
    }

    /// The standard input of most tasks.
    pub(crate) fn open_null() -> Result<OwnedFd, Errno> {
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Starts the attempt. The slot is handed back in either case, if there is one.
    pub(crate) fn launch(&mut self, job: &Job, order: &Order) -> (Option<Slot>, Result<i32, CannotStart>) {
        match job.slot() {
            Ok((slot, task_dir)) => {
                let result = self.launch_in(job, order, &slot, &task_dir);
                (Some(slot), result)
            }
            Err(error) => (None, Err(error)),
        }
    }

    fn launch_in(
        &mut self,
        job: &Job,
        order: &Order,
        slot: &Slot,
        task_dir: &Path,
    ) -> Result<i32, CannotStart> {
        let named_cwd: Option<(PathBuf, OwnedFd)> = match &job.body.cwd {
            Some(pattern) => {
                let path = PathBuf::from(filled(pattern, &job.body, order, &self.node));
                let fd = open_cwd(&path)?;
                Some((path, fd))
            }
            None => None,
        };
        let cwd_path = named_cwd.as_ref().map_or(task_dir, |(path, _)| path);
        let stdin = match &job.body.stdin {
            Some(pattern) => {
                Some(open_named(cwd_path, &filled(pattern, &job.body, order, &self.node), false)?)
            }
            None => None,
        };
        let output = |pattern: &Option<String>, stream| match pattern {
            Some(pattern) => open_named(cwd_path, &filled(pattern, &job.body, order, &self.node), true),
            None => job.open_stream(slot, stream),
        };
        let (stdout, stderr) = (output(&job.body.stdout, 0)?, output(&job.body.stderr, 1)?);
        let invalid = |_: HasNul| CannotStart(Outcome::StartFailed, Errno::INVAL);
        self.fill_env(job, order, task_dir).map_err(invalid)?;
        let cwd = match (&named_cwd, slot.dir()) {
            (Some((_, fd)), _) | (None, Some(fd)) => fd.as_fd(),
            (None, None) => return Err(CannotStart(Outcome::NoCwd, Errno::NOENT)),
        };
        let stdin = stdin.as_ref().unwrap_or(&self.null).as_fd();
        let stdio = [stdin, stdout.as_fd(), stderr.as_fd()];
        spawn_found(&mut self.scratch, job, &self.env, cwd, stdio)
    }

    fn fill_env(&mut self, job: &Job, order: &Order, task_dir: &Path) -> Result<(), HasNul> {
        use std::io::Write;
        let env = &mut self.env;
        env.clear();
        let mut room = [0u8; 20];
        let numbers = [
            ("TASKYARD_JOB", job.body.job),
            ("TASKYARD_TASK", order.number),
            ("TASKYARD_ATTEMPT", order.attempt.into()),
            ("TASKYARD_FENCE", order.fence),
        ];
        for (key, number) in numbers {
            let mut rest = &mut room[..];
            // Twenty digits hold every u64.
            let _ = write!(rest, "{number}");
            let left = rest.len();
            env.variable(key, &room[..20 - left])?;
        }
        env.variable("TASKYARD_NODE", self.node.as_bytes())?;
        env.variable("TASKYARD_TASK_DIR", task_dir.as_os_str().as_bytes())?;
        if let Some(entry) = &order.entry {
            env.variable("TASKYARD_ENTRY", entry.as_bytes())?;
        }
        if !order.gpus.is_empty() {
            let devices: Vec<String> = order.gpus.iter().map(u16::to_string).collect();
            let devices = devices.join(",");
            env.variable("TASKYARD_GPUS", devices.as_bytes())?;
            env.variable("CUDA_VISIBLE_DEVICES", devices.as_bytes())?;
        }
        Ok(())
    }
}

/// Spawns the program; when it is not where it was found before, looks for it once more.
fn spawn_found(
    scratch: &mut Scratch,
    job: &Job,
    env: &Strings,
    cwd: BorrowedFd<'_>,
    stdio: [BorrowedFd<'_>; 3],
) -> Result<i32, CannotStart> {
    let mut again = false;
    loop {
        let program = job.program(again)?;
        let start = Start { program: &program, argv: &job.argv, env: [&job.env, env], cwd, stdio };
        match spawn::spawn(scratch, &start) {
            Ok(pid) => return Ok(pid),
            Err(Errno::NOENT) if !again => again = true,
            Err(errno) => return Err(CannotStart(blame(errno), errno)),
        }
    }
}

/// Files and directory are open by now, so an error about a path is about the program (or the interpreter its first line names).
fn blame(errno: Errno) -> Outcome {
    match errno {
        Errno::NOENT
        | Errno::ACCESS
        | Errno::NOTDIR
        | Errno::NOEXEC
        | Errno::LOOP
        | Errno::ISDIR
        | Errno::PERM
        | Errno::NAMETOOLONG => Outcome::NoProgram,
        _ => Outcome::StartFailed,
    }
}
