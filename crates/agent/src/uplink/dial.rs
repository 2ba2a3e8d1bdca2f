//! A connection to a server: dialling, reading and writing. Knows the framing but not what messages mean.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use taskyard_tls::{Channel, ServerStream, TlsError};
use taskyard_wire::{Codec, FrameError, PROTOCOL, SESSION_PATH, ToAgent, ToServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder};

/// For the connection and for the upgrade.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
const READ_BYTES: usize = 64 << 10;
/// What a server may leave unread. Reports are bounded by what it assigned, output by the reads it asks for.
const UNSENT_BYTES_MAX: usize = 64 << 20;
const ERROR_BODY_BYTES_MAX: usize = 1 << 10;
/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 1 << 10;

/// What an agent can do about a server that refuses its credential.
const NOT_ACCEPTED: &str = "this agent's token is not accepted, or it has none; create one with `taskyard token create \
    --kind agent`, and name its file with --token-file";

/// No session with this server now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{0} is not an address of a server; write https://HOST:PORT")]
    Address(String),
    #[error("the token file {0} cannot be read")]
    Token(PathBuf, #[source] io::Error),
    #[error(
        "the token would cross the network to {0} unencrypted; give an address with https://, or a loopback one, as through an SSH tunnel"
    )]
    Plaintext(String),
    #[error("{0} is not TLS, and this agent joined a cluster with TLS; write https://HOST:PORT")]
    Unproven(String),
    #[error(
        "{0} speaks TLS, and this agent was started for servers without TLS; name them as https://HOST:PORT"
    )]
    NoCertificate(String),
    #[error("no connection")]
    Connect(#[from] io::Error),
    #[error("no answer within {} s", DIAL_TIMEOUT.as_secs())]
    Timeout,
    #[error("the connection failed")]
    Http(#[from] hyper::Error),
    #[error("the server answered {0} instead of a session: {1}")]
    Status(StatusCode, String),
}

pub(crate) struct SessionReader {
    stream: ReadHalf<ServerStream>,
    input: BytesMut,
    codec: Codec<ToAgent, ToServer>,
}

pub(crate) struct SessionWriter {
    stream: WriteHalf<ServerStream>,
    out: BytesMut,
    /// Everything that the stream took is on its way.
    flushed: bool,
    codec: Codec<ToAgent, ToServer>,
}

/// What proves to servers that this is an agent.
#[derive(Clone, Default)]
pub(crate) struct Credential {
    tls: Option<Arc<ClientConfig>>,
    token_file: Option<Arc<Path>>,
}

impl Credential {
    /// The certificate, where there is one; else the token.
    pub(crate) fn of(channel: Option<&Channel>, token_file: Option<&Path>) -> Result<Credential, TlsError> {
        Ok(match channel {
            Some(channel) => Credential { tls: Some(Arc::new(channel.calling()?)), token_file: None },
            None => Credential { tls: None, token_file: token_file.map(Arc::from) },
        })
    }

    /// Fails if its file cannot be read.
    pub(crate) fn check(&self) -> Result<(), DialError> {
        self.token_file.as_deref().map_or(Ok(()), |path| read_token(path).map(drop))
    }
}

/// Opens a session with the server at `https://host:port`, or at `http://host:port` without TLS.
pub(crate) async fn dial(
    server: &str,
    credential: &Credential,
) -> Result<(SessionReader, SessionWriter), DialError> {
    let token = credential.token_file.as_deref().map(read_token).transpose()?;
    let (stream, input) = tokio::time::timeout(DIAL_TIMEOUT, upgrade(server, credential, token))
        .await
        .map_err(|_| DialError::Timeout)??;
    let (read, write) = split(stream);
    let reader = SessionReader { stream: read, input, codec: Codec::default() };
    Ok((
        reader,
        SessionWriter { stream: write, out: BytesMut::new(), flushed: true, codec: Codec::default() },
    ))
}

/// The credential, as a header that is never printed. Read again each time, so that a token can be replaced while the
/// agent runs.
fn read_token(path: &Path) -> Result<HeaderValue, DialError> {
    let mut text = String::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
    let value = read.and_then(|_| match text.trim() {
        "" => Err(io::Error::other("it is empty")),
        token => HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| io::Error::other("it contains no token")),
    });
    let mut value = value.map_err(|error| DialError::Token(path.to_owned(), error))?;
    value.set_sensitive(true);
    Ok(value)
}

