//! One way to serve the jobs, and the settings of a queue and a pool that it means.

use super::Passing;
use crate::Workload;
use crate::engine::{KeptSettings, Planner, Setup, Ties};
use crate::workload::ClusterSettings;
use taskyard_model::policy::Factors;
use taskyard_model::quantity::show_duration;
use taskyard_model::{Discipline, Invalid, Placement, Policy, PoolConfig, QueueConfig};

/// The wait after which a job goes before all younger ones, whatever the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxWait {
    /// Never. Published results know nothing like it.
    #[default]
    Off,
    /// When the queue of the cluster that ran the jobs says so.
    OfQueue,
    /// After a number of milliseconds.
    After(u64),
}

/// One way to serve the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination {
    /// Order of the queue.
    pub policy: Policy,
    /// Who may pass whom.
    pub discipline: Passing,
    /// Which node a job gets.
    pub placement: Placement,
    /// When a job goes before all younger ones.
    pub max_wait: MaxWait,
    /// The cluster as it is set up today, each queue and pool by itself; the fields above are those of the default
    /// ones.
    pub today: bool,
}

impl MaxWait {
    /// As users write it.
    pub fn name(self) -> String {
        match self {
            MaxWait::Off => "off".to_owned(),
            MaxWait::OfQueue => "of the queue".to_owned(),
            MaxWait::After(ms) => show_duration(ms),
        }
    }
}

impl Combination {
    /// Every combination of these, by policy, then discipline, then placement, then the longest wait.
    pub fn all(
        policies: &[Policy],
        disciplines: &[Passing],
        placements: &[Placement],
        max_waits: &[MaxWait],
    ) -> Vec<Combination> {
        let mut all = Vec::new();
        for &policy in policies {
            for &discipline in disciplines {
                for &placement in placements {
                    let one =
                        |&max_wait| Combination { policy, discipline, placement, max_wait, today: false };
                    all.extend(max_waits.iter().map(one));
                }
            }
        }
        all
    }

    /// What the default queue and the default pool of a cluster are today.
    fn today(settings: &ClusterSettings) -> Combination {
        let queue = settings.queues.iter().find(|(name, _)| name == PoolConfig::DEFAULT);
        let pool = settings.pools.iter().find(|(name, _)| name == PoolConfig::DEFAULT);
        let pool = pool.map_or_else(PoolConfig::default, |(_, config)| config.clone());
        Combination {
            policy: queue.map_or_else(Policy::default, |(_, config)| config.policy),
            discipline: Passing::Pool(pool.discipline),
            placement: pool.placement,
            max_wait: MaxWait::OfQueue,
            today: true,
        }
    }

    /// Marks the combination that is the cluster as it is today, or puts it in front.
    pub fn with_today(mut all: Vec<Combination>, settings: &ClusterSettings) -> Vec<Combination> {
        let today = Combination::today(settings);
        let alike = settings.queues.iter().all(|(_, queue)| queue.policy == today.policy)
            && settings.pools.iter().all(|(_, pool)| {
                Passing::Pool(pool.discipline) == today.discipline && pool.placement == today.placement
            });
        match all.iter_mut().find(|other| alike && Combination { today: true, ..**other } == today) {
            Some(same) => *same = today,
            None => all.insert(0, today),
        }
        all
    }

    /// Refuses what the protocols of published tables do not know. `field` is what the user wrote the discipline in.
    pub fn check(&self, field: &str, workload: &Workload) -> Result<(), Invalid> {
        let Passing::Commit { .. } = self.discipline else { return Ok(()) };
        let refuse = |remedy: String| Err(Invalid::new(field, self.discipline.name(), remedy));
        let [machine] = workload.nodes.as_slice() else {
            return refuse(format!(
                "it is a protocol for one machine, and there are {} nodes: use easy",
                workload.nodes.len()
            ));
        };
        if machine.capacity.amounts.memory > 0 || machine.capacity.gpus > 0 {
            return refuse(
                "it supports only processors, and the node has memory or GPUs: use easy".to_owned(),
            );
        }
        if self.policy.follows_use() {
            return refuse(format!(
                "it supports no order that follows usage: leave out {}, or use easy",
                self.policy.name()
            ));
        }
        if self.max_wait != MaxWait::Off {
            return refuse("it supports no longest wait: use --max-wait off, or easy".to_owned());
        }
        Ok(())
    }

    /// The settings that it means.
    pub(super) fn setup(&self, factors: Option<Factors>, ties: Ties) -> Setup {
        let (planner, discipline) = match self.discipline {
            Passing::Pool(discipline) => (Planner::Live, discipline),
            Passing::Commit { backfill } => (Planner::Commit { backfill }, Discipline::Strict),
        };
        let max_wait_ms = match self.max_wait {
            MaxWait::Off => u64::MAX,
            MaxWait::OfQueue => QueueConfig::default().max_wait_ms,
            MaxWait::After(ms) => ms,
        };
        let own = match self.max_wait {
            _ if self.today => KeptSettings::All,
            MaxWait::OfQueue => KeptSettings::MaxWait,
            MaxWait::Off | MaxWait::After(_) => KeptSettings::Frame,
        };
        let queue = QueueConfig { policy: self.policy, max_wait_ms, factors, ..QueueConfig::default() };
        let pool = PoolConfig { discipline, placement: self.placement, ..PoolConfig::default() };
        Setup { queue, pool, planner, ties, own }
    }
}
