//! The agent's care for its keeper: hearing it, noticing that it hangs, and putting another in its place when it has ended.

use super::health::Hindrance;
use super::link::{self, Isolation};
use super::pulse::{Pulse, Verdict};
use super::{Agent, AgentError, body, now};
use crate::core::Input;
use crate::descendants;
use crate::keeper::proto::{Event, ToKeeper};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// What was killed is looked for again after this.
const KILL_AGAIN_MS: u64 = 50;
/// A keeper that dies young is not started again at once.
const KEEPER_PAUSE: Duration = Duration::from_millis(200);

impl Agent {
    /// Takes what the keeper says.
    pub(super) fn keeper_says(&mut self) {
        loop {
            match self.link.reader.message() {
                Ok(Some(message)) => {
                    if message.0.contains(&Event::Pong) {
                        self.keeper_answered();
                    }
                    for event in &message.0 {
                        if let Event::Health(fault) = event {
                            let reason = fault.as_ref().map(|fault| fault.reason.as_str());
                            self.set_hindrance(Hindrance::Start, reason);
                        }
                    }
                    self.reads.published(&message.0);
                    self.step(Input::Happened(message.0));
                }
                Ok(None) => return,
                Err(_) => return self.keeper_closed(),
            }
        }
    }

    /// Asks the keeper whether it is well, and does what its silence asks for.
    pub(super) fn watch_keeper(&mut self) {
        if self.link.closed {
            return;
        }
        match self.pulse.look(now().boot_ms, self.lease) {
            Verdict::Well => {}
            Verdict::Ping => {
                let sent_ms = now().boot_ms;
                self.link.writer.push(&ToKeeper::Ping { sent_ms });
            }
            Verdict::Hangs => {
                let what =
                    "its keeper does not answer: it is stopped, or hangs on a disk or a network file system";
                self.set_hindrance(Hindrance::Keeper, Some(what));
            }
            Verdict::End => self.give_up_keeper(),
        }
    }

    /// Ends what a silent keeper runs, which then runs elsewhere. The keeper itself is ended when it answers: until then it starts nothing,
    /// as nobody has pinged it, and while it is in the kernel it could not be ended anyway.
    fn give_up_keeper(&mut self) {
        if self.link.given_up {
            return;
        }
        let what = "its keeper does not answer; what it ran is being ended, to run again elsewhere";
        if self.set_hindrance(Hindrance::Keeper, Some(what)) {
            tracing::error!(
                pid = self.link.pid,
                "the keeper has not answered for too long: its tasks are ended"
            );
        }
        let any_alive = Pid::from_raw(self.link.pid).is_some_and(descendants::kill_below);
        if !any_alive {
            self.link.given_up = true;
            self.step(Input::KeeperLost);
        }
    }

    fn keeper_answered(&mut self) {
        if self.link.given_up {
            self.kill_keeper();
        } else {
            self.pulse.answered(now().boot_ms);
            self.set_hindrance(Hindrance::Keeper, None);
        }
    }

    pub(super) fn keeper_due_ms(&self) -> Option<u64> {
        let now_ms = now().boot_ms;
        // What was killed takes a moment to die.
        let until = |due_ms: u64| {
            if self.pulse.is_over(now_ms, self.lease) { now_ms + KILL_AGAIN_MS } else { due_ms }
        };
        (!self.link.closed && !self.link.given_up).then(|| until(self.pulse.due_ms(now_ms, self.lease)))
    }

    /// Says whether that is news.
    fn set_hindrance(&mut self, what: Hindrance, reason: Option<&str>) -> bool {
        let before = self.health.unfit();
        self.health.set(what, reason);
        let after = self.health.unfit();
        if before == after {
            return false;
        }
        match &after {
            Some(reason) => tracing::warn!(reason, "this node takes no work"),
            None => tracing::info!("this node takes work again"),
        }
        if before.is_some() != after.is_some() {
            self.step(Input::Fit(after.is_none()));
        }
        true
    }

    fn kill_keeper(&self) {
        if let Some(pid) = Pid::from_raw(self.link.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// The keeper ends. Until its process is gone its tasks may not be; the lease is renewed meanwhile.
    pub(super) fn keeper_closed(&mut self) {
        tracing::error!(pid = self.link.pid, "the keeper died, and what it ran ends with it");
        self.link.closed = true;
        self.kill_keeper();
        self.set_hindrance(Hindrance::Keeper, Some("its keeper died, and what it ran is being ended"));
    }

    /// The keeper's process has ended: when its tasks are dead too, another is started.
    pub(super) async fn replace_keeper(&mut self) -> Result<(), AgentError> {
        if self.link.isolation == Isolation::ProcessGroup {
            link::kill_orphans().await;
        }
        self.step(Input::KeeperLost);
        tokio::time::sleep(KEEPER_PAUSE).await;
        self.link = link::start(&self.config.keeper_command, &self.lock).await?;
        self.link.writer.push(&body::setup(&self.config));
        if let Some(lease) = self.lease {
            self.link.writer.push(&ToKeeper::Lease(lease));
        }
        self.pulse = Pulse::new(now().boot_ms);
        // The new one has its own experience.
        self.set_hindrance(Hindrance::Start, None);
        self.set_hindrance(Hindrance::Keeper, None);
        Ok(())
    }
}
