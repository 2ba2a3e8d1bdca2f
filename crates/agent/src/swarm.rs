//! Many agents in one process, for rehearsals of what many agents cost servers. They find the leader, keep a server
//! that stands by, decide and report as real ones do; only their tasks are no processes, and they keep nothing on disk.

use crate::clock::boot_ms;
use crate::error::chain;
use crate::runtime::Agent;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use taskyard_model::{Amounts, Capacity};
use tokio::task::JoinSet;

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
    /// Starts `agents` agents `swarm-1`, `swarm-2`, … that offer `cpus` cores each.
    pub fn start(servers: &[String], agents: usize, cpus: u64) -> Swarm {
        let welcomed: Arc<Vec<AtomicU64>> = Arc::new((0..agents).map(|_| AtomicU64::new(0)).collect());
        let mut running = JoinSet::new();
        let amounts = Amounts { cpu_milli: cpus * 1_000, memory: MEMORY_BYTES, ..Amounts::default() };
        for at in 0..agents {
            let capacity = Capacity { amounts: amounts.clone(), ..Capacity::default() };
            let agent = Agent::simulated(servers, format!("swarm-{}", at + 1), capacity);
            running.spawn(run(agent, at, Arc::clone(&welcomed)));
        }
        Swarm { welcomed, _running: running }
    }

    /// Waits until each agent has a session.
    pub async fn until_all_have_a_session(&self) {
        self.until_all_since(0).await;
    }

    /// Waits until each agent has a session that began after this call; how long that took.
    pub async fn until_all_have_a_session_again(&self) -> Again {
        let from = boot_ms();
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

/// The loop of every agent, without an end.
async fn run(mut agent: Agent, at: usize, welcomed: Arc<Vec<AtomicU64>>) {
    loop {
        let event = agent.event().await;
        if let Err(error) = agent.turn(event) {
            return tracing::error!(node = agent.name(), error = chain(&error), "refused");
        }
        welcomed[at].store(agent.session_since_ms(), Ordering::Relaxed);
    }
}
