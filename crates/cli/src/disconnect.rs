//! Whether anybody still reads what this process writes: a pipe without a reader, a terminal that was closed.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at standard output.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How the reader was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Standard output has lost its reader.
    Reader,
    /// The terminal was closed.
    Terminal,
}

impl Lost {
    /// The signal that ends a program in this case, if it does not heed it.
    pub(crate) fn signal(self) -> u8 {
        match self {
            Lost::Reader => 13,
            Lost::Terminal => 1,
        }
    }
}

/// Waits until the reader is lost.
pub(crate) async fn disconnected() -> Lost {
    tokio::select! {
        () = hangup() => Lost::Terminal,
        () = unread() => Lost::Reader,
    }
}

/// SIGHUP, unless the parent of this process has it ignored, as `nohup` does.
async fn hangup() {
    let ignored = || std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status));
    if ignored() {
        return std::future::pending().await;
    }
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => drop(hangup.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// The mask of ignored signals in `/proc/PID/status`: SIGHUP is the lowest bit.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// A task that writes nothing would never show that its reader has gone, so the pipe is looked at.
async fn unread() {
    loop {
        let output = io::stdout();
        let mut fds = [PollFd::new(&output, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
        {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn nohup_is_heeded() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000000001\n"));
        assert!(ignores_hangup("SigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!ignores_hangup(""));
    }
}
