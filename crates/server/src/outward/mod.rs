//! Connections and requests to other servers, and how a new one joins them.

mod join;

pub(crate) use join::join;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as ClientError, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use taskyard_consensus::{Dial, Dialing, Duplex};
use taskyard_model::limits::HTTP_CLIENT_IDLE_MS;
use taskyard_tls::TlsError;

/// Path of the request by which a connection between servers begins.
pub(crate) const PEER_PATH: &str = "/v1/server/session";
/// Name of the protocol and its version, the value of the `Upgrade` header.
pub(crate) const PEER_PROTOCOL: &str = "taskyard-server/1";
/// A server that cannot be connected to for this time is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// When and how often a connection is tested on which nothing arrives; long polls are silent for long.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(4);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(2);
const KEEPALIVE_TRIES: u32 = 3;
/// One that does not take what was sent for this time is dead: shorter than clients wait, who must be told that the
/// outcome of a request is unknown. Left to itself TCP tries for a quarter of an hour, in which it does not test the
/// connection either.
const UNTAKEN_MAX: Duration = Duration::from_secs(8);

/// Sends requests to other servers over kept connections.
#[derive(Clone)]
pub(crate) struct Outward {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Where this server's own token is; read each time, so that it may be put there, or replaced, while the server
    /// runs.
    token_file: Option<Arc<Path>>,
}

impl Outward {
    /// With `tls`, to servers at https://; their own certificate is then what proves who calls.
    pub(crate) fn new(token_file: Option<&Path>, tls: Option<ClientConfig>) -> Result<Outward, TlsError> {
        let token_file = token_file.filter(|_| tls.is_none());
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_keepalive(Some(KEEPALIVE_AFTER));
        connector.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        connector.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        connector.set_tcp_user_timeout(Some(UNTAKEN_MAX));
        connector.enforce_http(false);
        let builder = HttpsConnectorBuilder::new();
        let builder = match tls {
            Some(tls) => builder.with_tls_config(tls).https_only(),
            None => builder.with_tls_config(taskyard_tls::no_roots()?).https_or_http(),
        };
        let connector = builder.enable_http1().wrap_connector(connector);
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_millis(HTTP_CLIENT_IDLE_MS));
        let http = pool.build(connector);
        Ok(Outward { http, token_file: token_file.map(Arc::from) })
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.http.request(request).await
    }

    /// Sends a request in this server's own name.
    pub(crate) async fn send_own(&self, mut request: Request<Full<Bytes>>) -> io::Result<Response<Incoming>> {
        if let Some(file) = &self.token_file {
            let text = std::fs::read_to_string(file)?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "the token file does not contain a token")
            })?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        self.send(request).await.map_err(|error| io::Error::new(kind(&error), error))
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
                .header(header::UPGRADE, PEER_PROTOCOL)
                .body(Full::default())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {error}")))?;
            let response = outward.send_own(request).await?;
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

/// What the system said of a connection that failed. Refused means that nothing listens there.
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
pub(crate) fn whole(bytes: Bytes) -> Full<Bytes> {
    Full::new(bytes)
}

/// The answer of another server as this one's own.
pub(crate) fn own(response: Response<Incoming>) -> Response<Body> {
    response.map(Body::new)
}
