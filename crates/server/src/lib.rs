//! One server: it accepts work from users, plans it, and talks to agents.
//!
//! Everything a leader does starts from the replicated state alone. A loop here takes no input but the state; an event may wake it, never
//! steer it. Killing the process at any moment loses nothing that was acknowledged.

mod app;
mod backup;
mod events;
mod http;
mod leader;
mod metrics;
mod session;
mod usecase;

pub use app::{ServerConfig, ServerError};
pub use backup::{BackupConfig, DEFAULT_STORE};
pub use http::openapi;

use app::App;
use axum::serve::ListenerExt;
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A started server that does not accept connections yet.
pub struct Server {
    app: App,
    listener: TcpListener,
}

impl Server {
    /// Recovers the state from the data directory and binds the address.
    pub async fn start(config: ServerConfig) -> Result<Server, ServerError> {
        config.check()?;
        let listen = config.listen;
        let listener =
            TcpListener::bind(listen).await.map_err(|cause| ServerError::Bind { listen, cause })?;
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
            let _ = app.nodes.watch_connected().wait_for(|agents| *agents > 0).await;
        }
    }

    /// Serves until `stop` or until storage fails; then open requests end and the log is closed.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        let Server { app, listener } = self;
        let mut loops = JoinSet::new();
        loops.spawn(leader::plan(app.clone()));
        loops.spawn(leader::pulse(app.clone()));
        loops.spawn(leader::leases(app.clone()));
        loops.spawn(backup::scheduled(app.clone()));
        let listener = listener.tap_io(|tcp| {
            // A small answer must not wait for the next one.
            let _ = tcp.set_nodelay(true);
        });
        let mut stopping = app.stopping();
        let stopped = async move {
            let _ = stopping.wait_for(|s| *s).await;
        };
        let serving = axum::serve(listener, http::router(app.clone())).with_graceful_shutdown(stopped);
        let mut serving = std::pin::pin!(async move { serving.await });
        let result = tokio::select! {
            () = stop => Ok(()),
            failure = app.consensus.failed() => Err(ServerError::Storage(failure)),
            ended = &mut serving => ended.map_err(ServerError::Serve),
        };
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
