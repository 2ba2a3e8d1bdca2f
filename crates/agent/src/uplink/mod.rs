//! The agent's way to the leader. Beside the session it keeps a connection to another server that stands by: from there it hears who leads,
//! at once, and when that server itself leads, the connection becomes the session. Knows nothing of attempts.

mod book;
mod dial;
mod line;
#[cfg(test)]
mod tests;

use crate::error::chain;
use crate::random::random_unit;
pub(crate) use book::Book;
pub(crate) use dial::Credential;
pub(crate) use line::Happened;
use line::{Backoff, Connection, Heartbeat, Line};
use std::collections::VecDeque;
use std::time::Duration;
use taskyard_model::Capacity;
use taskyard_wire::{FrameError, Granted, Hello, Load, Refused, Servers, ToAgent, ToServer, Welcome};
use tokio::time::Instant;

const SESSION: Backoff = Backoff { first: Duration::from_millis(50), last: Duration::from_secs(2) };
/// Nothing depends on a server that stands by until the leader is lost.
const STANDBY: Backoff = Backoff { first: Duration::from_millis(500), last: Duration::from_secs(30) };
/// While a server stands by, it says who leads as soon as anybody does. An election takes less than this; then others are asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often an agent goes at once where it is sent without having found the leader there. Servers may be wrong about each other.
const SENT_ON_MAX: u32 = 4;

/// What the agent is to hear.
#[derive(Debug)]
pub(crate) enum News {
    /// The session ended, or what was to become one.
    Closed,
    /// A server waits for [`Uplink::hello`].
    Open,
    Message(ToAgent),
}

/// On which connection.
pub(crate) enum Event {
    Session(Happened),
    Standby(Happened),
}

/// With whom the session is.
#[derive(Clone, Copy)]
struct With {
    term: u64,
    /// Its number; 0 until it has said it.
    server: u64,
}

/// See the module.
pub(crate) struct Uplink {
    book: Book,
    /// Says who we are, on a connection that stands by.
    introduction: Hello,
    session: Line,
    standby: Line,
    /// From the welcome to the end of the session.
    with: Option<With>,
    /// What the server that stands by said last.
    told: Option<Servers>,
    /// Highest term of a leader we had a session with.
    term: u64,
    /// Length of a lease, from the last welcome.
    lease: Duration,
    sent_on: u32,
    /// The agent has something to say in a session.
    may_call: bool,
    news: VecDeque<News>,
}

impl Uplink {
    /// `who` is how the agent introduces itself where it asks for nothing.
    pub(crate) fn new(mut book: Book, who: Hello) -> Uplink {
        book.shuffle(random_unit());
        let introduction = Hello { standby: true, incarnation: None, capacity: Capacity::default(), ..who };
        let now = Instant::now();
        let mut session = Line::new(SESSION, now);
        session.url = book.next(&[]);
        // The session comes first; it may be all that a single server needs.
        let standby = Line::new(STANDBY, now + STANDBY.first.mul_f64(1.0 + random_unit()));
        Uplink {
            book,
            introduction,
            session,
            standby,
            with: None,
            told: None,
            term: 0,
            lease: Duration::ZERO,
            sent_on: 0,
            may_call: true,
            news: VecDeque::new(),
        }
    }

    /// The same with what proves to servers that this is an agent.
    pub(crate) fn with_credential(mut self, credential: Credential) -> Uplink {
        self.session.credential = credential.clone();
        self.standby.credential = credential;
        self
    }

    /// Waits for what happens on either connection. Cancel-safe.
    pub(crate) async fn event(&mut self) -> Event {
        tokio::select! {
            happened = self.session.event() => Event::Session(happened),
            happened = self.standby.event() => Event::Standby(happened),
        }
    }

