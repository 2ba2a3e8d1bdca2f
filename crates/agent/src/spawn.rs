//! The only unsafe code of this crate: starting and reaping processes, and what a keeper must set before it does so.
//!
//! Everything here is a thin wrapper with a safe signature; it knows nothing of tasks. `posix_spawn` (vfork-like in
//! glibc) is the cheapest start there is: no page tables are copied, and an error of `exec` comes back as an errno.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

/// `fcntl` command missing from libc for this target.
const F_SETLEASE: c_int = 1024;

/// NUL-terminated strings in one allocation, so that they can be refilled for each task without a further one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// A string has a NUL inside and cannot be passed to a program.
#[derive(Debug)]
pub(crate) struct HasNul;

impl Strings {
    /// Adds `key=value`.
    pub(crate) fn variable(&mut self, key: &str, value: &[u8]) -> Result<(), HasNul> {
        self.parts(&[key.as_bytes(), b"=", value])
    }

    /// Adds one string.
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<(), HasNul> {
        self.parts(&[text])
    }

    fn parts(&mut self, parts: &[&[u8]]) -> Result<(), HasNul> {
        if parts.iter().any(|part| part.contains(&0)) {
            return Err(HasNul);
        }
        self.starts.push(self.bytes.len());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    fn pointers(&self, out: &mut Vec<*mut c_char>) {
        for &start in &self.starts {
            out.push(self.bytes[start..].as_ptr().cast_mut().cast());
        }
    }
}

/// What to start.
pub(crate) struct SpawnRequest<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) argv: &'a Strings,
    /// The job's part of the environment, and the task's.
    pub(crate) env: [&'a Strings; 2],
    pub(crate) cwd: BorrowedFd<'a>,
    /// Becomes standard input, output and error.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
}

/// Room for the pointer arrays, kept by each spawning thread.
#[derive(Default)]
pub(crate) struct PointerArrays {
    argv: Vec<*mut c_char>,
    envp: Vec<*mut c_char>,
}

/// Starts a process in a process group of its own, with no signal blocked. Returns its pid, which is its group's number
/// too.
///
/// Not in a session of its own: the kernel makes a scheduling group for each session (autogroup), which cost up to a
/// fifth of the rate of short tasks on a busy machine. The keeper's session has no terminal, so a session would gain
/// nothing.
pub(crate) fn spawn(scratch: &mut PointerArrays, start: &SpawnRequest<'_>) -> Result<i32, Errno> {
    scratch.argv.clear();
    start.argv.pointers(&mut scratch.argv);
    scratch.argv.push(ptr::null_mut());
    scratch.envp.clear();
    start.env.iter().for_each(|strings| strings.pointers(&mut scratch.envp));
    scratch.envp.push(ptr::null_mut());

    let mut attributes = MaybeUninit::<libc::posix_spawnattr_t>::uninit();
    let mut actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
    let mut no_signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: each object is initialised by its init function before any other use, and destroyed once at the end. The
    // pointer arrays end in null and point into `Strings` that outlive the call, each string ending in NUL. The
    // descriptors are borrowed for the call.
    unsafe {
        check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
        libc::sigemptyset(no_signals.as_mut_ptr());
        libc::posix_spawnattr_setsigmask(attributes.as_mut_ptr(), no_signals.as_ptr());
        // Both fit in a short; the type of the constants differs from that of the parameter.
        let flags = libc::POSIX_SPAWN_SETPGROUP as i16 | libc::POSIX_SPAWN_SETSIGMASK as i16;
        libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags);
        // 0: the number of the new process.
        libc::posix_spawnattr_setpgroup(attributes.as_mut_ptr(), 0);
        let mut result = libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        if result == 0 {
            result = add_actions(actions.as_mut_ptr(), start);
            let mut pid = 0;
            if result == 0 {
                result = libc::posix_spawn(
                    &raw mut pid,
                    start.program.as_ptr(),
                    actions.as_ptr(),
                    attributes.as_ptr(),
                    scratch.argv.as_ptr(),
                    scratch.envp.as_ptr(),
                );
            }
            libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
            libc::posix_spawnattr_destroy(attributes.as_mut_ptr());
            return check(result).map(|()| pid);
        }
        libc::posix_spawnattr_destroy(attributes.as_mut_ptr());
        check(result).map(|()| 0)
    }
}

