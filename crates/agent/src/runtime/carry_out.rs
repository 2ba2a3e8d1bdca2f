//! From the core's actions to the journal, the drivers and the server.

use super::{Agent, AgentError};
use crate::core::Action;
use crate::orders::Limits;
use std::sync::Arc;
use taskyard_model::JobId;
use taskyard_wire::ToServer;

/// Room for the actions of one round of the loop that is kept for the next.
const ACTIONS_KEPT_MAX: usize = 1_024;

impl Agent {
    /// Does what the core said: the journal first, then the rest in order.
    pub(super) fn carry_out(&mut self) -> Result<(), AgentError> {
        if !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            if let Some(home) = &mut self.home {
                home.write(actions.iter().filter_map(Action::record))?;
            }
            actions.drain(..).for_each(|action| self.carry_out_one(action));
            // A burst must not keep its memory.
            if actions.capacity() <= ACTIONS_KEPT_MAX {
                self.actions = actions;
            }
            if let Some(home) = &mut self.home {
                home.compact(&self.core)?;
            }
        }
        self.drivers.flush();
        self.uplink.flush();
        Ok(())
    }

    fn carry_out_one(&mut self, action: Action) {
        match action {
            Action::Journal(_) => {}
            Action::AddJob(driver, job) => {
                if let Some(spec) = self.core.spec(job)
                    && let Err(error) = self.drivers.of(driver).add_job(job, spec)
                {
                    tracing::error!(job = job.0, %error, "the job's directory cannot be made");
                    self.core.job_not_added(job);
                }
            }
            Action::SetLimits(driver, job) => {
                if let Some(spec) = self.core.spec(job) {
                    self.drivers.of(driver).set_limits(job, Limits::of(spec));
                }
            }
            Action::DropJob(driver, job) => self.drivers.of(driver).drop_job(job),
            Action::Prepare(driver, order) => self.drivers.of(driver).prepare(order),
            Action::Start(driver, key) => self.drivers.of(driver).start(key),
            Action::Recall(driver, key) => self.drivers.of(driver).recall(key),
            Action::Stop(driver, key, why) => self.drivers.of(driver).stop(key, why),
            Action::Kill(driver, key) => self.drivers.of(driver).kill(key),
            Action::Renew(lease) => self.drivers.renew(lease),
            Action::Forget(job) => self.drivers.forget(job),
            Action::Report { seq, items } => {
                let items = Arc::try_unwrap(items).unwrap_or_else(|shared| shared.to_vec());
                self.uplink.send(&ToServer::Report { seq, items });
            }
        }
    }

    /// Jobs that have files here, among those that the cluster has forgotten.
    pub(super) fn forgotten(&self, before: JobId, gaps: &[(JobId, JobId)]) -> Vec<JobId> {
        let home = self.home.as_ref();
        home.map(|home| crate::layout::jobs_among(home.data_dir(), before, gaps)).unwrap_or_default()
    }
}
