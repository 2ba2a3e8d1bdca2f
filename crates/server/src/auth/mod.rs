//! Who asks, and what they may do. There is one way in: the router lets [`identify`] find out who a request is from, each route says with
//! [`Permission`] what it does to which kind of object, and [`rules::allows`] decides. Handlers get a [`Caller`] that has passed.
//!
//! It runs on whichever server answers, against the state that server has applied: a forwarded request brings the user's own credential.

mod audit;
mod first;
mod layer;
pub(crate) mod rules;
mod token;

pub(crate) use audit::{Audit, Entry, Outcome};
pub(crate) use first::{check_file, first_token};
pub(crate) use layer::{Caller, Permission, authorise, identify, is_stranger, peer};
pub(crate) use rules::{Kind, Object, Verb};
pub(crate) use token::{Drawn, draw};

use rules::allows;
use std::sync::Arc;
use std::time::SystemTime;
use taskyard_api as api;
use taskyard_model::{EVERYWHERE, Grant, JobId, Party, Role};
use taskyard_state::{State, Token};
use taskyard_tls::{Holder, Subject};

/// How a server finds out who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// It does not: whoever reaches it may do everything. For loopback addresses only.
    #[default]
    None,
    /// By a token that each request carries.
    Token,
}

impl AuthMode {
    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<AuthMode, taskyard_model::Invalid> {
        match text {
            "none" => Ok(AuthMode::None),
            "token" => Ok(AuthMode::Token),
            _ => Err(taskyard_model::Invalid::new(field, text, "write none or token")),
        }
    }
}

/// The other end of a connection whose certificate was verified; it counts like a token of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What the certificate is for.
    pub party: Party,
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
        let Subject { party, name } = holder.subject;
        Peer { party, name, joined: holder.joined, until: Some(holder.until) }
    }

    /// As one server tells another, with [`Peer::joined`] beside it.
    pub(crate) fn write(&self) -> String {
        format!("{}/{}", self.party.name(), self.name)
    }

    fn read(text: &str, joined: u64) -> Option<Peer> {
        let (party, name) = text.split_once('/')?;
        Some(Peer { party: Party::parse("peer", party).ok()?, name: name.to_owned(), joined, until: None })
    }

    /// Whether its life has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= SystemTime::now())
    }
}

/// What the rules know about a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody, where the server asks for no credential.
    Local,
    /// The holder of a credential.
    Party(Party),
    /// The holder of a token that is good for one certificate, to become this.
    Joining(Party),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) who: Who,
    /// Id of the token, if it was one.
    pub(crate) token: Option<String>,
    pub(crate) grants: Vec<Grant>,
    /// The entry of the log by which the holder of the certificate joined; 0 if it does not say, or was none.
    pub(crate) joined: u64,
    /// When the certificate ends, if it was one.
    pub(crate) until: Option<SystemTime>,
}

impl Identity {
    /// Whoever reaches a server that asks for nothing.
    pub(crate) fn local(user: String) -> Identity {
        let everything = Grant { namespace: EVERYWHERE.into(), role: Role::Admin };
        Identity { user, who: Who::Local, token: None, grants: vec![everything], joined: 0, until: None }
    }

    fn of_token(token: &Token) -> Identity {
        Identity {
            user: token.user.clone(),
            who: if token.join { Who::Joining(token.party) } else { Who::Party(token.party) },
            token: Some(token.id.clone()),
            grants: token.grants.clone(),
            joined: 0,
            until: None,
        }
    }

    /// A certificate names its holder. What a user may do is not in it: that takes a token.
    fn of_peer(peer: &Peer) -> Identity {
        Identity {
            user: peer.name.clone(),
            who: Who::Party(peer.party),
            token: None,
            grants: Vec::new(),
            joined: peer.joined,
            until: peer.until,
        }
    }

    /// What proved it, for the audit.
    pub(crate) fn credential(&self) -> String {
        match (&self.token, self.who) {
            (Some(id), _) => format!("token {id}"),
            (None, Who::Local) => "none".into(),
            (None, Who::Party(_) | Who::Joining(_)) => "certificate".into(),
        }
    }

    /// Whether it is an agent by a certificate that was gotten before its node was removed.
    pub(crate) fn is_removed(&self, state: &State) -> bool {
        let is_agent = self.token.is_none() && self.who == Who::Party(Party::Agent);
        is_agent && state.is_node_removed(&self.user, self.joined)
    }

    /// The kind of caller, in the API.
    pub(crate) fn kind(&self) -> &'static str {
        match self.who {
            Who::Local => "local",
            Who::Party(party) | Who::Joining(party) => party.name(),
        }
    }

    #[cfg(test)]
    pub(crate) fn test(who: Who) -> Identity {
        Identity { user: "ada".into(), who, token: None, grants: Vec::new(), joined: 0, until: None }
    }
}

/// What a caller may see, for lists, events and whatever else mentions jobs: they are filtered where they are made.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    who: Arc<Identity>,
    only: Option<String>,
}

impl Visible {
    /// Of what may be seen, only one namespace.
    #[must_use]
    pub(crate) fn only(self, namespace: Option<String>) -> Visible {
        Visible { only: namespace, ..self }
    }

    /// Whether jobs of this namespace may be seen.
    pub(crate) fn sees(&self, namespace: &str) -> bool {
        let object = Object::new(Kind::Job, "");
        self.only.as_deref().is_none_or(|only| only == namespace)
            && allows(&self.who, Verb::View, namespace, &object).is_ok()
    }

    /// Whether this job may be seen. One that is forgotten is seen by those who see everything.
    pub(crate) fn sees_job(&self, state: &State, id: JobId) -> bool {
        self.sees(state.job(id).map_or(EVERYWHERE, |job| job.spec.namespace.as_str()))
    }

    /// Whether things of this kind that belong to no namespace may be seen.
    pub(crate) fn sees_all(&self, kind: Kind) -> bool {
        self.only.is_none() && allows(&self.who, Verb::View, EVERYWHERE, &Object::new(kind, "")).is_ok()
    }
}

/// A token in the API.
pub(crate) fn show_token(state: &State, token: &Token) -> api::Token {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    api::Token {
        id: token.id.clone(),
        user: token.user.clone(),
        kind: token.party.name().to_owned(),
        label: some(&token.label),
        grants: token.grants.iter().map(Into::into).collect(),
        state: match (token.is_revoked(), token.is_expired(state.now_ms())) {
            (true, _) => api::TokenState::Revoked,
            (_, true) => api::TokenState::Expired,
            _ if token.is_spent() => api::TokenState::Used,
            _ => api::TokenState::Active,
        },
        created_by: some(&token.created_by),
        created_at_ms: token.created_wall_ms,
        expires_at_ms: token.expires_wall_ms,
        uses: token.join.then_some(token.uses),
        used: token.join.then_some(token.used.len() as u32),
    }
}
