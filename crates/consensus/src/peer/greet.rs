//! The greeting: who calls, who answers, and whether they belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use taskyard_state::{Impostor, ServerStarted};
use tokio::sync::Notify;

use super::Network;
use super::frame::{self, FrameReader, invalid};
use super::message::{HELLO, REFUSED, decode, encode};
use crate::clock::boottime;

/// Version of this protocol. Fields may be added without a new one.
const PROTOCOL: u32 = 1;
/// A greeting is small, and comes at once.
pub(super) const GREETING_WITHIN: Duration = Duration::from_secs(5);

/// Who this process is.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) cluster: String,
    pub(crate) started: ServerStarted,
}

/// What each side says first.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct PeerHello {
    #[n(0)]
    pub(super) protocol: u32,
    #[n(1)]
    pub(super) cluster: String,
    /// Whom the caller wants to reach; of the answering side, whom it takes the caller for.
    #[n(2)]
    pub(super) to: u64,
    /// Who speaks.
    #[n(3)]
    pub(super) from: ServerStarted,
}

/// Why the other side does not talk.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct PeerRefused {
    #[n(0)]
    pub(super) why: String,
    /// The other process can never be right; it must stop and say so.
    #[n(1)]
    pub(super) for_ever: bool,
}

/// Another server as this process met it.
#[derive(Clone, Debug)]
pub(crate) struct MetPeer {
    /// Who it said it is.
    pub(crate) started: ServerStarted,
    /// CLOCK_BOOTTIME when a frame of it came last.
    pub(crate) heard: Duration,
}

/// Who was met, by number.
#[derive(Default)]
pub(crate) struct KnownPeers {
    met: Mutex<BTreeMap<u64, MetPeer>>,
    /// Someone new was met.
    pub(crate) news: Notify,
    /// Servers of which connections broke, for whom nobody has asked yet. A leader and another one may break in the same moment.
    lost: Mutex<BTreeSet<u64>>,
    breaks: Notify,
}

impl KnownPeers {
    pub(crate) fn met(&self, id: u64) -> Option<MetPeer> {
        self.met.lock().get(&id).cloned()
    }

    pub(super) fn heard(&self, id: u64) {
        if let Some(met) = self.met.lock().get_mut(&id) {
            met.heard = boottime();
        }
    }

    /// A connection of this server broke.
    pub(super) fn loses(&self, id: u64) {
        self.lost.lock().insert(id);
        self.breaks.notify_one();
    }

    /// The next server of which a connection breaks.
    pub(crate) async fn lost(&self) -> u64 {
        loop {
            if let Some(id) = self.lost.lock().pop_first() {
                return id;
            }
            self.breaks.notified().await;
        }
    }

    fn meets(&self, started: ServerStarted) {
        let met = MetPeer { started, heard: boottime() };
        let before = self.met.lock().insert(met.started.id, met.clone());
        if before.is_none_or(|before| before.started != met.started) {
            self.news.notify_one();
        }
    }
}

impl Network {
    fn hello(&self, to: u64) -> PeerHello {
        PeerHello { protocol: PROTOCOL, cluster: self.me.cluster.clone(), to, from: self.me.started.clone() }
    }

