//! The command line as a user runs it.

use super::daemon::clean;
use super::process::{die_with_parent, signal};
use super::{SOON, binary, eventually};
use serde_json::Value;
use std::ffi::OsStr;
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
    run_as(command(dir, url, args), &format!("taskyard {args:?}"), stdin)
}

/// Logs the first administrator in at a server with TLS; its token. `type_in` runs a command where the servers are
/// known.
pub(crate) fn log_in_first(data: &Path, type_in: impl Fn(&[&str], &str) -> Done) -> String {
    let token =
        eventually("the first token", SOON, || std::fs::read_to_string(data.join("admin.token")).ok());
    let authority = data.join("tls/ca.crt");
    // The file is there before its token is good.
    eventually("the first token is good", SOON, || {
        let login = type_in(&["login", "--ca", authority.to_str().unwrap()], &token);
        (login.code == 0).then_some(())
    });
    token.trim().to_owned()
}

/// Runs a command and waits for its end.
pub(crate) fn run_as(mut command: Command, name: &str, stdin: &str) -> Done {
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
        eventually(&format!("{name} ends"), WITHIN, || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        signal(pid, libc::SIGKILL);
    }
    let done = (stdout.join().unwrap(), stderr.join().unwrap());
    let Ok(status) = ended else { panic!("{name} did not end; it said {done:?}") };
    let code = status.code().unwrap_or(-1);
    Done { code, stdout: done.0, stderr: done.1 }
}

/// The command, to be started by the caller.
pub(crate) fn command(dir: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = command_of(binary(), dir, url);
    command.args(args);
    command
}

/// A program that may call the binary, to be started by the caller.
pub(crate) fn command_of(program: impl AsRef<OsStr>, dir: &Path, url: &str) -> Command {
    let mut command = clean(Command::new(program), dir);
    command.current_dir(dir).process_group(0);
    if !url.is_empty() {
        command.env("TASKYARD_SERVER", url);
    }
    die_with_parent(&mut command);
    command
}
