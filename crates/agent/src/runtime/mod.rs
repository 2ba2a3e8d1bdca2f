//! Everything with a side effect around the core: one loop that waits for the server, the keeper, the clock and the wish to stop, feeds the
//! core, and does what it says. It decides nothing about attempts.

mod body;
mod dispatch;
mod identity;
mod link;
mod logs;
mod session;

use crate::core::{Core, Input, Now};
use crate::journal::{self, Journal, JournalError, Record};
use crate::null::NullDriver;
use crate::{Config, keeper};
use identity::Identity;
use link::Link;
use logs::Reads;
use rustix::time::ClockId;
use session::{DialError, Reader, Writer};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use taskyard_wire::ToServer;
use tokio::time::Instant;

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
    #[error("no server to connect to: give at least one with --server http://HOST:PORT")]
    NoServer,
}

/// Between tries to reach a server: doubled from the first to the last, with jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_LAST: Duration = Duration::from_secs(2);
/// A session is given up after so many heartbeats without an answer.
const UNANSWERED_MAX: u32 = 4;
/// After everything has ended, a stopping agent waits so long for the server to take its reports.
const STOP_REPORT_WAIT: Duration = Duration::from_secs(2);
/// A keeper that dies young is not started again at once.
const KEEPER_PAUSE: Duration = Duration::from_millis(200);

type Dial = Pin<Box<dyn Future<Output = Result<(Reader, Writer), DialError>> + Send>>;

/// The connection to a server, as far as it has come.
enum Connection {
    /// Until then, nothing is tried.
    Waiting(Instant),
    Dialling(Dial),
    /// Hello was sent, or the session stands.
    Open(Box<(Reader, Writer)>),
}

pub(crate) struct Agent {
    config: Config,
    identity: Identity,
    core: Core,
    /// The core only reports what an older process left.
    recovering: bool,
    /// The server said that our life is over.
    lost: bool,
    journal: Journal,
    null: NullDriver,
    link: Link,
    lock: std::fs::File,
    lease: Option<keeper::proto::Lease>,
    connection: Connection,
    server: usize,
    backoff: Duration,
    heartbeat: Option<Heartbeat>,
    reads: Reads,
    actions: Vec<crate::core::Action>,
}

struct Heartbeat {
    every: Duration,
    next: Instant,
    unanswered: u32,
}

pub(crate) fn now() -> Now {
    let ms = |id| {
        let time = rustix::time::clock_gettime(id);
        time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
    };
    Now { boot_ms: ms(ClockId::Boottime), wall_ms: ms(ClockId::Realtime) }
}

/// Runs an agent until `stop` resolves: then it stops its tasks, gives back what it holds, reports, and says goodbye.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), AgentError> {
    let mut agent = Agent::open(config).await?;
    let mut stop = std::pin::pin!(stop);
    let mut stopping: Option<Instant> = None;
    loop {
        let next = agent.next_wake(stopping);
        let Agent { link, connection, .. } = &mut agent;
        let mut stopped = false;
        let event = tokio::select! {
            () = &mut stop, if stopping.is_none() => { stopped = true; Event::Timer }
            event = keeper_event(link) => event,
            event = connection.event() => event,
            () = sleep_until(next) => Event::Timer,
        };
        if stopped {
            tracing::info!("stopping: tasks are asked to end");
            agent.step(Input::Stop);
            stopping = Some(Instant::now());
        }
        agent.handle(event).await?;
        agent.tick()?;
        agent.carry_out()?;
        agent.turn_null()?;
        agent.serve_reads();
        if let Some(since) = stopping
            && agent.may_leave(since)
        {
            return agent.leave().await;
        }
    }
}

enum Event {
    Timer,
    KeeperSays,
    KeeperLost,
    Dialled(Result<(Reader, Writer), DialError>),
    ServerSays,
    Disconnected(io::Error),
}

async fn keeper_event(link: &mut Link) -> Event {
    let busy = !link.writer.is_empty();
    tokio::select! {
        result = link.reader.fill() => if result.is_ok() { Event::KeeperSays } else { Event::KeeperLost },
        result = link.writer.send_some(), if busy => if result.is_ok() { Event::Timer } else { Event::KeeperLost },
    }
}

impl Connection {
    async fn event(&mut self) -> Event {
        match self {
            Connection::Waiting(_) => std::future::pending().await,
            Connection::Dialling(dial) => Event::Dialled(dial.await),
            Connection::Open(open) => {
                let (reader, writer) = &mut **open;
                let busy = !writer.is_empty();
                let result = tokio::select! {
                    result = reader.fill() => result.map(|()| Event::ServerSays),
                    result = writer.send_some(), if busy => result.map(|()| Event::Timer),
                };
                result.unwrap_or_else(Event::Disconnected)
            }
        }
    }