fn stays_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn connect(server: &str, uri: &Uri, credential: &Credential) -> Result<ServerStream, DialError> {
    let address = || DialError::Address(server.to_owned());
    let authority = uri.authority().ok_or_else(address)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let (tls, port) = match uri.scheme_str() {
        Some("https") => {
            let tls = credential.tls.clone();
            (Some(tls.ok_or_else(|| DialError::NoCertificate(server.to_owned()))?), 443)
        }
        // Who has a certificate has no business with a server that proves nothing.
        Some("http") if credential.tls.is_some() => return Err(DialError::Unproven(server.to_owned())),
        Some("http") if credential.token_file.is_some() && !stays_here(host) => {
            return Err(DialError::Plaintext(server.to_owned()));
        }
        Some("http") => (None, 80),
        _ => return Err(address()),
    };
    let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(port))).await?;
    tcp.set_nodelay(true)?;
    Ok(match tls {
        Some(tls) => {
            taskyard_tls::connect(tcp, host, tls).await.map_err(taskyard_tls::of_another_authority)?
        }
        None => ServerStream::Plain(tcp),
    })
}

async fn upgrade(
    server: &str,
    credential: &Credential,
    token: Option<HeaderValue>,
) -> Result<(ServerStream, BytesMut), DialError> {
    let address = || DialError::Address(server.to_owned());
    let uri: Uri = server.parse().map_err(|_| address())?;
    let stream = connect(server, &uri, credential).await?;
    let authority = uri.authority().ok_or_else(address)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection.with_upgrades());
    let mut request = Request::post(SESSION_PATH);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request
        .header(HOST, authority.as_str())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, PROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(|_| address())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            // Its own words are for users, who would log in.
            return Err(DialError::Status(status, NOT_ACCEPTED.to_owned()));
        }
        let body = Limited::new(response.into_body(), ERROR_BODY_BYTES_MAX).collect().await;
        let text = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).into_owned()).unwrap_or_default();
        return Err(DialError::Status(status, text));
    }
    let upgraded = hyper::upgrade::on(response).await?;
    // The connection's driver has nothing more to do once the stream is ours.
    let _ = driver.await;
    let parts = upgraded.downcast::<TokioIo<ServerStream>>().map_err(|_| {
        DialError::Connect(io::Error::other("the upgraded connection is not the one that was dialled"))
    })?;
    Ok((parts.io.into_inner(), BytesMut::from(&parts.read_buf[..])))
}

impl SessionReader {
    /// Waits for bytes. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the session")),
            _ => Ok(()),
        }
    }

    /// A message that has come whole.
    pub(crate) fn message(&mut self) -> Result<Option<ToAgent>, FrameError> {
        let message = self.codec.decode(&mut self.input);
        if self.input.is_empty() && self.input.capacity() > 4 * READ_BYTES {
            self.input = BytesMut::new();
        }
        message
    }
}

impl SessionWriter {
    /// Adds a message to what is to be sent.
    pub(crate) fn push(&mut self, message: &ToServer) -> Result<(), FrameError> {
        if self.out.len() > UNSENT_BYTES_MAX {
            return Err(FrameError::Io(io::Error::other("the server does not read")));
        }
        self.codec.encode(message, &mut self.out)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.flushed
    }

    /// Sends what the connection takes at once.
    pub(crate) fn send_now(&mut self) -> io::Result<()> {
        while !self.is_empty() {
            match self.send_some().now_or_never() {
                Some(sent) => sent?,
                None => return Ok(()),
            }
        }
        if self.out.capacity() > 4 * READ_BYTES {
            self.out = BytesMut::new();
        }
        Ok(())
    }

    /// Waits until some more was sent. Cancel-safe.
    pub(crate) async fn send_some(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            self.stream.flush().await?;
            self.flushed = true;
            return Ok(());
        }
        // What TLS takes it may keep; a plain connection keeps nothing.
        self.flushed = false;
        let sent = self.stream.write(&self.out).await?;
        self.out.advance(sent);
        Ok(())
    }
}
