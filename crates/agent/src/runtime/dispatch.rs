//! From messages of the server to inputs of the core, and from its actions to the drivers, the journal and the server.

use super::identity::Identity;
use super::link::Link;
use super::uplink::News;
use super::{Agent, AgentError, body, now};
use crate::Config;
use crate::core::{Action, Core, Driven, Input};
use crate::journal::Record;
use crate::keeper::proto::{Order, ToKeeper};
use std::sync::Arc;
use std::time::Duration;
use taskyard_model::{Driver, JobId};
use taskyard_wire::{Hello, Refused, ToAgent, ToServer, Welcome};
use tokio::time::Instant;

/// Room for the actions of one round of the loop that is kept for the next.
const ACTIONS_KEPT_MAX: usize = 1_024;

/// Who this agent is, with nothing of its life.
pub(super) fn introduction(config: &Config, identity: &Identity, link: &Link) -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: config.name.clone(),
        agent_uuid: identity.agent_uuid.clone(),
        boot_id: identity.boot_id.clone(),
        incarnation: None,
        term: 0,
        capacity: config.capacity.clone(),
        labels: config.labels.clone(),
        process: identity.process,
        isolation: link.isolation.name().to_owned(),
        replaces: None,
        unfit: None,
        standby: false,
        cluster: identity.cluster.clone(),
    }
}

impl Agent {
    /// While a lost life still has running tasks, there is nothing to say.
    pub(super) fn may_call(&self) -> bool {
        !self.lost || self.core.is_quiet()
    }

    /// Takes what the servers say.
    pub(super) fn hear(&mut self) -> Result<(), AgentError> {
        while let Some(news) = self.uplink.next() {
            match news {
                News::Closed => {
                    self.health.forget_told();
                    self.step(Input::Closed);
                }
                News::Open => self.say_hello(),
                News::Says(message) => self.message(message)?,
            }
        }
        Ok(())
    }

    fn say_hello(&mut self) {
        if self.lost {
            self.begin_life();
        }
        let hello = Hello {
            incarnation: self.core.incarnation(),
            term: self.core.term(),
            replaces: self.dead,
            unfit: self.health.unfit(),
            ..introduction(&self.config, &self.identity, &self.link)
        };
        self.uplink.hello(hello);
    }

    /// Nothing of an older life is left: the next session asks for a new one. Reports count from 1 in it, so it is a new process to servers.
    fn begin_life(&mut self) {
        self.dead = self.core.incarnation().or(self.dead);
        self.lost = false;
        self.recovering = false;
        self.lease = None;
        self.identity.new_process();
        self.core = Core::new(self.core.term());
    }

    fn message(&mut self, message: ToAgent) -> Result<(), AgentError> {
        let input = match message {
            ToAgent::Welcome(welcome) => return self.welcome(welcome),
            ToAgent::Refused(refused) => return self.refused(&refused),
            ToAgent::Granted(granted) => Input::Granted(granted),
            ToAgent::Job { job, spec, .. } => Input::Job { job, spec: Arc::from(spec) },
            ToAgent::Start { term, session, runs } => Input::Start { term, session, runs },
            ToAgent::Cancel { task, fence, now } => Input::Cancel { task, fence, now },
            ToAgent::Recall { job, fence } => Input::Recall { job, fence },
            ToAgent::Ack { seq } => Input::Ack { seq },
            ToAgent::Forget { before, gaps } => {
                Input::Forget { jobs: crate::layout::jobs_among(&self.config.data_dir, before, &gaps) }
            }
            ToAgent::ReadLog(read) => {
                self.reads.add(read);
                return Ok(());
            }
            // These are for the uplink.
            ToAgent::Servers(_) | ToAgent::Alive => return Ok(()),
        };
        self.step(input);
        if self.recovering && self.core.is_settled() {
            tracing::info!("everything the earlier process left is reported");
            self.uplink.call_again();
            self.begin_life();
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome) -> Result<(), AgentError> {
        let server = self.uplink.server();
        if let Some(cluster) = &welcome.cluster
            && !self.identity.join(&self.config.data_dir, cluster)?
        {
            let ours = self.identity.cluster.clone().unwrap_or_default();
            return Err(AgentError::OtherCluster {
                server: server.to_owned(),
                theirs: cluster.clone(),
                ours,
            });
        }
        if welcome.term < self.core.term() {
            tracing::warn!(server, term = welcome.term, "a server of an old term");
            self.uplink.leave();
            return Ok(());
        }
        tracing::info!(server, node = welcome.node.0, incarnation = welcome.incarnation.0, "session open");
        self.refusal = None;
        self.step(Input::Welcome(welcome));
        Ok(())
    }

    fn refused(&mut self, refused: &Refused) -> Result<(), AgentError> {
        if refused.lost {
            tracing::warn!(message = refused.message, "this life was declared lost");
            self.lost = true;
            self.step(Input::Lost);
        } else if refused.leader.is_none() {
            self.tell_refusal(&refused.message);
            if refused.is_final() {
                return Err(AgentError::Refused(refused.message.clone()));
            }
        }
        Ok(())
    }

    /// The same refusal is heard again and again, and logged now and then.
    fn tell_refusal(&mut self, message: &str) {
        const AGAIN: Duration = Duration::from_secs(60);
        let told = self.refusal.as_ref().is_some_and(|(text, at)| text == message && at.elapsed() < AGAIN);
        if !told {
            tracing::warn!(message, "refused");
            self.refusal = Some((message.to_owned(), Instant::now()));
        }
    }

    /// Tells the server whether this node takes work, if that is news to it.
    pub(super) fn tell_health(&mut self) {
        if self.core.has_session()
            && let Some(health) = self.health.news()
        {
            self.uplink.send(&ToServer::Health(health));
        }
    }

    /// Does what the core said: the journal first, then the rest in order.
    pub(super) fn carry_out(&mut self) -> Result<(), AgentError> {
        if !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in &actions {
                if let Action::Journal(record) = action {
                    self.journal.append(record);
                }
            }
            self.journal.write()?;
            self.null.set_time(now());
            let mut orders = Vec::new();
            for action in actions.drain(..) {
                self.carry_out_one(action, &mut orders);
            }
            self.push_orders(&mut orders);
            // A burst must not keep its memory for ever.
            if actions.capacity() <= ACTIONS_KEPT_MAX {
                self.actions = actions;
            }
            if self.journal.is_long() {
                let mut records = vec![Record::Place(self.identity.place.clone())];
                records.extend(self.core.records());
                self.journal.rotate(&records)?;
            }
        }
        self.link.writer.send_now();
        self.uplink.flush();
        Ok(())
    }

