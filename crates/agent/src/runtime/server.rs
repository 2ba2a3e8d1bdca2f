//! What servers say, as inputs of the core.

use super::{Agent, AgentError};
use crate::clock::boot_ms;
use crate::core::{AgentCore, Input};
use crate::random::random;
use crate::uplink::News;
use std::sync::Arc;
use std::time::Duration;
use taskyard_wire::{Hello, Refused, ToAgent, ToServer, Welcome};
use tokio::time::Instant;

impl Agent {
    /// While a lost life still has running tasks, there is nothing to say.
    pub(super) fn may_call(&self) -> bool {
        !self.lost || self.core.is_quiet()
    }

    /// Takes what the servers say.
    pub(super) fn receive(&mut self) -> Result<(), AgentError> {
        while let Some(news) = self.uplink.next() {
            match news {
                News::Closed => {
                    self.health.forget_told();
                    self.session_since_ms = 0;
                    self.step(Input::Closed);
                }
                News::Open => self.say_hello(),
                News::Message(message) => self.message(message)?,
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
            ..self.introduction.clone()
        };
        self.uplink.hello(hello);
    }

    /// Nothing of an older life is left, so the next session asks for a new one. Its reports count from 1, which makes
    /// it a new process to servers.
    fn begin_life(&mut self) {
        self.dead = self.core.incarnation().or(self.dead);
        self.lost = false;
        self.recovering = false;
        self.introduction.process = random();
        self.core = AgentCore::new(self.core.term());
        self.step(Input::Fit(self.health.unfit().is_none()));
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
            ToAgent::Forget { before, gaps } => Input::Forget { jobs: self.forgotten(before, &gaps) },
            ToAgent::ReadLog(read) => {
                self.reads.add(read);
                return Ok(());
            }
            // These are for the uplink.
            ToAgent::Servers(_) | ToAgent::Alive => return Ok(()),
        };
        self.step(input);
        if self.recovering && self.core.is_settled() {
            tracing::info!("everything that the earlier process left is reported");
            self.uplink.call_again();
            self.begin_life();
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: Welcome) -> Result<(), AgentError> {
        let server = self.uplink.server();
        if let (Some(cluster), Some(home)) = (&welcome.cluster, &mut self.home) {
            home.join(cluster, server)?;
            self.introduction.cluster = home.cluster().map(str::to_owned);
        }
        if welcome.term < self.core.term() {
            tracing::warn!(server, term = welcome.term, "a server of an old term");
            self.uplink.leave();
            return Ok(());
        }
        tracing::info!(server, node = welcome.node.0, incarnation = welcome.incarnation.0, "session open");
        self.refusal = None;
        self.session_since_ms = boot_ms();
        self.step(Input::Welcome(welcome));
        Ok(())
    }

    fn refused(&mut self, refused: &Refused) -> Result<(), AgentError> {
        if refused.lost {
            tracing::warn!(message = refused.message, "this agent was declared lost");
            self.lost = true;
            self.step(Input::Lost);
        } else if refused.leader.is_none() {
            if refused.is_final() {
                // The process ends with this, and says so then.
                return Err(AgentError::Refused(refused.message.clone()));
            }
            self.tell_refusal(&refused.message);
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
}
