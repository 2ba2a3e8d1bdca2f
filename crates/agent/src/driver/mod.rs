//! What runs attempts, and which driver runs which job. A new driver is a file beside this one and its lines here: a
//! module, a [`DriverKind`], and an arm in each `match`. Its settings are a variant of `model::Driver` (see the crate's
//! README).

mod contract;
mod null;
mod process;

use crate::orders::{DriverEvent, Lease};
use crate::{AgentConfig, AgentError};
pub(crate) use contract::Driver;
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use null::NullDriver;
use process::ProcessDriver;
use std::collections::BTreeMap;
use taskyard_model::{Driver as Settings, JobId};

/// Which driver runs an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DriverKind {
    Process,
    Null,
}

impl DriverKind {
    /// The driver that a job asks for.
    pub(crate) fn of(settings: &Settings) -> DriverKind {
        match settings {
            Settings::Process(_) => DriverKind::Process,
            Settings::Null(_) => DriverKind::Null,
        }
    }

    /// How many held attempts of a group the driver is given: as many as it may need before it hears from the agent
    /// again. `places` run at a time, and about `pace` end between two of its messages.
    pub(crate) fn prepared_max(self, places: u32, pace: u32) -> u32 {
        match self {
            DriverKind::Process => process::prepared_max(places, pace),
            DriverKind::Null => null::PREPARED_MAX,
        }
    }
}

/// The drivers of an agent.
pub(crate) struct Drivers(BTreeMap<DriverKind, Box<dyn Driver>>);

impl Drivers {
    /// All there are. Nothing is alive any more that an earlier agent ran: its end is about to be reported.
    pub(crate) async fn open(config: &AgentConfig) -> Result<Drivers, AgentError> {
        let process: Box<dyn Driver> = Box::new(ProcessDriver::open(config).await?);
        Ok(Drivers(BTreeMap::from([
            (DriverKind::Process, process),
            (DriverKind::Null, Box::new(NullDriver::default())),
        ])))
    }

    /// Those of a simulated agent: whatever a job asks for, nothing is run.
    pub(crate) fn simulated() -> Drivers {
        Drivers(BTreeMap::from([(DriverKind::Null, Box::new(NullDriver::default()) as Box<dyn Driver>)]))
    }

    /// The one that runs jobs of this kind here.
    pub(crate) fn of(&mut self, kind: DriverKind) -> &mut dyn Driver {
        let kind = if self.0.contains_key(&kind) { kind } else { DriverKind::Null };
        self.0.get_mut(&kind).expect("each agent has the null driver").as_mut()
    }

    pub(crate) fn renew(&mut self, lease: Lease) {
        self.0.values_mut().for_each(|driver| driver.renew(lease));
    }

    pub(crate) fn forget(&mut self, job: JobId) {
        self.0.values_mut().for_each(|driver| driver.forget(job));
    }

    pub(crate) fn flush(&mut self) {
        self.0.values_mut().for_each(|driver| driver.flush());
    }

    /// Waits for what happens at any of them. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> (DriverKind, Result<Vec<DriverEvent>, AgentError>) {
        let waits = self.0.iter_mut().map(|(kind, driver)| driver.wait().map(|happened| (*kind, happened)));
        select_all(waits).await.0
    }

    /// How tasks are contained.
    pub(crate) fn isolation(&self) -> &'static str {
        self.0.values().find_map(|driver| driver.isolation()).unwrap_or("none")
    }

    pub(crate) async fn close(self) {
        join_all(self.0.into_values().map(|driver| driver.close())).await;
    }
}
