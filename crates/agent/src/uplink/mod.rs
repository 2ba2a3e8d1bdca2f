//! The agent's way to the leader: a *session* with one server, and a *standby* connection to another. The standby
//! server says who leads as soon as it knows; if it comes to lead itself, its connection becomes the session. Knows
//! nothing of attempts.
//!
//! [`UplinkState`] says where the agent stands. It is computed from both connections and never stored, so it
//! cannot disagree with them. It decides what follows when the session is lost, refused or not found:
//!
//! | state | what follows |
//! |---|---|
//! | `InSession` | the same server after a back-off: perhaps only the connection broke |
//! | `LeaderStandsBy` | the standby connection becomes the session, at once |
//! | `Advised` | wait until the standby server names the leader; after the time of an election, ask others |
//! | `Alone` | the next server in turn, after a back-off |

mod book;
mod dial;
mod link;
mod standby;
#[cfg(test)]
mod tests;
mod told;

use crate::error::chain;
use crate::random::random_unit;
pub(crate) use book::AddressBook;
pub(crate) use dial::Credential;
pub(crate) use link::LinkEvent;
use link::{Backoff, Connection, Heartbeat, ServerLink};
use std::collections::VecDeque;
use std::time::Duration;
use taskyard_model::Capacity;
use taskyard_wire::{FrameError, Granted, Hello, Load, Refused, Servers, ToAgent, ToServer, Welcome};
use tokio::time::Instant;
use told::Told;

const SESSION: Backoff = Backoff { first: Duration::from_millis(50), last: Duration::from_secs(2) };
/// Nothing depends on a server that stands by until the leader is lost.
const STANDBY: Backoff = Backoff { first: Duration::from_millis(500), last: Duration::from_secs(30) };
/// A standby server names the leader as soon as there is one. An election takes less than this; after it, other servers
/// are asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often in a row an agent follows a redirect at once. Two servers that take each other for the leader would
/// otherwise make a loop without a pause.
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
pub(crate) enum UplinkEvent {
    Session(LinkEvent),
    Standby(LinkEvent),
}

/// Where the agent stands between its session and the server that stands by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UplinkState {
    /// A server has welcomed the agent.
    InSession,
    /// No session, and the server that stands by leads.
    LeaderStandsBy,
    /// No session; the server that stands by tells who leads as soon as it knows.
    Advised,
    /// No session, and nothing stands by.
    Alone,
}

/// The server that the session is with.
#[derive(Clone, Copy)]
struct SessionServer {
    term: u64,
    /// Its number; 0 until it has said it.
    server: u64,
}

/// See the module.
pub(crate) struct Uplink {
    book: AddressBook,
    /// Says who we are, on a connection that stands by.
    introduction: Hello,
    session: ServerLink,
    standby: ServerLink,
    /// From the welcome to the end of the session.
    peer: Option<SessionServer>,
    /// How the server that stands by sees the cluster.
    advice: Option<Servers>,
    /// Highest term of a leader we had a session with.
    term: u64,
    /// Length of a lease, from the last welcome.
    lease: Duration,
    sent_on: u32,
    /// The agent has something to say in a session.
    may_call: bool,
    /// Why servers gave no session.
    told: Told,
    news: VecDeque<News>,
}

impl Uplink {
    /// `who` is how the agent introduces itself where it asks for nothing.
    pub(crate) fn new(mut book: AddressBook, who: Hello) -> Uplink {
        book.shuffle(random_unit());
        let introduction = Hello { standby: true, incarnation: None, capacity: Capacity::default(), ..who };
        let now = Instant::now();
        let mut session = ServerLink::new(SESSION, now);
        session.url = book.next(&[]);
        // The session comes first; it may be all that a single server needs.
        let standby = ServerLink::new(STANDBY, now + STANDBY.first.mul_f64(1.0 + random_unit()));
        Uplink {
            book,
            introduction,
            session,
            standby,
            peer: None,
            advice: None,
            term: 0,
            lease: Duration::ZERO,
            sent_on: 0,
            may_call: true,
            told: Told::default(),
            news: VecDeque::new(),
        }
    }

    /// The same with what proves to servers that this is an agent.
    pub(crate) fn with_credential(mut self, credential: Credential) -> Uplink {
        self.session.credential = credential.clone();
        self.standby.credential = credential;
        self
    }

    fn state(&self) -> UplinkState {
        match &self.advice {
            _ if self.peer.is_some() => UplinkState::InSession,
            // A server that knows of no later leader than we do may not have heard yet that it leads no more.
            Some(advice) if self.standby.is_open() && advice.leads && advice.term >= self.term => {
                UplinkState::LeaderStandsBy
            }
            Some(_) if self.standby.is_open() => UplinkState::Advised,
            _ => UplinkState::Alone,
        }
    }

    /// Waits for what happens on either connection. Cancel-safe.
    pub(crate) async fn event(&mut self) -> UplinkEvent {
        tokio::select! {
            happened = self.session.event() => UplinkEvent::Session(happened),
            happened = self.standby.event() => UplinkEvent::Standby(happened),
        }
    }

