//! Ctrl-C at commands that only watch: the jobs go on, and it is said how to stop them.

use crate::exit::{self, Failure};
use crate::show::output::say;
use std::future::Future;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Jobs named one by one; of more, only their number.
const NAMED_MAX: usize = 3;

/// The signals by which a user ends a command: Ctrl-C, Ctrl-\\ and `kill`.
pub(crate) struct Interrupts {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Heard from now on; `None` if the system takes no handlers.
    pub(crate) fn new() -> Option<Interrupts> {
        let heard = |kind| signal(kind).ok();
        Some(Interrupts {
            interrupt: heard(SignalKind::interrupt())?,
            quit: heard(SignalKind::quit())?,
            terminate: heard(SignalKind::terminate())?,
        })
    }

    /// The number of the next one.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminate.recv() => 15,
        }
    }
}

/// Does it to the end, or until an interrupt ends this command alone.
pub(crate) async fn or_leave<T>(
    what: impl Future<Output = Result<T, Failure>>,
    jobs: &[u64],
    local_flag: &str,
) -> Result<T, Failure> {
    // Without handlers the signals end this process, as they would any other.
    let Some(mut asked) = Interrupts::new() else { return what.await };
    let number = tokio::select! {
        result = what => return result,
        number = asked.next() => number,
    };
    say(&left(jobs, local_flag));
    Err(Failure::Code(exit::SIGNAL + number))
}

/// `job 12 continues; cancel it with: taskyard cancel 12`
pub(crate) fn left(jobs: &[u64], local_flag: &str) -> String {
    let names: Vec<String> = jobs.iter().take(NAMED_MAX).map(u64::to_string).collect();
    match jobs.len() {
        // Their server ends with this command.
        _ if !local_flag.is_empty() => {
            format!("stopped waiting; see what runs with: taskyard jobs{local_flag}")
        }
        1 => format!("job {0} continues; cancel it with: taskyard cancel {0}", names[0]),
        n if n <= NAMED_MAX => {
            format!(
                "jobs {} continue; cancel them with: taskyard cancel {}",
                names.join(", "),
                names.join(" ")
            )
        }
        n => format!("{n} jobs continue, {} and others; see them with: taskyard jobs", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_said() {
        assert_eq!(left(&[12], ""), "job 12 continues; cancel it with: taskyard cancel 12");
        assert_eq!(left(&[12, 13], ""), "jobs 12, 13 continue; cancel them with: taskyard cancel 12 13");
        assert!(left(&[1, 2, 3, 4], "").starts_with("4 jobs continue, 1, 2, 3 and others"));
        assert!(left(&[1], " --local").contains("jobs --local"));
    }
}
