//! Getting a certificate from a server: with a token for joining at first, with the certificate itself from then on.

use crate::channel::{self, ServerStream};
use crate::error::{TlsError, invalid};
use crate::{Fingerprint, Subject, TlsDir};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use taskyard_api::{Certificate, CertificateRequest, ErrorBody, Secret, routes};
use taskyard_model::limits::JOIN_ANSWER_BYTES_MAX;
use tokio::net::TcpStream;

/// For the whole of one try.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two rounds over the servers.
const PAUSE: Duration = Duration::from_secs(1);
/// Between the token and the fingerprint.
const MARK: char = '@';

/// What an administrator gives to a machine that is to join: a token that is good for one certificate, and what the
/// authority is known by, so that the token is shown to no one else: `TOKEN@FINGERPRINT`.
#[derive(Clone)]
pub struct JoinToken {
    token: Secret,
    authority: Fingerprint,
}

impl JoinToken {
    /// Whether a text looks like one.
    pub fn is(text: &str) -> bool {
        text.contains(MARK)
    }

    /// From its text.
    pub fn read(source: &str, text: &str) -> Result<JoinToken, TlsError> {
        let why = "a join token has the form TOKEN@FINGERPRINT, as `taskyard token create --join` prints it";
        let (token, authority) = text.trim().split_once(MARK).ok_or_else(|| invalid("token", why))?;
        let token = Secret::read(source, token).map_err(|error| invalid("token", error))?;
        Ok(JoinToken { token, authority: authority.parse()? })
    }

    /// The same from a file.
    pub fn read_file(path: &Path) -> Result<Option<JoinToken>, TlsError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| TlsError::File { path: path.to_owned(), source })?;
        JoinToken::is(&text).then(|| JoinToken::read("token", &text)).transpose()
    }

    /// Its text.
    pub fn write(token: &Secret, authority: &Fingerprint) -> String {
        format!("{}{MARK}{authority}", token.expose())
    }
}

/// What is needed for a certificate.
pub struct Enrolment<'a> {
    /// Where it is kept.
    pub home: &'a TlsDir,
    /// Whom it is for.
    pub subject: &'a Subject,
    /// Who may be asked.
    pub servers: &'a [String],
}

/// Joins: asks until one of the servers gives a certificate or refuses for good.
pub async fn enrol(what: &Enrolment<'_>, with: &JoinToken) -> Result<(), TlsError> {
    let config = Arc::new(channel::pinned(with.authority)?);
    loop {
        match ask_all(what, &config, Some(&with.token)).await {
            Err(error @ TlsError::Unreachable { .. }) => {
                tracing::info!(error = &error as &dyn std::error::Error, "no certificate yet; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
            Ok(given) => return keep(what, &given, with.authority),
        }
    }
}

fn keep(what: &Enrolment<'_>, given: &Certificate, expected: Fingerprint) -> Result<(), TlsError> {
    // What a server says after it has proved who it is can be trusted; this guards against a mistake.
    if crate::authority::fingerprint(&given.authority)? != expected {
        return Err(invalid(
            "authority",
            "the server sent a different authority from the one that its certificate comes from",
        ));
    }
    what.home.keep(given)
}

/// Asks for another certificate in the name of the one that is in use.
pub async fn renew(what: &Enrolment<'_>, config: Arc<ClientConfig>) -> Result<(), TlsError> {
    let given = ask_all(what, &config, None).await?;
    keep(what, &given, what.home.fingerprint()?)
}

async fn ask_all(
    what: &Enrolment<'_>,
    config: &Arc<ClientConfig>,
    token: Option<&Secret>,
) -> Result<Certificate, TlsError> {
    let Subject { kind, name } = what.subject.clone();
    let request = what.home.request()?.pem()?;
    let body = CertificateRequest { kind: kind.name().to_owned(), name, request };
    let mut last = invalid("servers", "none was given");
    // One that is not of the cluster, or has a wrong name, must not keep the others from being asked.
    let mut stranger = None;
    for server in what.servers {
        let asked = tokio::time::timeout(ANSWER_WITHIN, ask(server, config, token, &body)).await;
        let late = || Err(unreachable(server, io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        match asked.unwrap_or_else(|_| late()) {
            Err(error @ TlsError::Stranger { .. }) => stranger = Some(error),
            Err(error @ TlsError::Unreachable { .. }) => last = error,
            answer => return answer,
        }
    }
    Err(if matches!(last, TlsError::Unreachable { .. }) { last } else { stranger.unwrap_or(last) })
}

fn unreachable(server: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::Unreachable { server: server.to_owned(), source: io::Error::other(source) }
}

async fn ask(
    server: &str,
    config: &Arc<ClientConfig>,
    token: Option<&Secret>,
    body: &CertificateRequest,
) -> Result<Certificate, TlsError> {
    let refused = |why: String| TlsError::Refused { server: server.to_owned(), why };
    let uri: Uri = server.parse().map_err(|_| refused("write its address as https://HOST:PORT".into()))?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
    let authority = authority.ok_or_else(|| refused("write its address as https://HOST:PORT".into()))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let failed = |error: io::Error| unreachable(server, error);
    let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await.map_err(failed)?;
    let stream =
        channel::connect(tcp, host, Arc::clone(config)).await.map_err(|error| not_it(server, error))?;
    let mut request = Request::post(routes::CERTIFICATES)
        .header(HOST, authority.as_str())
        .header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|error| invalid("token", error))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let body = serde_json::to_vec(body).map_err(|error| refused(error.to_string()))?;
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| refused(error.to_string()))?;
    let (status, bytes) = send(stream, request).await.map_err(|error| unreachable(server, error))?;
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()));
    }
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        // What may have taken effect can be asked for again: it is the same key.
        Ok(ErrorBody { error }) if error.definite && error.retry_after_ms.is_none() => {
            Err(refused(error.to_string()))
        }
        Ok(ErrorBody { error }) => Err(unreachable(server, error.message)),
        Err(_) => Err(unreachable(server, format!("it answered {status}"))),
    }
}

/// A server that is not of the cluster is a refusal; a connection that breaks may be tried again.
fn not_it(server: &str, error: io::Error) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            TlsError::Stranger { server: server.to_owned(), why: format!("{why:?}") }
        }
        _ => unreachable(server, error),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn send(stream: ServerStream, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let bytes = Limited::new(response.into_body(), JOIN_ANSWER_BYTES_MAX).collect().await?.to_bytes();
    driver.abort();
    Ok((status, bytes))
}
