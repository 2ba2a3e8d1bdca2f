//! The other end of a connection whose certificate was verified.

use std::time::SystemTime;
use taskyard_model::CredentialKind;
use taskyard_tls::{Holder, Subject};

/// The other end of a connection whose certificate was verified; it counts like a token of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What the certificate is for.
    pub kind: CredentialKind,
    /// Whose it is: a node or a server.
    pub name: String,
    /// The entry of the log by which it joined; 0 if its certificate does not say.
    pub joined: u64,
    /// When its life ends; `None` where another server has looked at it.
    pub until: Option<SystemTime>,
}

impl Peer {
    /// Who shows this certificate.
    pub(crate) fn of(holder: Holder) -> Peer {
        let Subject { kind, name } = holder.subject;
        Peer { kind, name, joined: holder.joined, until: Some(holder.until) }
    }

    /// As one server tells another, with [`Peer::joined`] beside it.
    pub(crate) fn write(&self) -> String {
        format!("{}/{}", self.kind.name(), self.name)
    }

    pub(crate) fn read(text: &str, joined: u64) -> Option<Peer> {
        let (kind, name) = text.split_once('/')?;
        Some(Peer {
            kind: CredentialKind::parse("peer", kind).ok()?,
            name: name.to_owned(),
            joined,
            until: None,
        })
    }

    /// Whether its life has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= SystemTime::now())
    }
}
