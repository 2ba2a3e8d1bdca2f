//! Child processes that never outlive the test, and what they said when it fails.

#![allow(unsafe_code, reason = "a child must die with the test, which only it can arrange before exec")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::eventually;

/// Lines of a log that a failing test shows.
const TAIL: usize = 60;

/// A running child in a process group of its own, its output in a file.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    /// What it left behind when it was killed.
    orphans: Vec<Pid>,
}

/// A process, not just its number: numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pid {
    pub(crate) pid: i32,
    started: u64,
}

impl Pid {
    pub(crate) fn of(pid: i32) -> Option<Pid> {
        stat(pid).map(|stat| Pid { pid, started: stat.started })
    }

    /// Whether it still runs (a zombie does not).
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends a signal, unless it is gone.
    pub(crate) fn signal(self, number: i32) {
        if self.is_alive() {
            signal(self.pid, number);
        }
    }
}

impl Process {
    /// Starts `command` with output appended to `log`. It dies with the thread that calls this: call it in the test's
    /// own.
    pub(crate) fn spawn(name: &str, mut command: Command, log: &Path) -> Process {
        let mut file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        writeln!(file, "--- {name}: {command:?}").unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        die_with_parent(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { name: name.to_owned(), child, log: log.to_owned(), ended: None, orphans: Vec::new() }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Kills it alone, at once.
    pub(crate) fn kill9(&mut self) {
        assert!(self.ended().is_none(), "{} ended before it was killed:\n{}", self.name, self.log_tail());
        self.orphans = self.descendants();
        signal(self.pid(), libc::SIGKILL);
        self.ended = Some(self.child.wait().unwrap());
        assert_eq!(self.ended.and_then(|status| status.signal()), Some(libc::SIGKILL), "{}", self.log_tail());
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        signal(self.pid(), libc::SIGTERM);
        self.wait(Duration::from_secs(20))
    }

    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, within, || self.ended())
    }

    /// All processes that descend from it.
    pub(crate) fn descendants(&self) -> Vec<Pid> {
        descendants(self.pid())
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("=== the end of the log of {} ===\n{}\n===", self.name, self.log_tail());
        }
        if self.ended.is_none() {
            self.orphans = self.descendants();
            signal(self.pid(), libc::SIGKILL);
            let _ = self.child.wait();
        }
        self.orphans.iter().for_each(|orphan| orphan.signal(libc::SIGKILL));
    }
}

/// Sends a signal; that the process is gone already is no error.
pub(crate) fn signal(pid: i32, signal: i32) {
    assert!(pid > 1);
    // SAFETY: plain integers.
    unsafe { libc::kill(pid, signal) };
}

/// All processes that descend from `pid`.
pub(crate) fn descendants(pid: i32) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(stat) = stat(child)
        {
            children.entry(stat.parent).or_default().push(child);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(pid) = next.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(below.iter().copied().filter_map(Pid::of));
        next.extend(below);
    }
    found
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before these may hold anything, also blanks and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(Stat {
        state: fields[0].chars().next()?,
        parent: fields[1].parse().ok()?,
        started: fields[19].parse().ok()?,
    })
}

/// The kernel kills the child when the thread that started it ends, however the test ends.
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl with integers is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}

/// The effective user is root.
pub(crate) fn is_root() -> bool {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
