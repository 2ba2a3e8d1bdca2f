//! The process driver: the agent's end of its keeper, which is the parent of all tasks. Passes orders on, hears what
//! happened, notices that the keeper hangs, and puts another in its place when it has ended.

mod body;
mod link;
mod pulse;

use super::contract::{Driver, Wait};
use crate::clock::now;
use crate::keeper::proto::{KeeperSetup, ToKeeper};
use crate::orders::{DriverEvent, Lease, Limits, Order};
use crate::{AgentConfig, AgentError, descendants};
use link::{Isolation, Link};
use pulse::{Pulse, Verdict};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use taskyard_model::{JobId, JobSpec, Outcome};

/// Held attempts of one group at the keeper, at most.
const PREPARED_MAX: u32 = 256;
/// An order has some fifty bytes, but for an entry of up to a line: a thousand are far below the limit of a message.
const ORDERS_PER_MESSAGE: usize = 1_024;
/// What was killed is looked for again after this.
const KILL_AGAIN_MS: u64 = 50;
/// A keeper that dies young is not started again at once.
const KEEPER_PAUSE: Duration = Duration::from_millis(200);
/// How long a leaving agent waits for the end of its keeper, by which nothing runs any more.
const END_WAIT: Duration = Duration::from_secs(2);

/// See [`super::DriverKind::prepared_max`].
pub(super) fn prepared_max(places: u32, pace: u32) -> u32 {
    (2 * places.min(32)).max(3 * pace).min(PREPARED_MAX)
}

/// See the module.
pub(super) struct ProcessDriver {
    setup: KeeperSetup,
    /// Program and arguments of the keeper.
    command: Vec<String>,
    data_dir: PathBuf,
    /// Held by each keeper while it lives.
    lock: File,
    keeper: Keeper,
    isolation: Isolation,
    pulse: Pulse,
    lease: Option<Lease>,
    hindrances: BTreeMap<Hindrance, String>,
    /// Neighbouring orders to prepare go in one message; anything else must not overtake them.
    orders: Vec<Order>,
    /// What there is to tell.
    events: Vec<DriverEvent>,
}

/// The life of a keeper.
enum Keeper {
    /// It takes orders.
    Serves(Link),
    /// It hung, and its tasks were killed without it. It is killed as soon as it answers. Until then it starts nothing,
    /// as it gets no pings, and while it hangs in the kernel it cannot be killed anyway.
    GivenUp(Link),
    /// Its end of the socket is closed. When this resolves, its process and all it ran are dead.
    Ends(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The next one.
    Begins(Pin<Box<dyn Future<Output = Result<Link, AgentError>> + Send>>),
}

/// What keeps this node from running processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hindrance {
    /// The keeper hangs, or is gone and not replaced yet.
    Keeper,
    /// The keeper cannot start tasks.
    Start,
}