    /// Whether the speaker is the server it says it is.
    fn vet(&self, hello: &PeerHello, expected: Option<u64>) -> Result<(), PeerRefused> {
        let refuse = |for_ever, why: String| Err(PeerRefused { why, for_ever });
        let id = hello.from.id;
        if hello.cluster != self.me.cluster {
            let why = format!(
                "server {id} at {} belongs to cluster {}, server {} to cluster {}",
                hello.from.url, hello.cluster, self.me.started.id, self.me.cluster
            );
            return refuse(false, why);
        }
        if let Some(expected) = expected
            && expected != id
        {
            return refuse(
                false,
                format!("server {expected} was expected at {}, not server {id}", hello.from.url),
            );
        }
        if hello.protocol != PROTOCOL {
            let why = format!(
                "server {id} speaks version {} of the protocol between servers, this one {PROTOCOL}",
                hello.protocol
            );
            return refuse(false, why);
        }
        if id == self.me.started.id {
            return match hello.from.process == self.me.started.process {
                true => refuse(false, format!("server {id} called itself: check the addresses")),
                false => refuse(true, format!("server {id} runs already at {}", self.me.started.url)),
            };
        }
        let live = self.replica.live.read();
        match live.state.server(id).map_or(Ok(()), |known| known.vet(&hello.from)) {
            // It is to leave, and has not left: until the change of members is through, its voice may be needed for it.
            Err(Impostor::Removed) if live.about.membership.membership().get_node(&id).is_some() => Ok(()),
            Err(impostor) => refuse(true, format!("server {id} is refused: {impostor}")),
            Ok(()) => Ok(()),
        }
    }

    /// Greets the server that was called.
    pub(super) async fn greet<R, W>(
        &self,
        reader: &mut FrameReader<R>,
        writer: &mut W,
        to: u64,
    ) -> io::Result<()>
    where
        R: tokio::io::AsyncRead + Unpin,
        W: tokio::io::AsyncWrite + Unpin,
    {
        frame::write(writer, HELLO, &encode(&self.hello(to))).await?;
        let answer = within(reader.next()).await?;
        if answer.kind == REFUSED {
            let refused: PeerRefused = decode(&answer.content)?;
            self.refusals.note(to, &refused.why);
            return Err(self.refused(refused));
        }
        let hello: PeerHello = expect_hello(&answer)?;
        if let Err(refused) = self.vet(&hello, Some(to)) {
            // Neither side talks to the other, and it shall know why.
            self.refusals.note(to, &refused.why);
            frame::write(writer, REFUSED, &encode(&refused)).await?;
            return Err(refusal(refused.why));
        }
        self.refusals.accepted(to);
        self.known.meets(hello.from);
        Ok(())
    }

    /// Answers the greeting of a server that called.
    pub(super) async fn answer<R, W>(&self, reader: &mut FrameReader<R>, writer: &mut W) -> io::Result<u64>
    where
        R: tokio::io::AsyncRead + Unpin,
        W: tokio::io::AsyncWrite + Unpin,
    {
        let hello = expect_hello(&within(reader.next()).await?)?;
        let wanted = match hello.to == self.me.started.id {
            true => self.vet(&hello, None),
            false => Err(PeerRefused {
                why: format!("this is server {}, not server {}", self.me.started.id, hello.to),
                for_ever: false,
            }),
        };
        if let Err(refused) = wanted {
            frame::write(writer, REFUSED, &encode(&refused)).await?;
            return Err(invalid(refused.why));
        }
        let id = hello.from.id;
        self.known.meets(hello.from);
        frame::write(writer, HELLO, &encode(&self.hello(id))).await?;
        Ok(id)
    }

    /// The other side does not talk to this server; for ever means that this process must stop.
    pub(super) fn refused(&self, refused: PeerRefused) -> io::Error {
        if refused.for_ever {
            self.replica.expel(&refused.why);
        }
        refusal(refused.why)
    }
}

/// Told apart from what is damaged: a server that refuses can be reached.
fn refusal(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

fn expect_hello(frame: &frame::PeerFrame) -> io::Result<PeerHello> {
    match frame.kind {
        HELLO => decode(&frame.content),
        other => Err(invalid(format!("a greeting was expected, and kind {other} came"))),
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(GREETING_WITHIN, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no greeting in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn servers_that_are_lost_in_the_same_moment_are_all_told() {
        let known = KnownPeers::default();
        known.loses(1);
        known.loses(2);
        known.loses(1);
        assert_eq!((known.lost().await, known.lost().await), (1, 2));
        let none = tokio::time::timeout(Duration::from_millis(10), known.lost());
        assert!(none.await.is_err(), "each is told once");
    }
}
