//! Everything with a side effect around the core: one loop that waits for the server, the keeper, the clock and the wish to stop, feeds the
//! core, and does what it says. It decides nothing about attempts.

mod body;
mod dispatch;
mod health;
pub(crate) mod identity;
mod keeping;
mod link;
mod logs;
mod pulse;
mod secure;
mod shown;
pub(crate) mod uplink;

use crate::core::{Core, Input, Now};
use crate::journal::{self, Journal, JournalError, Record};
use crate::null::NullDriver;
use crate::{Config, keeper};
use health::Health;
use identity::Identity;
use link::Link;
use logs::Reads;
use pulse::Pulse;
use rustix::time::ClockId;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use taskyard_datadir::DirError;
use taskyard_model::Incarnation;
use taskyard_wire::ToServer;
use tokio::time::Instant;
use uplink::{Book, Credential, Uplink};

/// An agent that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A file of the data directory.
    #[error("{path}: cannot be used")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A second agent.
    #[error("{path}: another agent runs on this data directory; give each agent its own with --data-dir")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The journal.
    #[error("the agent's journal cannot be used")]
    Journal(#[from] JournalError),
    /// The keeper.
    #[error("{program}: the keeper cannot be started")]
    Keeper {
        /// Its command.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The server does not want this agent, and trying again is of no use.
    #[error("the server refuses this agent: {0}")]
    Refused(String),
    /// A server that does not ask found an agent of another cluster.
    #[error(
        "the data directory belongs to cluster \"{ours}\", and {server} is of cluster \"{theirs}\"; start the agent with a new --data-dir"
    )]
    OtherCluster {
        /// Which server.
        server: String,
        /// Its cluster.
        theirs: String,
        /// That of the data directory.
        ours: String,
    },
    /// No server was given.
    #[error("no server to connect to: give at least one with --server https://HOST:PORT")]
    NoServer,
    /// Servers that speak TLS let in who has joined.
    #[error(
        "this agent has not joined {0}, or was away for longer than its certificate was good: make a token with `taskyard token create --kind agent --join`, and name its file with --token-file"
    )]
    NoCertificate(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] taskyard_tls::TlsError),
}

impl From<DirError> for AgentError {
    fn from(error: DirError) -> AgentError {
        let path = match &error {
            DirError::Io { path, .. } | DirError::Shared { path, .. } | DirError::Damaged { path, .. } => {
                path.clone()
            }
        };
        AgentError::DataDir { path, source: error.into_io() }
    }
}

/// After everything has ended, a stopping agent waits so long for the server to take its reports.
const STOP_REPORT_WAIT: Duration = Duration::from_secs(2);

pub(crate) struct Agent {
    config: Config,
    identity: Identity,
    core: Core,
    /// The core only reports what an older process left.
    recovering: bool,
    /// The last life of this directory that has surely ended.
    dead: Option<Incarnation>,
    health: Health,
    stopping: Option<Stopping>,
    pulse: Pulse,
    /// What a server said last when it refused this agent, and when that was logged.
    refusal: Option<(String, Instant)>,
    /// The server said that our life is over.
    lost: bool,
    journal: Journal,
    null: NullDriver,
    link: Link,
    lock: std::fs::File,
    lease: Option<keeper::proto::Lease>,
    uplink: Uplink,
    _secured: Option<secure::Secured>,
    reads: Reads,
    actions: Vec<crate::core::Action>,
}

pub(crate) fn now() -> Now {
    let ms = |id| {
        let time = rustix::time::clock_gettime(id);
        time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
    };
    Now { boot_ms: ms(ClockId::Boottime), wall_ms: ms(ClockId::Realtime) }
}

