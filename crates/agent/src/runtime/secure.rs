//! The agent's certificate: gotten once with a token to join with, renewed from then on.

use crate::error::chain;
use crate::uplink::AddressBook;
use crate::{AgentConfig, AgentError};
use std::sync::Arc;
use std::time::Duration;
use taskyard_tls::{Channel, Enrolment, JoinToken, Subject, TlsDir, TlsError, enrol, renew};
use tokio::task::JoinSet;

/// How often an agent looks whether a renewal is due; there are two days for it.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// TLS for an agent whose servers speak it, and what keeps its certificate good for as long as it is held.
pub(super) struct Secured {
    pub(super) channel: Channel,
    _renewing: JoinSet<()>,
}

/// Joins, unless the agent has joined before. `None` where there is no TLS.
pub(super) async fn open(config: &AgentConfig) -> Result<Option<Secured>, AgentError> {
    if !config.servers.iter().any(|server| server.starts_with("https://")) {
        return Ok(None);
    }
    let (home, subject) = (TlsDir::of(&config.data_dir), Subject::agent(&config.name));
    if !home.is_there() || home.renewal()?.is_over() || home.subject()?.as_ref() != Some(&subject) {
        let token = config.token_file.as_deref().map(JoinToken::read_file).transpose();
        let token = token.map_err(|error| AgentError::Incomplete(chain(&error)))?.flatten();
        let token = token.ok_or_else(|| AgentError::Incomplete(no_certificate(&config.servers)))?;
        enrol(&Enrolment { home: &home, subject: &subject, servers: &config.servers }, &token).await?;
        tracing::info!(node = config.name, "joined: this agent has a certificate");
    }
    let channel = home.channel()?;
    let mut renewing = JoinSet::new();
    renewing.spawn(keep_renewed(home, subject, channel.clone(), config.clone()));
    Ok(Some(Secured { channel, _renewing: renewing }))
}

fn no_certificate(servers: &[String]) -> String {
    format!(
        "this agent has not joined {}, or was offline until its certificate expired: create a token with `taskyard token create --kind \
         agent --join`, and name its file with --token-file",
        servers.join(",")
    )
}

async fn keep_renewed(home: TlsDir, subject: Subject, channel: Channel, config: AgentConfig) {
    loop {
        // By the wall clock, as certificates are: a machine may have slept.
        if home.renewal().is_ok_and(|renewal| renewal.due_in().is_zero()) {
            // Servers that are there now, not those of the start.
            let book = AddressBook::open(&config.data_dir, &config.servers);
            let servers: Vec<String> = book.all().into_iter().map(str::to_owned).collect();
            if let Err(error) = once(&home, &subject, &channel, &servers).await {
                tracing::warn!(error = chain(&error), "the certificate is not renewed yet");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn once(
    home: &TlsDir,
    subject: &Subject,
    channel: &Channel,
    servers: &[String],
) -> Result<(), TlsError> {
    renew(&Enrolment { home, subject, servers }, Arc::new(channel.calling()?)).await?;
    home.refresh(channel)?;
    tracing::info!("the certificate is renewed");
    Ok(())
}
