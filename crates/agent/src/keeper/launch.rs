//! From an order to a process: opens its files, fills what differs from task to task, spawns, and says precisely what
//! failed.

use super::files::Slot;
use super::health;
use super::job::{Base, CannotStart, Job, NamedFile, filled, open_cwd, open_named};
use crate::environment;
use crate::orders::Order;
use crate::spawn::{self, HasNul, PointerArrays, SpawnRequest, Strings};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use taskyard_model::Outcome;

/// What one spawning thread keeps from task to task.
pub(crate) struct Launcher {
    node: String,
    null: OwnedFd,
    scratch: PointerArrays,
    env: Strings,
}

impl Launcher {
    pub(crate) fn new(node: String, null: OwnedFd) -> Launcher {
        Launcher { node, null, scratch: PointerArrays::default(), env: Strings::default() }
    }

    /// The standard input of most tasks.
    pub(crate) fn open_null() -> Result<OwnedFd, Errno> {
        rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Creates a process, of this very program, and ends it at once.
    pub(crate) fn start_nothing(&mut self, cwd: &Path) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let cwd = rustix::fs::open(cwd, flags, Mode::empty())?;
        let output = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut argv = Strings::default();
        let pushed = ["taskyard", "keeper"].iter().try_for_each(|word| argv.push(word.as_bytes()));
        pushed.map_err(|_: HasNul| Errno::INVAL)?;
        let none = Strings::default();
        let stdio = [self.null.as_fd(), output.as_fd(), output.as_fd()];
        let start = SpawnRequest {
            program: c"/proc/self/exe",
            argv: &argv,
            env: [&none, &none],
            cwd: cwd.as_fd(),
            stdio,
        };
        let pid = Pid::from_raw(spawn::spawn(&mut self.scratch, &start)?);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            // Another thread that waits for children may have been faster.
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
        Ok(())
    }

    /// Starts the attempt. The slot is handed back in either case, if there is one.
    pub(crate) fn launch(&mut self, job: &Job, order: &Order) -> (Option<Slot>, Result<i32, CannotStart>) {
        match job.files.slot(job.captures()) {
            Ok((mut slot, task_dir)) => {
                let result = self.launch_in(job, order, &slot, &task_dir);
                job.files.spare(&mut slot);
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
        let (cwd, base) = match (&named_cwd, slot.dir()) {
            (Some((path, fd)), _) => (fd.as_fd(), Base::Named(path)),
            (None, Some(fd)) => (fd.as_fd(), Base::Own(fd.as_fd())),
            (None, None) => return Err(CannotStart(Outcome::NoCwd, Errno::NOENT)),
        };
        let open = |pattern: &str, write| {
            let name = NamedFile::new(pattern, filled(pattern, &job.body, order, &self.node));
            open_named(&base, &name, write)
        };
        let stdin = job.body.stdin.as_deref().map(|pattern| open(pattern, false)).transpose()?;
        let output = |pattern: &Option<String>, stream| match pattern {
            Some(pattern) => open(pattern, true),
            None => job.files.open_stream(slot, stream),
        };
        let (stdout, stderr) = (output(&job.body.stdout, 0)?, output(&job.body.stderr, 1)?);
        let invalid = |_: HasNul| CannotStart(Outcome::StartFailed, Errno::INVAL);
        self.fill_env(job, order, task_dir).map_err(invalid)?;
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
            (environment::JOB, job.body.job),
            (environment::TASK, order.number),
            (environment::ATTEMPT, order.attempt.into()),
            (environment::FENCE, order.fence),
        ];
        for (key, number) in numbers {
            let mut rest = &mut room[..];
            // Twenty digits hold every u64.
            let _ = write!(rest, "{number}");
            let left = rest.len();
            env.variable(key, &room[..20 - left])?;
        }
        env.variable(environment::NODE, self.node.as_bytes())?;
        env.variable(environment::TASK_DIR, task_dir.as_os_str().as_bytes())?;
        if let Some(entry) = &order.entry {
            env.variable(environment::ENTRY, entry.as_bytes())?;
        }
        let devices = order.gpus.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        env.variable(environment::GPUS, devices.as_bytes())?;
        if !order.gpus.is_empty() {
            let given = |key: &str| job.body.env.iter().any(|(known, _)| known == key);
            for key in environment::GPU_SELECTORS.iter().filter(|key| !given(key)) {
                env.variable(key, devices.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Spawns the program; when it is not where it was found before, looks for it once more.
fn spawn_found(
    scratch: &mut PointerArrays,
    job: &Job,
    env: &Strings,
    cwd: BorrowedFd<'_>,
    stdio: [BorrowedFd<'_>; 3],
) -> Result<i32, CannotStart> {
    let mut again = false;
    loop {
        let program = job.program(again)?;
        let start = SpawnRequest { program: &program, argv: &job.argv, env: [&job.env, env], cwd, stdio };
        match spawn::spawn(scratch, &start) {
            Ok(pid) => return Ok(pid),
            Err(Errno::NOENT) if !again => again = true,
            Err(errno) => return Err(CannotStart(blame(errno), errno)),
        }
    }
}

/// Files and directory are open by now, so an error about a path is about the program, or the interpreter that its
/// first line names.
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
        errno if health::machine_lacks(errno) => Outcome::NodeFault,
        _ => Outcome::StartFailed,
    }
}
