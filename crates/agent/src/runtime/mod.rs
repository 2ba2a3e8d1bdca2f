//! Everything with a side effect around the core: one loop that waits for the server, the drivers, the clock and the
//! signal to stop, feeds the core, and carries out its actions. It decides nothing about attempts. Real and simulated
//! agents run in it.

mod agent_dir;
mod captured;
mod carry_out;
mod health;
mod logs;
mod secure;
mod server;
mod shown;

use crate::capacity::{self, LoadGauge};
use crate::clock::{boot_ms, now};
use crate::core::{Action, AgentCore, Input};
use crate::driver::{DriverKind, Drivers};
use crate::orders::DriverEvent;
use crate::random::random;
use crate::uplink::{self, AddressBook, Credential, Uplink};
use crate::{AgentConfig, AgentError, journal};
use agent_dir::{AgentDir, Claimed};
use health::AgentHealth;
use logs::Reads;
use std::time::Duration;
use taskyard_model::{Capacity, Incarnation};
use taskyard_wire::{Hello, Load, ToServer};
use tokio::time::Instant;

/// After everything has ended, a stopping agent waits this long for the server to take its reports.
const STOP_REPORT_WAIT: Duration = Duration::from_secs(2);

/// One agent: what it decides (`core`), with what it runs tasks (`drivers`), what it keeps (`home`), and how it reaches
/// servers (`uplink`).
pub(crate) struct Agent {
    /// Who this agent is, with nothing of its life.
    introduction: Hello,
    core: AgentCore,
    drivers: Drivers,
    home: Option<AgentDir>,
    uplink: Uplink,
    health: AgentHealth,
    reads: Reads,
    stopping: Option<StopProgress>,
    /// How long running tasks may go on after the agent was told to stop.
    drain: Duration,
    /// The core only reports what an older process left.
    recovering: bool,
    /// The last life of this directory that has surely ended.
    dead: Option<Incarnation>,
    /// The server said that our life is over.
    lost: bool,
    /// What a server said last when it refused this agent, and when that was logged.
    refusal: Option<(String, Instant)>,
    /// CLOCK_BOOTTIME at which the session began; 0 while there is none.
    session_since_ms: u64,
    /// How busy the machine is.
    load: LoadGauge,
    actions: Vec<Action>,
    _secured: Option<secure::Secured>,
}

/// Runs an agent until `stop` resolves. Then nothing starts any more, and what never started goes back. Tasks may run
/// on for the configured time; then they are asked to end, have their grace, and are reported. `hurry` kills them at
/// once.
pub async fn run(
    config: AgentConfig,
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
        let (stopping, hurried) = (agent.stopping.is_some(), agent.stopping.is_some_and(|s| s.hurried));
        let event = tokio::select! {
            () = &mut stop, if !stopping => LoopEvent::Stop,
            () = &mut hurry, if stopping && !hurried => LoopEvent::Hurry,
            event = agent.event() => event,
        };
        agent.turn(event)?;
        if agent.may_leave() {
            return agent.leave().await;
        }
    }
}

/// The way to the end of an agent that was told to stop.
#[derive(Clone, Copy)]
struct StopProgress {
    since: Instant,
    /// What runs has been told.
    told_tasks: bool,
    /// And was killed.
    hurried: bool,
}