/// Runs an agent until `stop` resolves. Then nothing starts any more and what never started goes back; what runs may go on for the configured
/// time, is asked to end, has its grace, and is reported. With `hurry` it is killed at once instead.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let (mut stop, mut hurry) = (std::pin::pin!(stop), std::pin::pin!(hurry));
    // Waits for servers when the agent joins, and for tasks of an older process.
    let mut agent = tokio::select! {
        agent = Agent::open(config) => agent?,
        () = &mut stop => return Ok(()),
    };
    loop {
        let next = agent.next_wake();
        let (stopping, hurried) = (agent.stopping.is_some(), agent.stopping.is_some_and(|s| s.hurried));
        let Agent { link, uplink, .. } = &mut agent;
        let event = tokio::select! {
            () = &mut stop, if !stopping => Event::Stop,
            () = &mut hurry, if stopping && !hurried => Event::Hurry,
            event = keeper_event(link) => event,
            event = uplink.event() => Event::Uplink(event),
            () = sleep_until(next) => Event::Timer,
        };
        agent.handle(event).await?;
        agent.tick();
        agent.hear()?;
        agent.tell_health();
        agent.carry_out()?;
        agent.turn_null()?;
        agent.serve_reads();
        if agent.may_leave() {
            return agent.leave().await;
        }
    }
}

/// The way to the end of an agent that was told to stop.
#[derive(Clone, Copy)]
struct Stopping {
    since: Instant,
    /// What runs has been told.
    told_tasks: bool,
    /// And was killed.
    hurried: bool,
}

enum Event {
    Timer,
    Stop,
    Hurry,
    KeeperSays,
    /// Its socket closed.
    KeeperClosed,
    /// Its process ended after that.
    KeeperEnded,
    Uplink(uplink::Event),
}

