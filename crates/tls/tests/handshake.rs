//! Whom TLS lets in, with real handshakes over a pipe.

#![allow(clippy::unwrap_used)]

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::sync::Arc;
use taskyard_model::CredentialKind;
use taskyard_tls::{Channel, PendingKey, Subject, TlsDir, web_roots};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn hosts() -> Vec<String> {
    vec!["localhost".into(), "127.0.0.1".into()]
}

/// A cluster's authority, and a server of it.
fn cluster() -> (TempDir, TlsDir, Channel) {
    let dir = TempDir::new().unwrap();
    let home = TlsDir::of(dir.path());
    home.create_authority().unwrap();
    let channel = home.own_channel(&Subject::server("01"), &hosts()).unwrap();
    (dir, home, channel)
}

fn agent(home: &TlsDir, name: &str) -> Channel {
    let dir = TempDir::new().unwrap();
    let own = TlsDir::of(dir.path());
    let (authority, request) = (home.authority().unwrap(), own.request().unwrap().pem().unwrap());
    let certificate = authority.sign(&request, &Subject::agent(name), 0, &[]).unwrap();
    let given = taskyard_api::Certificate {
        certificate,
        authority: authority.certificate().to_owned(),
        authority_key: None,
    };
    own.keep(&given).unwrap();
    own.channel().unwrap()
}

/// A handshake and one byte each way; whom the answering end saw.
async fn meet(server: ServerConfig, client: ClientConfig, host: &str) -> io::Result<Option<Subject>> {
    let (near, far) = tokio::io::duplex(16 << 10);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let calling = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
        stream.write_all(b"a").await?;
        stream.read_u8().await
    };
    let answering = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        let seen = stream.get_ref().1.peer_certificates().and_then(|all| Subject::of(&all[0]));
        stream.read_u8().await?;
        stream.write_all(b"b").await?;
        Ok::<_, io::Error>(seen)
    };
    let (called, answered) = tokio::join!(calling, answering);
    called?;
    answered
}

#[tokio::test]
async fn servers_and_agents_of_the_cluster_know_each_other() {
    let (_dir, home, server) = cluster();
    let other = home.own_channel(&Subject::server("02"), &hosts()).unwrap();
    let seen = meet(server.answering().unwrap(), other.calling().unwrap(), "127.0.0.1").await.unwrap();
    assert_eq!(seen, Some(Subject::server("02")));
    let n1 = agent(&home, "n1");
    let seen = meet(server.answering().unwrap(), n1.calling().unwrap(), "localhost").await.unwrap();
    assert_eq!(seen, Some(Subject { kind: CredentialKind::Agent, name: "n1".into() }));
    // People show none.
    let people = web_roots(Some(home.authority().unwrap().certificate())).unwrap();
    assert_eq!(meet(server.answering().unwrap(), people, "localhost").await.unwrap(), None);
}

#[tokio::test]
async fn strangers_are_refused_in_both_directions() {
    let (_dir, home, server) = cluster();
    let (_other_dir, other_home, stranger) = cluster();
    let met = |server: &Channel, client: &Channel, host: &'static str| {
        meet(server.answering().unwrap(), client.calling().unwrap(), host)
    };
    assert!(met(&server, &stranger, "localhost").await.is_err(), "another cluster's server calls");
    assert!(met(&server, &agent(&other_home, "n1"), "localhost").await.is_err(), "another cluster's agent");
    let n1 = agent(&home, "n1");
    assert!(met(&server, &n1, "example.org").await.is_err(), "another host");
    // An agent's certificate is none for a server, whatever its name.
    assert!(met(&agent(&home, "localhost"), &n1, "localhost").await.is_err());
    // The system's authorities do not vouch for a cluster.
    let error = meet(server.answering().unwrap(), web_roots(None).unwrap(), "localhost").await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let told = taskyard_tls::of_another_authority(error).to_string();
    assert!(told.contains("another authority (UnknownIssuer)") && told.contains("new token"), "{told}");
}

#[tokio::test]
async fn another_certificate_is_shown_from_the_next_connection_on() {
    let (_dir, home, server) = cluster();
    let config = server.answering().unwrap();
    let client = home.own_channel(&Subject::server("02"), &hosts()).unwrap();
    home.refresh_own(&server, &Subject::server("01"), &["renamed".into()]).unwrap();
    assert!(meet(config.clone(), client.calling().unwrap(), "localhost").await.is_err());
    meet(config, client.calling().unwrap(), "renamed").await.unwrap();
}

#[test]
fn what_a_request_asks_for_counts_for_nothing() {
    // A host's name cannot be taken for a subject, nor a subject's for another.
    let (_dir, home, _server) = cluster();
    let request = PendingKey::new().unwrap().pem().unwrap();
    let authority = home.authority().unwrap();
    let signed = |subject: &Subject, hosts: &[String]| {
        let pem = authority.sign(&request, subject, 0, hosts).unwrap();
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        Subject::of(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
    };
    let n1 = Subject::agent("n1");
    assert_eq!(signed(&n1, &["taskyard:server/1".into()]), Some(n1.clone()));
    assert_eq!(signed(&Subject::agent("server/1"), &[]), Some(Subject::agent("server/1")));
    assert!(authority.sign("nonsense", &n1, 0, &[]).is_err());
    assert!(authority.sign(&request, &Subject::agent("ü"), 0, &[]).is_err());
    assert!(home.create_authority().is_err(), "a second authority would lock everybody out");
}
