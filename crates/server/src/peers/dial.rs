//! Connections and requests to other servers.

use super::{PEER_PATH, PROTOCOL};
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::time::Duration;
use taskyard_consensus::{Dial, Dialing, Duplex};

/// A server that cannot be connected to for so long is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A connection on which nothing arrives is tested after so long, and so often; long polls are silent for long.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(4);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_TRIES: u32 = 3;

/// Sends requests to other servers over kept connections.
#[derive(Clone)]
pub(crate) struct Outward(Client<HttpConnector, Full<Bytes>>);

impl Outward {
    pub(crate) fn new() -> Outward {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_keepalive(Some(KEEPALIVE_AFTER));
        connector.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        connector.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        Outward(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector))
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.0.request(request).await
    }
}

/// Connects consensus with other servers: a request that is upgraded, like an agent's.
pub(crate) struct Dialer(pub(crate) Outward);

impl Dial for Dialer {
    fn dial(&self, url: String) -> Dialing {
        let outward = self.0.clone();
        Box::pin(async move {
            let request = Request::post(format!("{url}{PEER_PATH}"))
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, PROTOCOL)
                .body(Full::default())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {error}")))?;
            let response =
                outward.send(request).await.map_err(|error| io::Error::new(kind(&error), error))?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = response.status();
                return Err(io::Error::other(format!(
                    "{url} answered {status}, and is no server of a cluster"
                )));
            }
            let upgraded = hyper::upgrade::on(response).await.map_err(io::Error::other)?;
            Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Duplex>)
        })
    }
}

/// What the system said of a connection that failed. Refused means that nobody listens.
fn kind(error: &ClientError) -> io::ErrorKind {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind();
        }
        cause = error.source();
    }
    io::ErrorKind::Other
}

/// A body that is whole.
pub(super) fn whole(bytes: Bytes) -> Full<Bytes> {
    Full::new(bytes)
}

/// The answer of another server as this one's own.
pub(super) fn own(response: Response<Incoming>) -> Response<Body> {
    response.map(Body::new)
}
