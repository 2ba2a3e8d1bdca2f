//! How servers talk to each other: connections that the application makes and this module fills.
//!
//! A connection begins with a greeting of both sides, by which each makes sure whom it talks to; then it carries requests
//! one way and answers, in the same order, the other. Every frame has a length, a kind and a checksum.

mod frame;
mod greet;
mod link;
mod message;
mod reach;
mod refusals;
mod serve;
mod snapshot;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use openraft::{BasicNode, RaftNetworkFactory};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use greet::{KnownPeers, Me};
pub(crate) use link::PeerLink;
pub(crate) use message::PeerStatus;
pub(crate) use reach::Reach;
pub(crate) use refusals::Refusals;
pub(crate) use serve::serve;

use crate::machine::Replica;
use crate::types::Types;

/// A connection between two servers.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// A connection that is being made.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

/// Makes connections to other servers; how (TLS, proxies) is the application's matter.
pub trait Dial: Send + Sync + 'static {
    /// Connects to the server at `url`. The other end passes the connection to [`crate::Consensus::serve_peer`]. An error of the kind
    /// `ConnectionRefused` says that no process listens there; it must be certain.
    fn dial(&self, url: String) -> Dialing;
}

/// For a server that never has others.
pub struct Alone;

impl Dial for Alone {
    fn dial(&self, url: String) -> Dialing {
        Box::pin(
            async move { Err(io::Error::other(format!("this server is alone, and does not call {url}"))) },
        )
    }
}

/// What all connections of this server share.
pub(crate) struct Network {
    pub(crate) me: Me,
    pub(crate) replica: Arc<Replica>,
    pub(crate) dial: Arc<dyn Dial>,
    /// Who was met, by number.
    pub(crate) known: KnownPeers,
    /// Who can be reached.
    pub(crate) reach: Reach,
    /// Who does not talk to this server.
    pub(crate) refusals: Refusals,
    /// The largest frame taken.
    pub(crate) frame_bytes_max: usize,
}

impl Network {
    /// Where a server is reached: as the log says, or as it was when it joined.
    pub(crate) fn url_of(&self, target: u64, joined_at: &str) -> String {
        let live = self.replica.live.read();
        live.state.server(target).map_or_else(|| joined_at.to_owned(), |server| server.url.clone())
    }
}

/// Makes [`PeerLink`]s for the Raft library.
pub(crate) struct Links(pub(crate) Arc<Network>);

impl RaftNetworkFactory<Types> for Links {
    type Network = PeerLink;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> PeerLink {
        PeerLink::new(Arc::clone(&self.0), target, node.addr.clone())
    }
}