    /// Takes note of what happened; then there may be news.
    pub(crate) fn handle(&mut self, event: UplinkEvent) {
        match event {
            UplinkEvent::Session(LinkEvent::Dialled(Ok(open))) => {
                self.session.connection = Connection::Open(Box::new(open));
                self.news.push_back(News::Open);
            }
            UplinkEvent::Session(LinkEvent::Dialled(Err(error))) => {
                // With a server that stands by it is known to be dead, or soon will be.
                let (server, error) = (self.session.url.as_str(), chain(&error));
                if !self.standby.is_open() && self.told.is_news(server, &error) {
                    tracing::warn!(server, error, "no session");
                } else {
                    tracing::debug!(server, error, "no session");
                }
                self.call_another(Duration::ZERO);
            }
            UplinkEvent::Session(LinkEvent::Broke(error)) => self.session_broke(&FrameError::Io(error)),
            UplinkEvent::Standby(LinkEvent::Dialled(Ok(open))) => {
                self.standby.connection = Connection::Open(Box::new(open));
                if let Err(error) = self.standby.push(&ToServer::Hello(self.introduction.clone())) {
                    self.standby_broke(&error);
                }
            }
            UplinkEvent::Standby(LinkEvent::Dialled(Err(error))) => {
                tracing::debug!(server = self.standby.url, error = chain(&error), "no standby server");
                self.standby.back_off(random_unit(), Duration::ZERO);
            }
            UplinkEvent::Standby(LinkEvent::Readable) => self.receive_standby(),
            UplinkEvent::Standby(LinkEvent::Broke(error)) => self.standby_broke(&FrameError::Io(error)),
            UplinkEvent::Session(LinkEvent::Readable | LinkEvent::Sent)
            | UplinkEvent::Standby(LinkEvent::Sent) => {}
        }
    }

    /// What the agent has to hear next.
    pub(crate) fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            match self.session.message() {
                Ok(message) => self.session_received(message?),
                Err(error) => self.session_broke(&error),
            }
        }
    }

    fn session_received(&mut self, message: ToAgent) {
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
        self.peer = Some(SessionServer { term: welcome.term, server: 0 });
        self.term = self.term.max(welcome.term);
        self.sent_on = 0;
        self.session.succeeded();
        // The first heartbeat goes out at once, since it is what brings a lease.
        let silence_ms = welcome.lease_ms / 3;
        self.session.heartbeat = Some(Heartbeat::new(welcome.heartbeat_ms, silence_ms, Instant::now()));
        self.lease = Duration::from_millis(welcome.lease_ms);
    }

    fn learn_in_session(&mut self, servers: &Servers) {
        if let Some(peer) = &mut self.peer {
            peer.server = servers.from;
        }
        let news = self.book.learn(&self.session.url, servers, true);
        let stands_by = self.advice.as_ref().map(|advice| advice.from);
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
            // This server leads. It refuses the life, and the next session asks for a new one.
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
        // Read first: closing the session is what ends `InSession`.
        let before = self.state();
        self.close_session();
        match (before, self.state()) {
            (_, UplinkState::LeaderStandsBy) => self.promote(),
            // It led a moment ago, and if another server leads by now, the standby server says so.
            (UplinkState::InSession, _) => self.session.back_off(random_unit(), Duration::ZERO),
            // It never welcomed us here, so there is no reason to think that it leads.
            _ => self.call_another(Duration::ZERO),
        }
    }

    fn close_session(&mut self) {
        if self.peer.take().is_some() {
            // The lease runs down from here. Long pauses between tries would cost the tasks.
            self.session.hurry(self.lease);
        }
        // No pause of its own: each caller sets one that fits what it knows.
        self.session.wait(Duration::ZERO);
        self.news.push_back(News::Closed);
    }

    /// Tries another server after the back-off, or after `at_least`.
    fn call_another(&mut self, at_least: Duration) {
        let mut at_least = at_least;
        let mut but = vec![self.session.url.as_str()];
        match self.state() {
            UplinkState::LeaderStandsBy => return self.promote(),
            UplinkState::Advised => {
                // All agents lose a leader in the same moment. Those that wait to be told leave the servers free to
                // elect another, and the jitter spreads those that are not told.
                at_least = at_least.max(PATIENCE.mul_f64(0.5 + random_unit()));
                but.push(&self.standby.url);
            }
            UplinkState::InSession | UplinkState::Alone => {}
        }
        self.session.url = self.book.next(&but);
        self.session.back_off(random_unit(), at_least);
    }

    /// Calls the leader, as somebody said it is.
    fn go_to(&mut self, leader: String) {
        self.session.url = leader;
        self.sent_on += 1;
        if self.standby.is_open() && self.standby.url == self.session.url {
            // It promotes itself as soon as it takes sessions; to dial it meanwhile would make two connections to it.
            self.session.wait(PATIENCE.mul_f64(0.5 * random_unit()));
        } else if self.sent_on > SENT_ON_MAX {
            self.session.back_off(random_unit(), Duration::ZERO);
        } else {
            self.session.wait(Duration::ZERO);
        }
    }

    /// Does what the time asks for. `may_call`: the agent has something to say in a session.
    pub(crate) fn tick(&mut self, may_call: bool, load: impl FnOnce() -> Load) {
        self.may_call = may_call;
        let now = Instant::now();
        if may_call && self.session.waits_until().is_some_and(|until| until <= now) {
            match self.state() {
                // It may have come to lead during the pause.
                UplinkState::LeaderStandsBy => self.promote(),
                _ => self.session.dial(self.session.url.clone()),
            }
        }
        if self.standby.waits_until().is_some_and(|until| until <= now) {
            let server = self.peer.map_or(0, |peer| peer.server);
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