async fn keeper_event(link: &mut Link) -> Event {
    if link.closed {
        let _ = (&mut link.ended).await;
        return Event::KeeperEnded;
    }
    let busy = !link.writer.is_empty();
    tokio::select! {
        result = link.reader.fill() => if result.is_ok() { Event::KeeperSays } else { Event::KeeperClosed },
        result = link.writer.send_some(), if busy => if result.is_ok() { Event::Timer } else { Event::KeeperClosed },
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Agent {
    async fn open(config: Config) -> Result<Agent, AgentError> {
        if config.servers.is_empty() {
            return Err(AgentError::NoServer);
        }
        let identity = Identity::open(&config.data_dir)?;
        let secured = secure::open(&config).await?;
        // Everything an older process ran is dead before its end is reported.
        let lock = link::claim(&config.data_dir).await?;
        let recovered = journal::recover(&config.data_dir)?;
        // Only here do both locks prove that nothing of the last life is left. In a copy of the directory, or after another boot, whoever led
        // that life may still do so, and the servers wait for the end of its lease.
        let dead = recovered.incarnation.filter(|_| recovered.place == identity.place);
        let core = match dead.filter(|_| !recovered.is_empty()) {
            Some(incarnation) => Core::recovering(recovered.term, incarnation, recovered.items()),
            None => Core::new(recovered.term),
        };
        let recovering = core.incarnation().is_some();
        let mut records = vec![Record::Place(identity.place.clone())];
        records.extend(dead.map(Record::Incarnation));
        records.extend(core.records());
        let journal = Journal::create(&config.data_dir, &records)?;
        let mut link = link::start(&config.keeper_command, &lock).await?;
        link.writer.push(&body::setup(&config));
        link.writer.send_now();
        let book = Book::open(&config.data_dir, &config.servers);
        let uplink = Uplink::new(book, dispatch::introduction(&config, &identity, &link)).with_credential(
            Credential::of(secured.as_ref().map(|s| &s.channel), config.token_file.as_deref())?,
        );
        Ok(Agent {
            config,
            identity,
            core,
            recovering,
            dead,
            health: Health::default(),
            stopping: None,
            pulse: Pulse::new(now().boot_ms),
            refusal: None,
            lost: false,
            journal,
            null: NullDriver::default(),
            link,
            lock,
            lease: None,
            uplink,
            _secured: secured,
            reads: Reads::default(),
            actions: Vec::new(),
        })
    }

    fn step(&mut self, input: Input) {
        self.core.step(now(), input, &mut self.actions);
    }

    async fn handle(&mut self, event: Event) -> Result<(), AgentError> {
        match event {
            Event::Timer => {}
            Event::Stop => self.stop(),
            Event::Hurry => self.hurry(),
            Event::KeeperSays => self.keeper_says(),
            Event::KeeperClosed => self.keeper_closed(),
            Event::KeeperEnded => self.replace_keeper().await?,
            Event::Uplink(event) => self.uplink.handle(event),
        }
        Ok(())
    }

    fn stop(&mut self) {
        tracing::info!(
            "stopping: no new work, and what never started goes back; stop again to kill what runs"
        );
        self.health.stop();
        self.stopping = Some(Stopping { since: Instant::now(), told_tasks: false, hurried: false });
        self.step(Input::Drain);
    }

    fn hurry(&mut self) {
        tracing::info!("stopping now: tasks are killed");
        self.tell_tasks();
        if let Some(stopping) = &mut self.stopping {
            stopping.hurried = true;
        }
        self.step(Input::KillNow);
    }

    /// Asks what runs to end, when that is due.
    fn tell_tasks(&mut self) {
        if let Some(stopping) = self.stopping.as_mut().filter(|s| !s.told_tasks) {
            stopping.told_tasks = true;
            self.step(Input::Stop);
        }
    }

    /// When the loop must look again though nothing happens.
    fn next_wake(&self) -> Option<Instant> {
        let boot_ms = now().boot_ms;
        let at = |due: u64| Instant::now() + Duration::from_millis(due.saturating_sub(boot_ms));
        let uplink = self.uplink.next_wake(self.may_call());
        let core = self.core.next_tick_ms().map(at);
        let null = self.null.due_ms().map(at);
        let stop = self.stopping.map(|s| match (self.core.is_quiet(), s.told_tasks) {
            (true, _) => Some(s.since + STOP_REPORT_WAIT),
            (false, true) => None,
            (false, false) => Some(s.since + self.config.drain),
        });
        let keeper = self.keeper_due_ms().map(at);
        [uplink, core, null, stop.flatten(), keeper, self.reads.next_try()].into_iter().flatten().min()
    }

    /// Does what the time asks for.
    fn tick(&mut self) {
        self.step(Input::Tick);
        if self.stopping.is_some_and(|s| Instant::now() >= s.since + self.config.drain) {
            self.tell_tasks();
        }
        self.watch_keeper();
        let may_call = self.may_call();
        self.uplink.tick(may_call, crate::capacity::load);
    }

    fn turn_null(&mut self) -> Result<(), AgentError> {
        while self.null.due_ms().is_some_and(|due| due <= now().boot_ms) {
            let events = self.null.turn(now());
            self.step(Input::Happened(events));
            self.carry_out()?;
            // Between turns the server must be heard: what is left comes in the next round of the loop.
            if self.null.due_ms() == Some(0) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A stopping agent has nothing left to do.
    fn may_leave(&self) -> bool {
        let Some(Stopping { since, .. }) = self.stopping else { return false };
        let no_server = Instant::now() > since + STOP_REPORT_WAIT && !self.uplink.is_open();
        self.core.is_settled() || (self.core.is_quiet() && no_server)
    }

    async fn leave(mut self) -> Result<(), AgentError> {
        // It says that everything is reported.
        if self.core.is_settled() && self.core.has_session() {
            self.uplink.send(&ToServer::Goodbye);
        }
        let _ = tokio::time::timeout(STOP_REPORT_WAIT, self.uplink.drain()).await;
        // The keeper goes when its socket closes, as nothing runs.
        let Agent { link, .. } = self;
        let Link { reader, writer, ended, .. } = link;
        drop((reader, writer));
        let _ = tokio::time::timeout(STOP_REPORT_WAIT, ended).await;
        Ok(())
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
