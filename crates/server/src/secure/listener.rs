//! Accepts connections and, where there is TLS, greets on each beside the others: a slow one delays no other.

use super::Peer;
use axum::serve::Listener;
use parking_lot::Mutex;
use rustix::net::sockopt;
use rustls::ServerConfig as TlsConfig;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use taskyard_model::limits::{TLS_HANDSHAKES_MAX, TLS_HANDSHAKES_PER_ADDRESS_MAX};
use taskyard_tls::Holder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A caller that takes longer is dropped.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
/// When and how often a connection is tested on which nothing arrives: otherwise a reader of a quiet stream that is
/// gone would keep its place forever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;
/// After the system refused to accept, as when there are too many open files.
const REST: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) enum Secure {
    Plain(TcpListener),
    Tls { ready: mpsc::Receiver<(SecureConnection, SocketAddr)>, address: SocketAddr, accepting: AbortHandle },
}

/// Whom a connection's certificate names, if one was shown.
#[derive(Clone, Debug)]
pub(crate) struct ShownCertificate(pub(crate) Option<Peer>);

impl Secure {
    /// With TLS if there is a configuration for it.
    pub(crate) fn new(listener: TcpListener, address: SocketAddr, tls: Option<Arc<TlsConfig>>) -> Secure {
        let Some(tls) = tls else { return Secure::Plain(listener) };
        let (greeted, ready) = mpsc::channel(TLS_HANDSHAKES_MAX);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(tls), greeted)).abort_handle();
        Secure::Tls { ready, address, accepting }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        if let Secure::Tls { accepting, .. } = self {
            accepting.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    greeted: mpsc::Sender<(SecureConnection, SocketAddr)>,
) {
    let greeting = Arc::default();
    // A place is taken before a caller is, and given back with the greeted connection.
    while let Ok(place) = greeted.clone().reserve_owned().await {
        let (tcp, from) = accept_tcp(&listener).await;
        let Some(turn) = HandshakeTurn::take(&greeting, from.ip()) else {
            tracing::debug!(%from, "too many handshakes from this address at once");
            continue;
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            let _turn = turn;
            match tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(tcp)).await {
                Ok(Ok(stream)) => drop(place.send((SecureConnection::Tls(Box::new(stream)), from))),
                Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%from, "a caller did not finish the handshake"),
            }
        });
    }
}

/// How many handshakes there are with each address.
type Greeting = Mutex<HashMap<IpAddr, usize>>;

/// One of them.
struct HandshakeTurn(Arc<Greeting>, IpAddr);

impl HandshakeTurn {
    fn take(greeting: &Arc<Greeting>, from: IpAddr) -> Option<HandshakeTurn> {
        let mut all = greeting.lock();
        let count = all.entry(from).or_default();
        if *count >= TLS_HANDSHAKES_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(HandshakeTurn(Arc::clone(greeting), from))
    }
}

impl Drop for HandshakeTurn {
    fn drop(&mut self) {
        let mut all = self.0.lock();
        if let Some(count) = all.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.1);
            }
        }
    }
}

/// Does not give up: errors of accept(2) pass.
async fn accept_tcp(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((tcp, from)) => {
                // A small answer must not wait for the next one.
                let _ = tcp.set_nodelay(true);
                if let Err(error) = keep_alive(&tcp) {
                    tracing::debug!(%from, %error, "a connection is not tested");
                }
                return (tcp, from);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn keep_alive(tcp: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_keepidle(tcp, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(tcp, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_TRIES)?;
    sockopt::set_socket_keepalive(tcp, true)
}

impl Listener for Secure {
    type Io = SecureConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (SecureConnection, SocketAddr) {
        match self {
            Secure::Plain(listener) => {
                let (tcp, from) = accept_tcp(listener).await;
                (SecureConnection::Plain(tcp), from)
            }
            Secure::Tls { ready, .. } => match ready.recv().await {
                Some(greeted) => greeted,
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Secure::Plain(listener) => listener.local_addr(),
            Secure::Tls { address, .. } => Ok(*address),
        }
    }
}

/// An accepted connection.
pub(crate) enum SecureConnection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ShownCertificate {
    /// By whom a connection was made.
    pub(crate) fn by(connection: &SecureConnection) -> ShownCertificate {
        ShownCertificate(match connection {
            SecureConnection::Plain(_) => None,
            // Verified in the handshake; of which kind it is, it says itself.
            SecureConnection::Tls(stream) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|all| Holder::of(all.first()?));
                shown.map(Peer::of)
            }
        })
    }
}

impl AsyncRead for SecureConnection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SecureConnection::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            SecureConnection::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for SecureConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            SecureConnection::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            SecureConnection::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            SecureConnection::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            SecureConnection::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SecureConnection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            SecureConnection::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SecureConnection::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            SecureConnection::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_that_vanish_are_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, _caller) = tokio::join!(accept_tcp(&listener), TcpStream::connect(address));
        assert!(sockopt::socket_keepalive(&accepted.0).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted.0).unwrap(), KEEPALIVE_AFTER);
    }
}