    /// Takes note of what happened; then there may be news.
    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Session(Happened::Dialled(Ok(open))) => {
                self.session.connection = Connection::Open(Box::new(open));
                self.news.push_back(News::Open);
            }
            Event::Session(Happened::Dialled(Err(error))) => {
                // With a server that stands by it is known to be dead, or soon will be.
                match self.standby.is_open() {
                    true => tracing::debug!(server = self.session.url, error = chain(&error), "no session"),
                    false => tracing::warn!(server = self.session.url, error = chain(&error), "no session"),
                }
                self.call_another(Duration::ZERO);
            }
            Event::Session(Happened::Ended(error)) => self.session_broke(&FrameError::Io(error)),
            Event::Standby(Happened::Dialled(Ok(open))) => {
                self.standby.connection = Connection::Open(Box::new(open));
                if let Err(error) = self.standby.push(&ToServer::Hello(self.introduction.clone())) {
                    self.standby_broke(&error);
                }
            }
            Event::Standby(Happened::Dialled(Err(error))) => {
                tracing::debug!(server = self.standby.url, error = chain(&error), "no standby server");
                self.standby.back_off(random_unit(), Duration::ZERO);
            }
            Event::Standby(Happened::Says) => self.standby_says(),
            Event::Standby(Happened::Ended(error)) => self.standby_broke(&FrameError::Io(error)),
            Event::Session(Happened::Says | Happened::Sent) | Event::Standby(Happened::Sent) => {}
        }
    }

    /// What the agent has to hear next.
    pub(crate) fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            match self.session.message() {
                Ok(message) => self.session_says(message?),
                Err(error) => self.session_broke(&error),
            }
        }
    }

    fn session_says(&mut self, message: ToAgent) {
        match message {
            ToAgent::Servers(servers) => return self.learn_in_session(&servers),
            // From when this connection stood by.
            ToAgent::Alive => return,
            ToAgent::Refused(refused) => return self.refused(refused),
            ToAgent::Welcome(ref welcome) => self.welcomed(welcome),
            ToAgent::Granted(Granted { sent_boot_ms, remaining_ms, .. }) => {
                if let Some(heartbeat) = self.session.heartbeat.as_mut().filter(|_| remaining_ms > 0) {
                    heartbeat.granted(sent_boot_ms + remaining_ms);
                }
            }
            _ => {}
        }
        self.news.push_back(News::Message(message));
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        self.with = Some(With { term: welcome.term, server: 0 });
        self.term = self.term.max(welcome.term);
        self.sent_on = 0;
        self.session.succeeded();
        // At once, for a lease.
        let silence_ms = welcome.lease_ms / 3;
        self.session.heartbeat = Some(Heartbeat::new(welcome.heartbeat_ms, silence_ms, Instant::now()));
        self.lease = Duration::from_millis(welcome.lease_ms);
    }

    fn learn_in_session(&mut self, servers: &Servers) {
        if let Some(with) = &mut self.with {
            with.server = servers.from;
        }
        let news = self.book.learn(&self.session.url, servers, true);
        let stands_by = self.told.as_ref().map(|told| told.from);
        if stands_by == Some(servers.from) {
            self.drop_standby("it leads");
        } else if news || matches!(self.standby.connection, Connection::Idle) {
            self.look_for_standby();
        }
    }

    fn refused(&mut self, refused: Refused) {
        self.close_session();
        let Refused { lost, retry_after_ms, .. } = refused;
        match refused.leader.clone().filter(|leader| *leader != self.session.url) {
            Some(leader) => {
                tracing::debug!(server = self.session.url, leader, "sent to the leader");
                self.go_to(leader);
            }
            None if lost => self.session.wait(Duration::ZERO),
            // It was elected and takes no sessions yet.
            None if self.is_told_to_lead() => {
                self.session.back_off(random_unit(), Duration::from_millis(retry_after_ms));
            }
            None => self.call_another(Duration::from_millis(retry_after_ms)),
        }
        self.news.push_back(News::Message(ToAgent::Refused(refused)));
    }

    fn session_broke(&mut self, error: &FrameError) {
        tracing::warn!(server = self.session.url, error = chain(error), "the session ended");
        let stood = self.with.is_some();
        self.close_session();
        if self.stands_by_leading() {
            self.promote();
        } else if stood {
            // It may have been the connection alone.
            self.session.back_off(random_unit(), Duration::ZERO);
        } else {
            self.call_another(Duration::ZERO);
        }
    }

    fn close_session(&mut self) {
        if self.with.take().is_some() {
            self.session.hurry(self.lease);
        }
        self.session.wait(Duration::ZERO);
        self.news.push_back(News::Closed);
    }

    /// Tries another server after the back-off, or after `at_least`.
    fn call_another(&mut self, at_least: Duration) {
        if self.stands_by_leading() {
            return self.promote();
        }
        let mut at_least = at_least;
        let mut but = vec![self.session.url.as_str()];
        if self.standby.is_open() && self.told.is_some() {
            at_least = at_least.max(PATIENCE.mul_f64(0.5 + random_unit()));
            but.push(&self.standby.url);
        }
        self.session.url = self.book.next(&but);
        self.session.back_off(random_unit(), at_least);
    }

    /// Calls the leader, as somebody said it is.
    fn go_to(&mut self, leader: String) {
        self.session.url = leader;
        self.sent_on += 1;
        if self.standby.is_open() && self.standby.url == self.session.url {
            // It says so itself as soon as it takes sessions.
            self.session.wait(PATIENCE.mul_f64(0.5 * random_unit()));
        } else if self.sent_on > SENT_ON_MAX {
            self.session.back_off(random_unit(), Duration::ZERO);
        } else {
            self.session.wait(Duration::ZERO);
        }
    }

    fn standby_says(&mut self) {
        loop {
            match self.standby.message() {
                Ok(None) => return,
                Ok(Some(ToAgent::Alive)) => {
                    if let Some(heartbeat) = &mut self.standby.heartbeat {
                        heartbeat.answered();
                    }
                }
                Ok(Some(ToAgent::Servers(servers))) => self.told(servers),
                Ok(Some(ToAgent::Refused(refused))) => return self.standby_refused(refused),
                Ok(Some(_)) => return self.drop_standby("it says what belongs into a session"),
                Err(error) => return self.standby_broke(&error),
            }
        }
    }

    /// The server that stands by says how it sees the cluster.
    fn told(&mut self, servers: Servers) {
        self.book.learn(&self.standby.url, &servers, false);
        if self.with.is_some_and(|with| with.server == servers.from) {
            // Another address of the same server.
            return self.drop_standby("the session is with it");
        }
        self.standby.succeeded();
        if self.told.is_none() {
            tracing::info!(server = self.standby.url, "this server is standby");
            let first = Instant::now() + Duration::from_millis(servers.heartbeat_ms).mul_f64(random_unit());
            self.standby.heartbeat = Some(Heartbeat::new(servers.heartbeat_ms, 0, first));
        }
        self.told = Some(servers);
        self.follow();
    }

    /// Goes where the server that stands by says, if it knows of a later leader than we do.
    fn follow(&mut self) {
        let Some(told) = &self.told else { return };
        if told.term < self.term || self.with.is_some_and(|with| with.term >= told.term) {
            return;
        }
        if told.leads {
            self.promote();
        } else if let Some(leader) = told.leader.clone() {
            let is_on_its_way = self.with.is_none()
                && self.session.url == leader
                && matches!(self.session.connection, Connection::Dialling(_) | Connection::Open(_));
            if !is_on_its_way {
                tracing::info!(leader, "another server leads");
                self.close_session();
                self.go_to(leader);
            }
        }
    }

    /// The server that was called is the leader, as the one that stands by says.
    fn is_told_to_lead(&self) -> bool {
        let leader = self.told.as_ref().and_then(|told| told.leader.as_ref());
        self.standby.is_open() && leader == Some(&self.session.url)
    }

    fn stands_by_leading(&self) -> bool {
        self.standby.is_open() && self.told.as_ref().is_some_and(|told| told.leads && told.term >= self.term)
    }

    /// The connection that stands by becomes the session.
    fn promote(&mut self) {
        if !self.may_call || !self.standby.is_open() {
            return;
        }
        tracing::info!(server = self.standby.url, "the standby server leads");
        self.close_session();
        self.session.url.clone_from(&self.standby.url);
        self.session.connection = std::mem::replace(&mut self.standby.connection, Connection::Idle);
        self.news.push_back(News::Open);
        self.told = None;
        self.look_for_standby();
    }

    fn standby_broke(&mut self, error: &FrameError) {
        self.drop_standby(&chain(error));
    }

    /// The agent need not ask the leader what no server answers otherwise: it may be a long time until it finds one that says so in a session.
    fn standby_refused(&mut self, refused: Refused) {
        self.drop_standby(&refused.message);
        if refused.is_final() {
            self.news.push_back(News::Message(ToAgent::Refused(refused)));
        }
    }

    fn drop_standby(&mut self, why: &str) {
        tracing::debug!(server = self.standby.url, why, "the server is no longer standby");
        self.told = None;
        self.standby.back_off(random_unit(), Duration::ZERO);
    }

    /// Unless there is a connection or a try. Not all agents at once.
    fn look_for_standby(&mut self) {
        if matches!(self.standby.connection, Connection::Idle) {
            self.standby.wait(STANDBY.first.mul_f64(0.5 + 2.0 * random_unit()));
        }
    }

    /// Does what the time asks for. `may_call`: the agent has something to say in a session.
    pub(crate) fn tick(&mut self, may_call: bool, load: impl FnOnce() -> Load) {
        self.may_call = may_call;
        let now = Instant::now();
        if may_call && self.session.waits_until().is_some_and(|until| until <= now) {
            match self.stands_by_leading() {
                true => self.promote(),
                false => self.session.dial(self.session.url.clone()),
            }
        }
        if self.standby.waits_until().is_some_and(|until| until <= now) {
            let server = self.with.map_or(0, |with| with.server);
            match self.book.standby(&self.session.url, server, random_unit()) {
                Some(url) => self.standby.dial(url),
                None => self.standby.connection = Connection::Idle,
            }
        }
        if let Err(error) = self.session.beat(load) {
            self.session_broke(&error);
        }
        if let Err(error) = self.standby.beat(Load::default) {
            self.standby_broke(&error);
        }
    }

    /// When [`Uplink::tick`] is wanted.
    pub(crate) fn next_wake(&self, may_call: bool) -> Option<Instant> {
        if !self.news.is_empty() {
            return Some(Instant::now());
        }
        let call = self.session.waits_until().filter(|_| may_call);
        let standby = self.standby.waits_until();
        [call, standby, self.session.next_beat(), self.standby.next_beat()].into_iter().flatten().min()
    }

    /// Asks for a session.
    pub(crate) fn hello(&mut self, hello: Hello) {
        self.send(&ToServer::Hello(hello));
    }

    /// Sends a message in the session if there is one; what does not go out at once goes when there is room.
    pub(crate) fn send(&mut self, message: &ToServer) {
        if let Err(error) = self.session.push(message) {
            self.session_broke(&error);
        }
    }

    /// Sends what the connections take at once.
    pub(crate) fn flush(&mut self) {
        if let Err(error) = self.session.flush() {
            self.session_broke(&FrameError::Io(error));
        }
        if let Err(error) = self.standby.flush() {
            self.standby_broke(&FrameError::Io(error));
        }
    }

    /// Waits until everything is sent, or cannot be.
    pub(crate) async fn drain(&mut self) {
        while let Some(writer) = self.session.writer().filter(|writer| !writer.is_empty()) {
            if writer.send_some().await.is_err() {
                return;
            }
        }
    }

    /// Ends the session and calls another server.
    pub(crate) fn leave(&mut self) {
        self.close_session();
        self.call_another(Duration::ZERO);
    }

    /// Ends the session and asks the same server for another at once.
    pub(crate) fn call_again(&mut self) {
        self.close_session();
    }

    /// A server is there; the session may not stand yet.
    pub(crate) fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Whom the session is with, or is sought with.
    pub(crate) fn server(&self) -> &str {
        &self.session.url
    }
}