/// SAFETY: `actions` is initialised.
unsafe fn add_actions(actions: *mut libc::posix_spawn_file_actions_t, start: &SpawnRequest<'_>) -> c_int {
    for (target, source) in start.stdio.iter().enumerate() {
        // SAFETY: as promised by the caller.
        let result =
            unsafe { libc::posix_spawn_file_actions_adddup2(actions, source.as_raw_fd(), target as RawFd) };
        if result != 0 {
            return result;
        }
    }
    match add_fchdir() {
        // SAFETY: as promised by the caller.
        Some(add) => unsafe { add(actions, start.cwd.as_raw_fd()) },
        None => enter(start.cwd).err().map_or(0, Errno::raw_os_error),
    }
}

type AddFchdir = unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, c_int) -> c_int;

/// Has the child change its directory. Looked up, not linked: glibc has it since 2.29, and this program is to start on
/// 2.28.
fn add_fchdir() -> Option<AddFchdir> {
    static FOUND: OnceLock<Option<AddFchdir>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: the name ends in NUL, and what has this name has this signature in every libc.
        unsafe {
            let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"posix_spawn_file_actions_addfchdir_np".as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut c_void, AddFchdir>(symbol))
        }
    })
}

/// Where the child cannot change its directory: this thread changes its own, and the child inherits it.
fn enter(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    thread_local!(static OWN: Cell<bool> = const { Cell::new(false) });
    if !OWN.get() {
        // SAFETY: no descriptors are unshared; other threads keep the directory that they had.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS)? };
        OWN.set(true);
    }
    rustix::process::fchdir(directory)
}

fn check(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exit {
    pub(crate) pid: i32,
    /// Exit code, or the signal that ended it.
    pub(crate) status: Result<i32, i32>,
    pub(crate) cpu_us: u64,
    pub(crate) max_rss_kib: u64,
}

/// Waits for any child. `None`: there is no child.
pub(crate) fn wait_any() -> Option<Exit> {
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are valid for writes; rusage is plain data, valid when zeroed.
        let (pid, usage) =
            unsafe { (libc::wait4(-1, &raw mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
        if pid < 0 {
            if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {
                continue;
            }
            return None;
        }
        let us = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
        let status = if libc::WIFSIGNALED(status) {
            Err(libc::WTERMSIG(status))
        } else {
            Ok(libc::WEXITSTATUS(status))
        };
        let cpu_us = us(usage.ru_utime) + us(usage.ru_stime);
        return Some(Exit { pid, status, cpu_us, max_rss_kib: usage.ru_maxrss as u64 });
    }
}

/// Gives every signal its default meaning and blocks it, in this thread and those it starts: children of `spawn`
/// inherit the meanings (Rust programs ignore SIGPIPE) but not the mask, and no signal can interrupt or end the keeper
/// save those it reads from [`stop_signals`].
pub(crate) fn settle_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code. The few signals that may not be changed give an error that changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is used.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
    }
}

/// A descriptor that is readable once SIGTERM or SIGINT came. Needs [`settle_signals`] first.
pub(crate) fn stop_signals() -> Result<OwnedFd, Errno> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is emptied before it is used; a descriptor that is returned is new and ours.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(last_errno()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Whether `file` is the only open description of its inode that can write. A write lease is granted only then; it is
/// given back at once. On file systems without leases the answer is no.
pub(crate) fn sole_writer(file: &OwnedFd) -> bool {
    // SAFETY: integer commands of fcntl on a descriptor that is borrowed.
    unsafe {
        let sole = libc::fcntl(file.as_raw_fd(), F_SETLEASE, libc::F_WRLCK) == 0;
        if sole {
            libc::fcntl(file.as_raw_fd(), F_SETLEASE, libc::F_UNLCK);
        }
        sole
    }
}

/// Makes later children of this thread begin a new pid namespace: the first is its PID 1, whose end kills all others.
pub(crate) fn unshare_pids() -> Result<(), Errno> {
    // SAFETY: concerns only later children of this thread; no descriptors are unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }
}

/// Gives this process a mount namespace of its own.
pub(crate) fn unshare_mounts() -> Result<(), Errno> {
    // SAFETY: no descriptors are unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_thread_enters_directories_alone() {
        assert!(add_fchdir().is_some(), "tests run on a glibc that has it");
        let before = std::env::current_dir().unwrap();
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let inside = std::thread::scope(|scope| {
            let enter_each = || {
                let each = directories.iter().map(|directory| {
                    enter(std::fs::File::open(directory.path()).unwrap().as_fd()).unwrap();
                    std::env::current_dir().unwrap()
                });
                each.collect::<Vec<_>>()
            };
            scope.spawn(enter_each).join().unwrap()
        });
        let wanted: Vec<_> = directories.iter().map(|one| one.path().canonicalize().unwrap()).collect();
        assert_eq!(inside, wanted);
        assert_eq!(std::env::current_dir().unwrap(), before);
    }
}