impl ProcessDriver {
    pub(super) async fn open(config: &AgentConfig) -> Result<ProcessDriver, AgentError> {
        let lock = link::claim(&config.data_dir).await?;
        let mut link = link::start(&config.keeper_command, &lock).await?;
        let setup = body::setup(config);
        link.writer.push(&ToKeeper::Setup(setup.clone()));
        link.writer.send_now();
        Ok(ProcessDriver {
            setup,
            command: config.keeper_command.clone(),
            data_dir: config.data_dir.clone(),
            lock,
            isolation: link.isolation,
            keeper: Keeper::Serves(link),
            pulse: Pulse::new(now().boot_ms),
            lease: None,
            hindrances: BTreeMap::new(),
            orders: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Sends an order after those that wait. What a dead keeper misses is lost with what it had.
    fn order(&mut self, order: &ToKeeper) {
        self.send_prepared();
        if let Keeper::Serves(link) = &mut self.keeper {
            link.writer.push(order);
        }
    }

    fn send_prepared(&mut self) {
        if let Keeper::Serves(link) = &mut self.keeper {
            for part in self.orders.chunks(ORDERS_PER_MESSAGE) {
                link.writer.push(&ToKeeper::Prepare(part.to_vec()));
            }
        }
        self.orders.clear();
    }

    async fn next_events(&mut self) -> Result<Vec<DriverEvent>, AgentError> {
        loop {
            self.watch_keeper();
            if !self.events.is_empty() {
                return Ok(std::mem::take(&mut self.events));
            }
            let due_ms = self.due_ms();
            match &mut self.keeper {
                Keeper::Serves(link) | Keeper::GivenUp(link) => match link.turn(due_ms).await {
                    Ok(()) => self.receive(),
                    Err(_) => self.keeper_closed(),
                },
                Keeper::Ends(dead) => {
                    dead.await;
                    self.events.push(DriverEvent::Lost);
                    self.begin_another();
                }
                Keeper::Begins(link) => {
                    let link = link.await?;
                    self.welcome(link);
                }
            }
        }
    }

    /// Takes what the keeper says.
    fn receive(&mut self) {
        loop {
            let message = match &mut self.keeper {
                Keeper::Serves(link) | Keeper::GivenUp(link) => link.reader.message(),
                Keeper::Ends(_) | Keeper::Begins(_) => return,
            };
            match message {
                Ok(Some(message)) => {
                    if message.pong {
                        self.keeper_answered();
                    }
                    message.events.into_iter().for_each(|event| match event {
                        DriverEvent::Health(reason) => {
                            self.set_hindrance(Hindrance::Start, reason.as_deref())
                        }
                        event => self.events.push(event),
                    });
                }
                Ok(None) => return,
                Err(_) => return self.keeper_closed(),
            }
        }
    }

    /// Asks the keeper whether it is well, and does what its silence asks for.
    fn watch_keeper(&mut self) {
        let Keeper::Serves(_) = self.keeper else { return };
        let now_ms = now().boot_ms;
        match self.pulse.look(now_ms, self.lease) {
            Verdict::Well => {}
            Verdict::Ping => self.order(&ToKeeper::Ping { sent_ms: now_ms }),
            Verdict::Hangs => {
                let what =
                    "its keeper does not respond: it is stopped, or hangs on a disk or a network file system";
                self.set_hindrance(Hindrance::Keeper, Some(what));
            }
            Verdict::End => self.give_up_keeper(),
        }
    }

    /// When [`ProcessDriver::watch_keeper`] may find something else.
    fn due_ms(&self) -> Option<u64> {
        let Keeper::Serves(_) = self.keeper else { return None };
        let now_ms = now().boot_ms;
        let is_over = self.pulse.is_over(now_ms, self.lease);
        // What was killed takes a moment to die.
        Some(if is_over { now_ms + KILL_AGAIN_MS } else { self.pulse.due_ms(now_ms, self.lease) })
    }

    /// Ends what a silent keeper runs, which then runs elsewhere.
    fn give_up_keeper(&mut self) {
        let Keeper::Serves(link) = &self.keeper else { return };
        let pid = link.pid;
        let what = "its keeper does not respond; its tasks are being stopped and will run elsewhere";
        if self.hindrances.get(&Hindrance::Keeper).is_none_or(|known| known != what) {
            tracing::error!(pid, "the keeper has not responded for too long; its tasks are stopped");
        }
        self.set_hindrance(Hindrance::Keeper, Some(what));
        if Pid::from_raw(pid).is_some_and(descendants::kill_below) {
            // Some were alive, and may have started others.
            return;
        }
        self.events.push(DriverEvent::Lost);
        self.change_keeper(|keeper| match keeper {
            Keeper::Serves(link) => Keeper::GivenUp(link),
            other => other,
        });
    }

    fn keeper_answered(&mut self) {
        match &self.keeper {
            Keeper::GivenUp(link) => link.kill(),
            _ => {
                self.pulse.answered(now().boot_ms);
                self.set_hindrance(Hindrance::Keeper, None);
            }
        }
    }

    /// The keeper ends. Until its process is gone its tasks may not be; the lease is renewed meanwhile.
    fn keeper_closed(&mut self) {
        self.change_keeper(|keeper| match keeper {
            Keeper::Serves(link) | Keeper::GivenUp(link) => {
                tracing::error!(pid = link.pid, "the keeper died, and its tasks end with it");
                link.kill();
                Keeper::Ends(Box::pin(link.until_dead()))
            }
            other => other,
        });
        self.set_hindrance(Hindrance::Keeper, Some("its keeper died, and its tasks are being stopped"));
    }

    fn begin_another(&mut self) {
        let (command, lock) = (self.command.clone(), self.lock.try_clone());
        self.keeper = Keeper::Begins(Box::pin(async move {
            tokio::time::sleep(KEEPER_PAUSE).await;
            let lock = lock.map_err(|source| AgentError::Keeper { program: command.join(" "), source })?;
            link::start(&command, &lock).await
        }));
    }

    /// Another keeper is there.
    fn welcome(&mut self, mut link: Link) {
        link.writer.push(&ToKeeper::Setup(self.setup.clone()));
        if let Some(lease) = self.lease {
            link.writer.push(&ToKeeper::Lease(lease));
        }
        link.writer.send_now();
        self.keeper = Keeper::Serves(link);
        self.pulse = Pulse::new(now().boot_ms);
        // The new one has its own experience.
        self.set_hindrance(Hindrance::Start, None);
        self.set_hindrance(Hindrance::Keeper, None);
    }

    fn change_keeper(&mut self, change: impl FnOnce(Keeper) -> Keeper) {
        let before = std::mem::replace(&mut self.keeper, Keeper::Ends(Box::pin(std::future::pending())));
        self.keeper = change(before);
    }

    /// Sets what is in the way, or clears it, and tells it if it is news.
    fn set_hindrance(&mut self, what: Hindrance, reason: Option<&str>) {
        let before = self.hindrances.clone();
        match reason {
            Some(reason) => drop(self.hindrances.insert(what, reason.to_owned())),
            None => drop(self.hindrances.remove(&what)),
        }
        if self.hindrances != before {
            let reasons: Vec<&str> = self.hindrances.values().map(String::as_str).collect();
            self.events.push(DriverEvent::Health((!reasons.is_empty()).then(|| reasons.join("; "))));
        }
    }
}

impl Driver for ProcessDriver {
    fn add_job(&mut self, job: JobId, spec: &JobSpec) -> io::Result<()> {
        match body::prepare(&self.data_dir, job, spec) {
            Ok(body) => {
                self.order(&ToKeeper::Job(Box::new(body)));
                Ok(())
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.order(&ToKeeper::CannotPrepare { job: job.0, errno });
                Err(error)
            }
        }
    }

    fn set_limits(&mut self, job: JobId, limits: Limits) {
        self.order(&ToKeeper::Limits { job: job.0, limits });
    }

    fn drop_job(&mut self, job: JobId) {
        self.order(&ToKeeper::DropJob(job.0));
    }

    fn forget(&mut self, job: JobId) {
        body::remove(&self.data_dir, job);
        self.order(&ToKeeper::Forgotten(job.0));
    }

    fn prepare(&mut self, order: Order) {
        self.orders.push(order);
    }

    fn start(&mut self, key: u64) {
        self.order(&ToKeeper::Start(key));
    }

    fn recall(&mut self, key: u64) {
        self.order(&ToKeeper::Recall(key));
    }

    fn stop(&mut self, key: u64, why: Outcome) {
        self.order(&ToKeeper::Stop { key, why });
    }

    fn kill(&mut self, key: u64) {
        self.order(&ToKeeper::Kill(key));
    }

    fn renew(&mut self, lease: Lease) {
        self.lease = Some(lease);
        self.order(&ToKeeper::Lease(lease));
    }

    fn publish(&mut self, key: u64) {
        self.order(&ToKeeper::Publish(key));
    }

    fn flush(&mut self) {
        self.send_prepared();
        if let Keeper::Serves(link) = &mut self.keeper {
            link.writer.send_now();
        }
    }

    fn wait(&mut self) -> Wait<'_> {
        Box::pin(self.next_events())
    }

    fn isolation(&self) -> Option<&'static str> {
        Some(self.isolation.name())
    }

    /// The keeper goes when its socket closes, as nothing runs.
    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if let Keeper::Serves(Link { reader, writer, ended, .. }) = self.keeper {
                drop((reader, writer));
                let _ = tokio::time::timeout(END_WAIT, ended).await;
            }
        })
    }
}