    fn carry_out_one(&mut self, action: Action, orders: &mut Vec<Order>) {
        // Neighbouring orders to prepare go in one message; anything else must not overtake them.
        let to_keeper = match action {
            Action::Journal(_) => return,
            Action::Prepare(Driven::Process, order) => return orders.push(order),
            Action::Prepare(Driven::Null, order) => return self.prepare_null(order),
            Action::Report { seq, items } => {
                let items = Arc::try_unwrap(items).unwrap_or_else(|shared| shared.to_vec());
                return self.uplink.send(&ToServer::Report { seq, items });
            }
            Action::DropFiles(job) => {
                body::remove(&self.config.data_dir, job);
                ToKeeper::Forgotten(job.0)
            }
            Action::Go(Driven::Null, key) => return self.null.go(key),
            Action::Unprepare(Driven::Null, key) => return self.null.unprepare(key),
            Action::Kill(Driven::Null, key, why) => return self.null.kill(key, why),
            Action::Body(job) => {
                self.push_orders(orders);
                return self.send_body(job);
            }
            Action::Limits(job) => match self.core.spec(job) {
                Some(spec) => ToKeeper::Limits { job: job.0, limits: body::limits(spec) },
                None => return,
            },
            Action::EndGrace(Driven::Process, key) => ToKeeper::EndGrace(key),
            // It ends at once when it is killed.
            Action::EndGrace(Driven::Null, _) => return,
            Action::DropBody(job) => ToKeeper::DropJob(job.0),
            Action::Go(Driven::Process, key) => ToKeeper::Go(vec![key]),
            Action::Unprepare(Driven::Process, key) => ToKeeper::Unprepare(vec![key]),
            Action::Kill(Driven::Process, key, why) => ToKeeper::Kill { key, why },
            Action::KillNow => ToKeeper::KillNow,
            Action::Lease(lease) => {
                self.lease = Some(lease);
                ToKeeper::Lease(lease)
            }
        };
        self.push_orders(orders);
        if !self.link.given_up {
            self.link.writer.push(&to_keeper);
        }
    }

    fn push_orders(&mut self, orders: &mut Vec<Order>) {
        if !orders.is_empty() {
            // An order has some fifty bytes, but for an entry of up to a line: a thousand are far below the limit of a message.
            const ORDERS_PER_MESSAGE: usize = 1_024;
            for part in orders.chunks(ORDERS_PER_MESSAGE) {
                self.link.writer.push(&ToKeeper::Prepare(part.to_vec()));
            }
            orders.clear();
        }
    }

    fn prepare_null(&mut self, order: Order) {
        let null = match self.core.spec(JobId(order.job)).map(|spec| &spec.driver) {
            Some(Driver::Null(null)) => null.clone(),
            _ => Default::default(),
        };
        self.null.prepare(order, null);
    }

    fn send_body(&mut self, job: JobId) {
        let Some(spec) = self.core.spec(job) else { return };
        match body::prepare(&self.config.data_dir, job, spec) {
            Ok(body) => self.link.writer.push(&ToKeeper::Job(Box::new(body))),
            Err(error) => {
                tracing::error!(job = job.0, %error, "the job's directory cannot be made");
                self.core.body_lost(job);
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.link.writer.push(&ToKeeper::Unprepared { job: job.0, errno });
            }
        }
    }
}
