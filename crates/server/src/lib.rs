//! One server: it accepts work from users, plans it, and talks to agents.
//!
//! Everything a leader does starts from the replicated state alone. A loop here takes no input but the state; an event
//! may wake it, never steer it. Killing the process at any moment loses nothing that was acknowledged.

mod agents;
mod app;
mod auth;
mod clock;
mod config;
mod connections;
mod error;
mod events;
mod failure;
mod heavy;
mod history;
mod http;
mod loops;
mod metrics;
mod outward;
mod peers;
mod secure;
mod session;
#[cfg(test)]
mod testing;
mod usecase;

pub use config::{AuthMode, BackupConfig, DEFAULT_STORE, ServerConfig};
pub use error::ServerError;
pub use http::openapi;
pub use secure::{Peer, is_host};

use app::App;
use connections::{ConnectionBounds, Serving};
use secure::Secure;
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// A server that is told to stop gives its leadership away first; a successor that takes longer is elected anyway.
const HAND_OVER_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Connections that wait to be accepted. When a leader dies, its agents call the next one in the same moment; one that
/// finds no room tries again only after a second. The system may allow fewer (`net.core.somaxconn`).
const ACCEPT_BACKLOG: u32 = 16_384;

/// A started server that does not accept connections yet.
pub struct Server {
    app: App,
    listener: TcpListener,
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted server takes its address back while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

impl Server {
    /// Recovers the state from the data directory and binds the address.
    pub async fn start(config: ServerConfig) -> Result<Server, ServerError> {
        config.check()?;
        let listen = config.listen;
        let listener = bind(listen).map_err(|cause| ServerError::Bind { listen, cause })?;
        let address = listener.local_addr().map_err(|cause| ServerError::Bind { listen, cause })?;
        let app = App::start(config, address).await?;
        Ok(Server { app, listener })
    }

    /// Where users and agents reach it.
    pub fn url(&self) -> &str {
        &self.app.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Becomes ready when an agent has registered, so that there is something to run work on.
    pub fn until_an_agent_is_there(&self) -> impl Future<Output = ()> + Send + use<> {
        let app = self.app.clone();
        async move {
            let _ = app.agents.watch_connected().wait_for(|agents| *agents > 0).await;
        }
    }

    /// Serves until `stop` or until storage fails; then open requests end and the log is closed.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        let Server { app, listener } = self;
        let mut loops = loops::spawn(&app);
        let tls = app.secured.as_ref().map(|secured| secured.answering()).transpose()?;
        let listener = Secure::new(listener, app.address, tls);
        let mut stopping = app.stopping();
        let stopped = async move {
            let _ = stopping.wait_for(|s| *s).await;
        };
        let serving =
            Serving::new(http::router(app.clone()), app.metrics.clone(), ConnectionBounds::of_process());
        let mut serving = std::pin::pin!(serving.serve(listener, stopped));
        let result = tokio::select! {
            () = stop => Ok(()),
            failure = app.consensus.failed() => Err(ServerError::Storage(failure)),
            why = app.consensus.expelled() => Err(ServerError::Expelled(why)),
            () = &mut serving => Ok(()),
        };
        if result.is_ok() {
            // The next leader connects to this server to tell it so: connections must be accepted meanwhile.
            tokio::select! {
                () = app.consensus.step_aside(HAND_OVER_WITHIN) => {}
                () = &mut serving => {}
            }
        }
        app.stop();
        if result.is_ok() {
            // Streams see `stopping` and end; a client that does not read its answer is not waited for.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(3), serving).await;
        }
        loops.shutdown().await;
        app.consensus.shutdown().await;
        result
    }
}
