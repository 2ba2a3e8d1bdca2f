//! Many agents in one process, for rehearsals of what many agents cost servers. They find the leader, keep a server that stands by, decide
//! and report as real ones do; only their tasks are no processes, and they keep nothing on disk.

use crate::core::{Action, Core, Input, Now};
use crate::null::NullDriver;
use crate::runtime::identity::random;
use crate::runtime::now;
use crate::runtime::uplink::{Book, News, Uplink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use taskyard_model::spec::Null;
use taskyard_model::{Amounts, Capacity, Driver, JobId};
use taskyard_wire::{Hello, Load, ToAgent, ToServer};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What each agent offers besides cores.
const MEMORY_BYTES: u64 = 1 << 40;
/// How often it is looked whether all have what they wait for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The agents; they end with this value.
pub struct Swarm {
    /// CLOCK_BOOTTIME at which each had its session, 0 while it has none.
    welcomed: Arc<Vec<AtomicU64>>,
    _running: JoinSet<()>,
}

/// How long agents took to have a session again, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// Half of them had one after this.
    pub p50_ms: u64,
    /// All but a hundredth.
    pub p99_ms: u64,
    /// All.
    pub max_ms: u64,
}

impl Swarm {
    /// Starts `agents` agents `swarm-1`, `swarm-2`, … that offer so many cores each.
    pub fn start(servers: &[String], agents: usize, cpus: u64) -> Swarm {
        let welcomed: Arc<Vec<AtomicU64>> = Arc::new((0..agents).map(|_| AtomicU64::new(0)).collect());
        let mut running = JoinSet::new();
        for at in 0..agents {
            running.spawn(Agent::new(servers, at, cpus).run(Arc::clone(&welcomed)));
        }
        Swarm { welcomed, _running: running }
    }

    /// Waits until each agent has a session.
    pub async fn until_all_have_a_session(&self) {
        self.until_all_since(0).await;
    }

    /// Waits until each agent has a session that began after this call; how long that took.
    pub async fn until_all_have_a_session_again(&self) -> Again {
        let from = now().boot_ms;
        let mut took = self.until_all_since(from).await;
        took.iter_mut().for_each(|at| *at -= from);
        took.sort_unstable();
        let part =
            |part: usize| took.get((took.len() * part / 100).min(took.len() - 1)).copied().unwrap_or(0);
        Again { p50_ms: part(50), p99_ms: part(99), max_ms: part(100) }
    }

