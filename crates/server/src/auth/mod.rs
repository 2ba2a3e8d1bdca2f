//! Who asks, and what they may do. There is one way in: the router lets [`identify`] find out who a request is from,
//! each route says with [`Permission`] what it does to which kind of object, and [`rules::allows`] decides. Handlers
//! get a [`Caller`] that has passed.
//!
//! It runs on whichever server answers, against the state that server has applied: a forwarded request brings the
//! user's own credential.

mod audit;
mod caller;
pub(crate) mod first;
mod gatekeeper;
pub(crate) mod rules;
mod token;

pub(crate) use audit::{Audit, AuditEntry, CallOutcome, NAME as AUDIT_FILE};
pub(crate) use caller::{Caller, Permission, authorise, identify, is_stranger, peer};
pub(crate) use first::check_file;
pub(crate) use gatekeeper::Gatekeeper;
pub(crate) use rules::{Object, ObjectKind, Verb};
pub(crate) use token::{DrawnToken, ParsedToken, draw};

use crate::secure::Peer;

use rules::allows;
use std::sync::Arc;
use std::time::SystemTime;
use taskyard_api as api;
use taskyard_model::{CredentialKind, EVERYWHERE, Grant, JobId, Role};
use taskyard_state::{State, Token};

/// What the rules know about a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody, where the server asks for no credential.
    Local,
    /// The holder of a credential.
    Holder(CredentialKind),
    /// The holder of a token that is good for one certificate, to become this.
    Joining(CredentialKind),
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
    /// Any caller of a server that requires no credential.
    pub(crate) fn local(user: String) -> Identity {
        let everything = Grant { namespace: EVERYWHERE.into(), role: Role::Admin };
        Identity { user, who: Who::Local, token: None, grants: vec![everything], joined: 0, until: None }
    }

    fn of_token(token: &Token) -> Identity {
        Identity {
            user: token.user.clone(),
            who: if token.join { Who::Joining(token.kind) } else { Who::Holder(token.kind) },
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
            who: Who::Holder(peer.kind),
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
            (None, Who::Holder(_) | Who::Joining(_)) => "certificate".into(),
        }
    }

    /// Whether it is an agent by a certificate that was gotten before its node was removed.
    pub(crate) fn is_removed(&self, state: &State) -> bool {
        let is_agent = self.token.is_none() && self.who == Who::Holder(CredentialKind::Agent);
        is_agent && state.is_node_removed(&self.user, self.joined)
    }

    /// The kind of caller, in the API.
    pub(crate) fn kind(&self) -> &'static str {
        match self.who {
            Who::Local => "local",
            Who::Holder(kind) | Who::Joining(kind) => kind.name(),
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
        let object = Object::new(ObjectKind::Job, "");
        self.only.as_deref().is_none_or(|only| only == namespace)
            && allows(&self.who, Verb::View, namespace, &object).is_ok()
    }

    /// Whether there is a namespace of this name, as far as the caller may know.
    pub(crate) fn knows(&self, state: &State, namespace: &str) -> bool {
        self.sees(namespace) && state.namespaces().any(|head| head.name == namespace)
    }

    /// Whether this job may be seen. One that is forgotten is seen by those who see everything.
    pub(crate) fn sees_job(&self, state: &State, id: JobId) -> bool {
        self.sees(state.job(id).map_or(EVERYWHERE, |job| job.spec.namespace.as_str()))
    }

    /// Whether things of this kind that belong to no namespace may be seen.
    pub(crate) fn sees_all(&self, kind: ObjectKind) -> bool {
        self.only.is_none() && allows(&self.who, Verb::View, EVERYWHERE, &Object::new(kind, "")).is_ok()
    }
}

/// A token in the API.
pub(crate) fn show_token(state: &State, token: &Token) -> api::Token {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    api::Token {
        id: token.id.clone(),
        user: token.user.clone(),
        kind: token.kind.name().to_owned(),
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
