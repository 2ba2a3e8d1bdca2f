//! TLS with a certificate that may be replaced while it is in use.

use crate::error::{TlsError, invalid};
use crate::fingerprint::Fingerprint;
use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use taskyard_api::Secret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is spoken inside: connections are upgraded, which the later version of HTTP cannot.
const PROTOCOL: &[u8] = b"http/1.1";

/// The one implementation of cryptography; named wherever it is needed, so that none has to be installed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate of one's own, and the authority that others' must come from. Clones share both.
#[derive(Clone, Debug)]
pub struct Channel {
    own: Arc<OwnCertificate>,
    roots: Arc<RootCertStore>,
    /// Sent along, so that who joins can compare its fingerprint.
    authority: CertificateDer<'static>,
}

#[derive(Debug)]
struct OwnCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Channel {
    /// From PEM.
    pub fn new(certificate: &str, key: &Secret, authority: &str) -> Result<Channel, TlsError> {
        let authority = first(authority)?;
        let own = certified(certificate, key, &authority)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).map_err(|error| invalid("authority", error))?;
        Ok(Channel { own: Arc::new(OwnCertificate(RwLock::new(own))), roots: Arc::new(roots), authority })
    }

    /// Takes another certificate; connections from now on show it.
    pub(crate) fn replace(&self, certificate: &str, key: &Secret) -> Result<(), TlsError> {
        *self.own.0.write() = certified(certificate, key, &self.authority)?;
        Ok(())
    }

    /// For the side that answers. Others may show a certificate; one that does not come from the authority ends the
    /// connection.
    pub fn answering(&self) -> Result<ServerConfig, TlsError> {
        let failed = |error: &dyn std::fmt::Display| invalid("authority", error);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&self.own) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A connection that goes on with an older one is not asked for a certificate again, which may be over by then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For callers of a server of the cluster.
    pub fn calling(&self) -> Result<ClientConfig, TlsError> {
        let config = client()?.with_root_certificates(Arc::clone(&self.roots));
        Ok(config.with_client_cert_resolver(Arc::clone(&self.own) as Arc<dyn ResolvesClientCert>))
    }
}

/// For people: trusts the authorities in `pem`, or those of the system, and shows no certificate.
pub fn web_roots(pem: Option<&str>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| invalid("authority", error))?;
                roots.add(certificate).map_err(|error| invalid("authority", error))?;
            }
            if roots.is_empty() {
                return Err(invalid("authority", "there is no certificate in it"));
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(client()?.with_root_certificates(roots).with_no_client_auth())
}

/// Without a certificate and without trust: where there is no TLS.
pub fn no_roots() -> Result<ClientConfig, TlsError> {
    Ok(client()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// For a caller that knows only the authority's fingerprint.
pub(crate) fn pinned(authority: Fingerprint) -> Result<ClientConfig, TlsError> {
    let verifier = Arc::new(Pinned(authority));
    Ok(client()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn client() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder.with_safe_default_protocol_versions().map_err(|error| invalid("TLS", error))
}

fn first(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| invalid("certificate", error))
}

fn certified(
    certificate: &str,
    key: &Secret,
    authority: &CertificateDer<'static>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let key =
        PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|error| invalid("key", error))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| invalid("key", error))?;
    let certified = CertifiedKey::new(vec![first(certificate)?, authority.clone()], key);
    certified.keys_match().map_err(|error| invalid("certificate", error))?;
    Ok(Arc::new(certified))
}

/// Verifies a server's certificate as usual, with the one authority that has the fingerprint. The server sends it
/// along.
#[derive(Debug)]
struct Pinned(Fingerprint);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = chain.iter().find(|sent| Fingerprint::of(sent) == self.0).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let usual = usual.build().map_err(|error| Error::General(error.to_string()))?;
        usual.verify_server_cert(own, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A connection to a server, with TLS or without.
pub enum ServerStream {
    /// Without.
    Plain(TcpStream),
    /// With.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Speaks TLS on a connection to `host`.
pub async fn connect(tcp: TcpStream, host: &str, config: Arc<ClientConfig>) -> io::Result<ServerStream> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    Ok(ServerStream::Tls(Box::new(stream)))
}

/// Says what a certificate of another authority usually means to a machine that has joined a cluster.
pub fn of_another_authority(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(
            why @ (CertificateError::UnknownIssuer | CertificateError::BadSignature),
        )) => {
            let text = format!(
                "its certificate comes from another authority ({why:?}): if the cluster was restored or recreated, join with an empty data directory and a new token"
            );
            io::Error::new(error.kind(), text)
        }
        _ => error,
    }
}

/// A process that ends, or that throws a caller out, says no farewell in TLS. The library calls that a possible attack
/// and gives an address of its documentation; what was sent here has lengths, so a message cut short is noticed anyway.
fn of_a_closed_connection(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the other side closed the connection"),
        _ => error,
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            ServerStream::Tls(stream) => {
                Pin::new(stream.as_mut()).poll_read(cx, buf).map_err(of_a_closed_connection)
            }
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            ServerStream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            ServerStream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ServerStream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            ServerStream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