    fn writer(&mut self) -> Option<&mut Writer> {
        match self {
            Connection::Open(open) => Some(&mut open.1),
            _ => None,
        }
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
        // Everything an older process ran is dead before its end is reported.
        let lock = link::claim(&config.data_dir).await?;
        let recovered = journal::recover(&config.data_dir)?;
        let core = match recovered.incarnation.filter(|_| !recovered.is_empty()) {
            Some(incarnation) => Core::recovering(recovered.term, incarnation, recovered.items()),
            None => Core::new(recovered.term),
        };
        let recovering = core.incarnation().is_some();
        let mut records = vec![Record::Boot(identity.boot_id.clone())];
        records.extend(core.records());
        let journal = Journal::create(&config.data_dir, &records)?;
        let mut link = link::start(&config.keeper_command, &lock).await?;
        link.writer.push(&body::setup(&config));
        link.writer.send_now();
        Ok(Agent {
            config,
            identity,
            core,
            recovering,
            lost: false,
            journal,
            null: NullDriver::default(),
            link,
            lock,
            lease: None,
            connection: Connection::Waiting(Instant::now()),
            server: 0,
            backoff: BACKOFF_FIRST,
            heartbeat: None,
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
            Event::KeeperSays => loop {
                match self.link.reader.message() {
                    Ok(Some(message)) => {
                        self.reads.published(&message.0);
                        self.step(Input::Happened(message.0));
                    }
                    Ok(None) => break,
                    Err(_) => return self.keeper_lost().await,
                }
            },
            Event::KeeperLost => return self.keeper_lost().await,
            Event::Dialled(Ok(open)) => self.dialled(open),
            Event::Dialled(Err(error)) => {
                tracing::warn!(server = self.address(), error = chain(&error), "no session");
                self.try_next(Duration::ZERO);
            }
            Event::ServerSays => return self.server_says(),
            Event::Disconnected(error) => {
                tracing::warn!(server = self.address(), %error, "the session ended");
                self.disconnect();
            }
        }
        Ok(())
    }

    /// The keeper died: waits until its tasks are dead too, then starts another.
    async fn keeper_lost(&mut self) -> Result<(), AgentError> {
        tracing::error!(pid = self.link.pid, "the keeper died; its tasks end as agent_lost");
        if let Some(pid) = rustix::process::Pid::from_raw(self.link.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = (&mut self.link.ended).await;
        if self.link.isolation == link::Isolation::ProcessGroup {
            link::kill_orphans().await;
        }
        self.step(Input::KeeperLost);
        tokio::time::sleep(KEEPER_PAUSE).await;
        self.link = link::start(&self.config.keeper_command, &self.lock).await?;
        self.link.writer.push(&body::setup(&self.config));
        if let Some(lease) = self.lease {
            self.link.writer.push(&keeper::proto::ToKeeper::Lease(lease));
        }
        Ok(())
    }

    /// When the loop must look again though nothing happens.
    fn next_wake(&self, stopping: Option<Instant>) -> Option<Instant> {
        let boot_ms = now().boot_ms;
        let at = |due: u64| Instant::now() + Duration::from_millis(due.saturating_sub(boot_ms));
        let dial = match &self.connection {
            Connection::Waiting(until) if self.may_dial() => Some(*until),
            _ => None,
        };
        let heartbeat = self.heartbeat.as_ref().map(|h| h.next);
        let core = self.core.next_tick_ms().map(at);
        let null = self.null.due_ms().map(at);
        let stop = stopping.filter(|_| self.core.is_quiet()).map(|since| since + STOP_REPORT_WAIT);
        [dial, heartbeat, core, null, stop, self.reads.next_try()].into_iter().flatten().min()
    }

    /// Does what the time asks for.
    fn tick(&mut self) -> Result<(), AgentError> {
        self.step(Input::Tick);
        if let Connection::Waiting(until) = &self.connection
            && *until <= Instant::now()
            && self.may_dial()
        {
            let server = self.config.servers[self.server % self.config.servers.len()].clone();
            self.connection = Connection::Dialling(Box::pin(async move { session::dial(&server).await }));
        }
        let Some(heartbeat) = &mut self.heartbeat else { return Ok(()) };
        if heartbeat.next <= Instant::now() {
            heartbeat.next = Instant::now() + heartbeat.every;
            heartbeat.unanswered += 1;
            if heartbeat.unanswered > UNANSWERED_MAX {
                tracing::warn!(server = self.address(), "heartbeats are not answered");
                self.disconnect();
                return Ok(());
            }
            let load = crate::capacity::load();
            self.send(&ToServer::Heartbeat { sent_boot_ms: now().boot_ms, load });
        }
        Ok(())
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
    fn may_leave(&self, since: Instant) -> bool {
        let no_server =
            Instant::now() > since + STOP_REPORT_WAIT && !matches!(self.connection, Connection::Open(_));
        self.core.is_settled() || (self.core.is_quiet() && no_server)
    }

    async fn leave(mut self) -> Result<(), AgentError> {
        self.send(&ToServer::Goodbye);
        let flush = async {
            while let Some(writer) = self.connection.writer().filter(|w| !w.is_empty()) {
                if writer.send_some().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(STOP_REPORT_WAIT, flush).await;
        // The keeper goes when its socket closes, as nothing runs.
        let Agent { link, .. } = self;
        let Link { reader, writer, ended, .. } = link;
        drop((reader, writer));
        let _ = tokio::time::timeout(STOP_REPORT_WAIT, ended).await;
        Ok(())
    }

    fn address(&self) -> &str {
        &self.config.servers[self.server % self.config.servers.len()]
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