/// What the loop waits for.
pub(crate) enum LoopEvent {
    Timer,
    Stop,
    Hurry,
    Driver(DriverKind, Result<Vec<DriverEvent>, AgentError>),
    Uplink(uplink::UplinkEvent),
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Agent {
    async fn open(config: AgentConfig) -> Result<Agent, AgentError> {
        if config.servers.is_empty() {
            let none = "no server to connect to: give at least one with --server https://HOST:PORT";
            return Err(AgentError::Incomplete(none.to_owned()));
        }
        let claimed = Claimed::open(&config.data_dir)?;
        let secured = secure::open(&config).await?;
        // From here on nothing of an older process is left: we hold the directory's lock, and the drivers have ended
        // what they found. Only now may the journal be believed.
        let drivers = Drivers::open(&config).await?;
        let recovered = journal::recover(&config.data_dir)?;
        let dead = claimed.dead_life(&recovered);
        let core = match dead.filter(|_| !recovered.is_empty()) {
            Some(incarnation) => AgentCore::recovering(recovered.term, incarnation, recovered.items()),
            None => AgentCore::new(recovered.term),
        };
        let introduction = Hello {
            agent_uuid: claimed.agent_uuid.clone(),
            boot_id: claimed.boot_id.clone(),
            labels: config.labels.clone(),
            cluster: claimed.cluster.clone(),
            ..introduction(config.name.clone(), config.capacity.clone(), drivers.isolation())
        };
        let credential = Credential::of(secured.as_ref().map(|s| &s.channel), config.token_file.as_deref())?;
        // A mistyped path does not mend itself. Later the file may be away for a moment, while it is replaced.
        credential.check().map_err(|error| AgentError::Incomplete(crate::error::chain(&error)))?;
        let book = AddressBook::open(&config.data_dir, &config.servers);
        let uplink = Uplink::new(book, introduction.clone()).with_credential(credential);
        let recovering = core.incarnation().is_some();
        Ok(Agent {
            home: Some(claimed.keep(&core, dead)?),
            recovering,
            dead,
            drain: config.drain,
            load: LoadGauge::new(capacity::load),
            _secured: secured,
            ..Agent::new(introduction, core, drivers, uplink)
        })
    }

    /// An agent without tasks and files: all it is told to run ends in memory.
    pub(crate) fn simulated(servers: &[String], name: String, capacity: Capacity) -> Agent {
        let drivers = Drivers::simulated();
        let introduction = Hello {
            agent_uuid: format!("{:032x}", random()),
            boot_id: "swarm".to_owned(),
            ..introduction(name, capacity, drivers.isolation())
        };
        let uplink = Uplink::new(AddressBook::new(servers), introduction.clone());
        Agent::new(introduction, AgentCore::new(0), drivers, uplink)
    }

    fn new(introduction: Hello, core: AgentCore, drivers: Drivers, uplink: Uplink) -> Agent {
        Agent {
            introduction,
            core,
            drivers,
            home: None,
            uplink,
            health: AgentHealth::default(),
            reads: Reads::default(),
            stopping: None,
            drain: Duration::ZERO,
            recovering: false,
            dead: None,
            lost: false,
            refusal: None,
            session_since_ms: 0,
            load: LoadGauge::new(Load::default),
            actions: Vec::new(),
            _secured: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.introduction.node
    }

    /// CLOCK_BOOTTIME at which the session began; 0 while there is none.
    pub(crate) fn session_since_ms(&self) -> u64 {
        self.session_since_ms
    }

    /// Waits for what happens next. Cancel-safe.
    pub(crate) async fn event(&mut self) -> LoopEvent {
        let next = self.next_wake();
        tokio::select! {
            (driver, happened) = self.drivers.wait() => LoopEvent::Driver(driver, happened),
            event = self.uplink.event() => LoopEvent::Uplink(event),
            () = sleep_until(next) => LoopEvent::Timer,
        }
    }

    /// One round of the loop.
    pub(crate) fn turn(&mut self, event: LoopEvent) -> Result<(), AgentError> {
        match event {
            LoopEvent::Timer => {}
            LoopEvent::Stop => self.stop(),
            LoopEvent::Hurry => self.hurry(),
            LoopEvent::Driver(driver, happened) => self.driver_says(driver, happened?),
            LoopEvent::Uplink(event) => self.uplink.handle(event),
        }
        self.tick();
        self.receive()?;
        self.tell_health();
        self.carry_out()?;
        self.serve_reads();
        Ok(())
    }

    fn step(&mut self, input: Input) {
        self.core.step(now(), input, &mut self.actions);
    }

    fn driver_says(&mut self, driver: DriverKind, events: Vec<DriverEvent>) {
        for event in &events {
            if let DriverEvent::Health(reason) = event {
                self.set_health(driver, reason.clone());
            }
        }
        self.reads.note(&events);
        self.step(Input::Happened(driver, events));
    }

    fn set_health(&mut self, driver: DriverKind, reason: Option<String>) {
        let before = self.health.unfit();
        self.health.set(driver, reason);
        let after = self.health.unfit();
        match &after {
            _ if before == after => {}
            Some(reason) => tracing::warn!(reason, "this node takes no work"),
            None => tracing::info!("this node takes work again"),
        }
        if before.is_some() != after.is_some() {
            self.step(Input::Fit(after.is_none()));
        }
    }

    fn stop(&mut self) {
        tracing::info!(
            "stopping: no new work; prefetched tasks are returned; stop again to kill running tasks"
        );
        self.health.stop();
        self.stopping = Some(StopProgress { since: Instant::now(), told_tasks: false, hurried: false });
        self.step(Input::Drain);
    }

    fn hurry(&mut self) {
        tracing::info!("stopping now: killing tasks");
        if let Some(stopping) = &mut self.stopping {
            (stopping.told_tasks, stopping.hurried) = (true, true);
        }
        self.step(Input::Kill);
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
        let uplink = self.uplink.next_wake(self.may_call());
        let core = self
            .core
            .next_tick_ms()
            .map(|due_ms| Instant::now() + Duration::from_millis(due_ms.saturating_sub(boot_ms())));
        let stop = self.stopping.and_then(|s| match (self.core.is_quiet(), s.told_tasks) {
            (true, _) => Some(s.since + STOP_REPORT_WAIT),
            (false, true) => None,
            (false, false) => Some(s.since + self.drain),
        });
        [uplink, core, stop, self.reads.next_try()].into_iter().flatten().min()
    }

    /// Does what the time asks for.
    fn tick(&mut self) {
        self.step(Input::Tick);
        if self.stopping.is_some_and(|s| Instant::now() >= s.since + self.drain) {
            self.tell_tasks();
        }
        let may_call = self.may_call();
        self.uplink.tick(may_call, || self.load.load());
    }

    /// A stopping agent has nothing left to do.
    fn may_leave(&self) -> bool {
        let Some(StopProgress { since, .. }) = self.stopping else { return false };
        let no_server = Instant::now() > since + STOP_REPORT_WAIT && !self.uplink.is_open();
        self.core.is_settled() || (self.core.is_quiet() && no_server)
    }

    async fn leave(mut self) -> Result<(), AgentError> {
        // It says that everything is reported.
        if self.core.is_settled() && self.core.has_session() {
            self.uplink.send(&ToServer::Goodbye);
        }
        let _ = tokio::time::timeout(STOP_REPORT_WAIT, self.uplink.drain()).await;
        self.drivers.close().await;
        Ok(())
    }
}

/// What every agent says of itself.
fn introduction(node: String, capacity: Capacity, isolation: &str) -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node,
        agent_uuid: String::new(),
        boot_id: String::new(),
        incarnation: None,
        term: 0,
        capacity,
        labels: Default::default(),
        process: random(),
        isolation: isolation.to_owned(),
        replaces: None,
        unfit: None,
        standby: false,
        cluster: None,
    }
}