    /// When each had its session.
    async fn until_all_since(&self, from: u64) -> Vec<u64> {
        loop {
            let since: Vec<u64> = self.welcomed.iter().map(|at| at.load(Ordering::Relaxed)).collect();
            if since.iter().all(|at| *at > from) {
                return since;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

struct Agent {
    at: usize,
    who: Hello,
    uplink: Uplink,
    core: Core,
    null: NullDriver,
    actions: Vec<Action>,
    /// The server said that its life is over.
    lost: bool,
}

impl Agent {
    fn new(servers: &[String], at: usize, cpus: u64) -> Agent {
        let amounts = Amounts { cpu_milli: cpus * 1_000, memory: MEMORY_BYTES, ..Amounts::default() };
        let who = Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: format!("swarm-{}", at + 1),
            agent_uuid: format!("{:032x}", random()),
            boot_id: "swarm".to_owned(),
            incarnation: None,
            term: 0,
            capacity: Capacity { amounts, ..Capacity::default() },
            labels: Default::default(),
            process: random(),
            isolation: "none".to_owned(),
            replaces: None,
            unfit: None,
            cluster: None,
            standby: false,
        };
        let uplink = Uplink::new(Book::new(servers), who.clone());
        let (core, null) = (Core::new(0), NullDriver::default());
        Agent { at, who, uplink, core, null, actions: Vec::new(), lost: false }
    }

    async fn run(mut self, welcomed: Arc<Vec<AtomicU64>>) {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                event = self.uplink.event() => self.uplink.handle(event),
                () = tokio::time::sleep_until(wake) => {}
            }
            self.step(Input::Tick);
            let may_call = self.may_call();
            self.uplink.tick(may_call, Load::default);
            while let Some(news) = self.uplink.next() {
                match news {
                    News::Closed => {
                        welcomed[self.at].store(0, Ordering::Relaxed);
                        self.step(Input::Closed);
                    }
                    News::Open => self.hello(),
                    News::Says(ToAgent::Refused(refused)) => {
                        if refused.lost {
                            self.lost = true;
                            self.step(Input::Lost);
                        } else if refused.is_final() {
                            return tracing::error!(
                                node = self.who.node,
                                message = refused.message,
                                "refused"
                            );
                        }
                    }
                    News::Says(message) => {
                        if let ToAgent::Welcome(_) = message {
                            welcomed[self.at].store(now().boot_ms, Ordering::Relaxed);
                        }
                        self.says(message);
                    }
                }
            }
            self.carry_out();
            if self.null.due_ms().is_some_and(|due| due <= now().boot_ms) {
                let events = self.null.turn(now());
                self.step(Input::Happened(events));
                self.carry_out();
            }
            self.uplink.flush();
        }
    }

    fn may_call(&self) -> bool {
        !self.lost || self.core.is_quiet()
    }

    fn next_wake(&self) -> Instant {
        const LONG: Duration = Duration::from_secs(60);
        let Now { boot_ms, .. } = now();
        let at = |due: u64| Instant::now() + Duration::from_millis(due.saturating_sub(boot_ms));
        let due = [self.core.next_tick_ms().map(at), self.null.due_ms().map(at)];
        let due = due.into_iter().chain([self.uplink.next_wake(self.may_call())]).flatten();
        due.min().unwrap_or_else(|| Instant::now() + LONG)
    }

    fn step(&mut self, input: Input) {
        self.core.step(now(), input, &mut self.actions);
    }

    fn hello(&mut self) {
        if self.lost {
            self.lost = false;
            self.core = Core::new(self.core.term());
            self.who.process = random();
        }
        let (incarnation, term) = (self.core.incarnation(), self.core.term());
        self.uplink.hello(Hello { incarnation, term, ..self.who.clone() });
    }

    fn says(&mut self, message: ToAgent) {
        let input = match message {
            ToAgent::Welcome(welcome) if welcome.term < self.core.term() => return self.uplink.leave(),
            ToAgent::Welcome(welcome) => Input::Welcome(welcome),
            ToAgent::Granted(granted) => Input::Granted(granted),
            ToAgent::Job { job, spec, .. } => Input::Job { job, spec: Arc::from(spec) },
            ToAgent::Start { term, session, runs } => Input::Start { term, session, runs },
            ToAgent::Cancel { task, fence, now } => Input::Cancel { task, fence, now },
            ToAgent::Recall { job, fence } => Input::Recall { job, fence },
            ToAgent::Ack { seq } => Input::Ack { seq },
            // There are no files, and no output; the rest is for the uplink.
            _ => return,
        };
        self.step(input);
    }

    fn carry_out(&mut self) {
        self.null.set_time(now());
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Report { seq, items } => {
                    let items = Arc::unwrap_or_clone(items);
                    self.uplink.send(&ToServer::Report { seq, items });
                }
                Action::Prepare(_, order) => {
                    let null = match self.core.spec(JobId(order.job)).map(|spec| &spec.driver) {
                        Some(Driver::Null(null)) => null.clone(),
                        _ => Null::default(),
                    };
                    self.null.prepare(order, null);
                }
                Action::Go(_, key) => self.null.go(key),
                Action::Unprepare(_, key) => self.null.unprepare(key),
                Action::Kill(_, key, why) => self.null.kill(key, why),
                _ => {}
            }
        }
    }
}
