//! The command line as a user runs it.

use super::daemon::clean;
use super::process::{die_with_parent, signal};
use super::{binary, eventually};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// No command of a test takes so long.
const WITHIN: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Done {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless standard error has all of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Done {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing in {}", self.stderr);
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The job id that `submit --parsable` prints.
    pub(crate) fn id(&self) -> u64 {
        self.stdout.trim().parse().unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `taskyard` with `TASKYARD_SERVER` set to `url` (unless that is empty), in `dir`, which is its home too.
pub(crate) fn run(dir: &Path, url: &str, args: &[&str], stdin: &str) -> Done {
    finish(command(dir, url, args), stdin)
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command, stdin: &str) -> Done {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            from.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let pid = child.id() as i32;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&format!("taskyard {args:?} ends"), WITHIN, || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        signal(pid, libc::SIGKILL);
    }
    let done = (stdout.join().unwrap(), stderr.join().unwrap());
    let Ok(status) = ended else { panic!("taskyard {args:?} did not end; it said {done:?}") };
    let code = status.code().unwrap_or(-1);
    Done { code, stdout: done.0, stderr: done.1 }
}

/// The command, to be started by the caller.
pub(crate) fn command(dir: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = clean(Command::new(binary()), dir);
    command.args(args).current_dir(dir).process_group(0);
    if !url.is_empty() {
        command.env("TASKYARD_SERVER", url);
    }
    die_with_parent(&mut command);
    command
}
