//! Finding and killing what descends from this process, where no pid namespace does it. Complete only for a subreaper:
//! a process whose parent has died becomes its child, so that nothing leaves the tree.

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use std::fs;

/// The children of a process, of all its threads.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let pids = |list: String| list.split_whitespace().flat_map(str::parse).collect::<Vec<i32>>();
    lists.flat_map(pids).filter_map(Pid::from_raw).collect()
}

/// Whether this process has children, alive or not yet reaped. One system call.
pub(crate) fn any_child() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, look).is_ok()
}

/// Reaps every child that has ended. For a process none of whose children matter any more.
pub(crate) fn reap_all() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// Sends SIGKILL to all that descend from this process now. What they start meanwhile is for the next call.
pub(crate) fn kill_all() {
    kill_below(rustix::process::getpid());
}

/// The same for those that descend from another process. Says whether any of them was alive: one that was may have
/// started others.
pub(crate) fn kill_below(root: Pid) -> bool {
    let mut tree: Vec<(Pid, Pid)> = children(root).into_iter().map(|child| (child, root)).collect();
    let mut at = 0;
    while let Some(&(parent, _)) = tree.get(at) {
        tree.extend(children(parent).into_iter().map(|child| (child, parent)));
        at += 1;
    }
    // From the leaves: what a dead process started is elsewhere in the tree.
    tree.iter().rev().for_each(|(child, parent)| kill_child(*child, *parent));
    tree.iter().any(|(child, _)| is_alive(*child))
}

/// Whether it is more than a record of how it ended.
fn is_alive(pid: Pid) -> bool {
    fields(pid).is_some_and(|fields| !fields.starts_with(['Z', 'X']))
}

/// A number read from `/proc` may belong to another process by now: signals it only if it still has that parent.
fn kill_child(child: Pid, parent: Pid) {
    let Ok(pidfd) = rustix::process::pidfd_open(child, PidfdFlags::empty()) else { return };
    if stat(child, PARENT) == Some(parent.as_raw_nonzero().get()) {
        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    }
}

/// Whether a process is in another session than this one. Not by getsid(2): where the session's leader is outside the
/// pid namespace, as in most containers, its number is 0, which is no pid.
pub(crate) fn in_another_session(pid: Pid) -> bool {
    stat(pid, SESSION) != stat(rustix::process::getpid(), SESSION)
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)), counted after the name.
const PARENT: usize = 1;
const SESSION: usize = 3;

fn stat(pid: Pid, field: usize) -> Option<i32> {
    fields(pid)?.split(' ').nth(field)?.parse().ok()
}

fn fields(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also blanks and parentheses.
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}
