//! TLS of a server whose data directory has an authority: the certificate it signs for itself, and connections that say
//! whose they are.

mod listener;
mod peer;

pub(crate) use listener::{Secure, SecureConnection, ShownCertificate};
pub use peer::Peer;

use crate::config::ServerConfig;
use crate::error::ServerError;
use rustls::{ClientConfig, ServerConfig as TlsConfig};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use taskyard_consensus::number_of;
use taskyard_tls::{Channel, Enrolment, JoinToken, Subject, TlsDir, TlsError, enrol};

/// A server's certificate and what is made with it.
pub(crate) struct ServerTls {
    pub(crate) home: TlsDir,
    channel: Channel,
    subject: Subject,
    /// Names and addresses at which it is reached.
    hosts: Vec<String>,
    /// For other servers.
    pub(crate) calling: ClientConfig,
}

impl ServerTls {
    /// Whether there is to be TLS: the directory has an authority, or the servers that are joined speak it.
    pub(crate) fn is_meant(config: &ServerConfig) -> bool {
        TlsDir::of(&config.data_dir).is_there() || config.join.iter().any(|url| url.starts_with("https://"))
    }

    /// That of a data directory with an authority, or of one that joins with a token; `None` where there is no TLS.
    pub(crate) async fn open(
        config: &ServerConfig,
        address: SocketAddr,
    ) -> Result<Option<ServerTls>, ServerError> {
        let home = TlsDir::of(&config.data_dir);
        if !home.is_there() && !join(config, &home).await? {
            return Ok(None);
        }
        let (subject, hosts) = (subject(config)?, hosts(config, address));
        let channel = home.own_channel(&subject, &hosts)?;
        let calling = channel.calling()?;
        Ok(Some(ServerTls { home, channel, subject, hosts, calling }))
    }

    /// For those who call.
    pub(crate) fn answering(&self) -> Result<Arc<TlsConfig>, TlsError> {
        self.channel.answering().map(Arc::new)
    }

    pub(crate) fn renew(&self) -> Result<(), TlsError> {
        self.home.refresh_own(&self.channel, &self.subject, &self.hosts)
    }
}

/// Gets the authority with a token that is good for it; whether there was one.
async fn join(config: &ServerConfig, home: &TlsDir) -> Result<bool, ServerError> {
    let Some(url) = config.join.iter().find(|url| url.starts_with("https://")) else { return Ok(false) };
    let token = config.token_file.as_deref().map(JoinToken::read_file).transpose()?.flatten();
    let token = token.ok_or_else(|| {
        let remedy = "create a token with `taskyard cluster add`, and name its file with --token-file";
        ServerError::Config(format!("join: \"{url}\": with TLS, joining requires a token; {remedy}"))
    })?;
    let subject = subject(config)?;
    enrol(&Enrolment { home, subject: &subject, servers: &config.join }, &token).await?;
    Ok(true)
}

/// By the random number of its directory: a number in the cluster it may not have yet.
fn subject(config: &ServerConfig) -> Result<Subject, ServerError> {
    Ok(Subject::server(&format!("{:016x}", number_of(&config.data_dir)?)))
}

/// Where it may be called: at the host it is advertised with, at its address, and from its own machine.
fn hosts(config: &ServerConfig, address: SocketAddr) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    hosts.extend(config.tls_names.iter().cloned());
    hosts.extend(config.advertise.as_deref().and_then(host_of));
    if !address.ip().is_unspecified() {
        hosts.push(address.ip().to_string());
    }
    let name = rustix::system::uname();
    hosts.extend(name.nodename().to_str().ok().filter(|name| is_host(name)).map(str::to_owned));
    hosts.sort();
    hosts.dedup();
    hosts
}

fn host_of(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    Some(uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// Whether a text can be the name or the address of a host.
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() < 254 && text.split('.').all(label))
}
