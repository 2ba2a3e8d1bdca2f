//! The rules: who may do what to which object, in one pure function. Everything else in this module finds out who asks
//! and about what.

use super::{Identity, Who};
use std::fmt;
use taskyard_api::{ApiError, ErrorCode};
use taskyard_model::{CredentialKind, EVERYWHERE, Grant, Role, is_mutant};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    View,
    Submit,
    Retry,
    Cancel,
    Hold,
    Release,
    Update,
    Drain,
    Resume,
    Set,
    Create,
    Revoke,
    Remove,
    Transfer,
    Verify,
    Connect,
}

impl Verb {
    #[cfg(test)]
    pub(crate) const ALL: [Verb; 16] = [
        Verb::View,
        Verb::Submit,
        Verb::Retry,
        Verb::Cancel,
        Verb::Hold,
        Verb::Release,
        Verb::Update,
        Verb::Drain,
        Verb::Resume,
        Verb::Set,
        Verb::Create,
        Verb::Revoke,
        Verb::Remove,
        Verb::Transfer,
        Verb::Verify,
        Verb::Connect,
    ];

    /// Its name in the audit and in refusals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::View => "view",
            Verb::Submit => "submit",
            Verb::Retry => "retry",
            Verb::Cancel => "cancel",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Update => "update",
            Verb::Drain => "drain",
            Verb::Resume => "resume",
            Verb::Set => "set",
            Verb::Create => "create",
            Verb::Revoke => "revoke",
            Verb::Remove => "remove",
            Verb::Transfer => "transfer",
            Verb::Verify => "verify",
            Verb::Connect => "connect",
        }
    }
}

/// What it is to be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObjectKind {
    /// Whether the process is healthy: for what supervises it.
    Health,
    /// The description of this API.
    Document,
    /// The caller.
    Myself,
    /// A job, with its tasks.
    Job,
    /// What a task wrote.
    Log,
    /// What happens.
    Event,
    Namespace,
    Node,
    Queue,
    /// Nodes that share queues.
    Pool,
    /// The weight of an account or a user, with what they used lately.
    Share,
    /// What was used.
    Usage,
    /// How long finished jobs are kept.
    Retention,
    Cluster,
    Metrics,
    Token,
    /// A server of the cluster.
    Server,
    Backup,
    /// An agent's session.
    Session,
    /// A connection of another server.
    Peer,
    /// A certificate of an agent or a server.
    Certificate,
}

impl ObjectKind {
    #[cfg(test)]
    pub(crate) const ALL: [ObjectKind; 21] = [
        ObjectKind::Health,
        ObjectKind::Document,
        ObjectKind::Myself,
        ObjectKind::Job,
        ObjectKind::Log,
        ObjectKind::Event,
        ObjectKind::Namespace,
        ObjectKind::Node,
        ObjectKind::Queue,
        ObjectKind::Pool,
        ObjectKind::Share,
        ObjectKind::Usage,
        ObjectKind::Retention,
        ObjectKind::Cluster,
        ObjectKind::Metrics,
        ObjectKind::Token,
        ObjectKind::Server,
        ObjectKind::Backup,
        ObjectKind::Session,
        ObjectKind::Peer,
        ObjectKind::Certificate,
    ];

    /// Its name in the audit and in refusals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ObjectKind::Health => "health",
            ObjectKind::Document => "document",
            ObjectKind::Myself => "myself",
            ObjectKind::Job => "job",
            ObjectKind::Log => "log",
            ObjectKind::Event => "event",
            ObjectKind::Namespace => "namespace",
            ObjectKind::Node => "node",
            ObjectKind::Queue => "queue",
            ObjectKind::Pool => "pool",
            ObjectKind::Share => "share",
            ObjectKind::Usage => "usage",
            ObjectKind::Retention => "retention",
            ObjectKind::Cluster => "cluster",
            ObjectKind::Metrics => "metrics",
            ObjectKind::Token => "token",
            ObjectKind::Server => "server",
            ObjectKind::Backup => "backup",
            ObjectKind::Session => "session",
            ObjectKind::Peer => "peer",
            ObjectKind::Certificate => "certificate",
        }
    }

    /// Whether there is one of it, so that it goes with an article.
    fn is_one(self) -> bool {
        matches!(
            self,
            ObjectKind::Health
                | ObjectKind::Document
                | ObjectKind::Usage
                | ObjectKind::Retention
                | ObjectKind::Cluster
                | ObjectKind::Metrics
        )
    }

    /// Whether it lies in a namespace; all else is of the cluster as a whole.
    pub(crate) fn is_of_a_namespace(self) -> bool {
        matches!(self, ObjectKind::Job | ObjectKind::Log | ObjectKind::Event)
    }
}

/// One thing, or all of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: ObjectKind,
    /// Its name or number; empty for all of the kind.
    pub(crate) name: String,
    /// Whether it is the caller's own.
    pub(crate) own: bool,
}

impl Object {
    /// Something that is not the caller's own.
    pub(crate) fn new(kind: ObjectKind, name: impl Into<String>) -> Object {
        Object { kind, name: name.into(), own: false }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.name();
        match (self.name.is_empty(), self.kind) {
            (false, _) => write!(f, "{name} {}", self.name),
            (
                true,
                ObjectKind::Job
                | ObjectKind::Log
                | ObjectKind::Event
                | ObjectKind::Namespace
                | ObjectKind::Node
                | ObjectKind::Queue
                | ObjectKind::Pool
                | ObjectKind::Share
                | ObjectKind::Server
                | ObjectKind::Backup
                | ObjectKind::Token,
            ) => {
                write!(f, "{name}s")
            }
            (true, _) => f.write_str(name),
        }
    }
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    Nothing,
    /// A user's credential, whatever it grants.
    User,
    /// A user's credential with this role, in the namespace of the object.
    Role(Role),
    /// The same in any namespace.
    SomewhereRole(Role),
    /// A credential of this kind.
    Credential(CredentialKind),
    /// A token to join with, or the certificate of an agent, which it renews.
    Joining,
    /// Not allowed to anyone: there is no such act.
    Never,
}

/// The table of the rules. `own` says whether the object is the caller's.
pub(crate) fn need(verb: Verb, kind: ObjectKind, own: bool) -> Requirement {
    match (verb, kind) {
        (Verb::View, ObjectKind::Health) => Requirement::Nothing,
        // Lists of these hold what the caller may see.
        (Verb::View, ObjectKind::Document | ObjectKind::Myself | ObjectKind::Namespace) => Requirement::User,
        (Verb::View | Verb::Revoke, ObjectKind::Token) if own => Requirement::User,
        (Verb::View, ObjectKind::Share | ObjectKind::Usage) if own => Requirement::User,
        (Verb::View, ObjectKind::Job | ObjectKind::Log | ObjectKind::Event) => {
            Requirement::Role(Role::Viewer)
        }
        // Users with jobs need to know where these may run.
        (Verb::View, ObjectKind::Node | ObjectKind::Queue | ObjectKind::Pool) => {
            Requirement::SomewhereRole(Role::Viewer)
        }
        (
            Verb::View,
            ObjectKind::Share
            | ObjectKind::Usage
            | ObjectKind::Retention
            | ObjectKind::Cluster
            | ObjectKind::Server
            | ObjectKind::Metrics,
        ) => Requirement::Role(Role::Viewer),
        (Verb::Submit | Verb::Retry, ObjectKind::Job) => Requirement::Role(Role::Submitter),
        (Verb::Cancel | Verb::Hold | Verb::Release | Verb::Update, ObjectKind::Job) => {
            Requirement::Role(if own { Role::Submitter } else { Role::Operator })
        }
        (Verb::Drain | Verb::Resume | Verb::Set, ObjectKind::Node) => Requirement::Role(Role::Operator),
        (Verb::Set | Verb::Remove, ObjectKind::Queue | ObjectKind::Pool) | (Verb::Set, ObjectKind::Share) => {
            Requirement::Role(Role::Operator)
        }
        // It takes a credential away.
        (Verb::Remove, ObjectKind::Node) => Requirement::Role(Role::Admin),
        (Verb::View | Verb::Create | Verb::Verify, ObjectKind::Backup) => Requirement::Role(Role::Admin),
        // It decides how long everyone's results are kept.
        (Verb::Set, ObjectKind::Retention) => Requirement::Role(Role::Admin),
        (Verb::Update | Verb::Remove | Verb::Transfer, ObjectKind::Server) => Requirement::Role(Role::Admin),
        // A new server asks for itself.
        (Verb::Create, ObjectKind::Server) | (Verb::Connect, ObjectKind::Peer) => {
            Requirement::Credential(CredentialKind::Server)
        }
        (Verb::Create, ObjectKind::Namespace) => Requirement::Role(Role::Admin),
        (Verb::Create | Verb::View | Verb::Revoke, ObjectKind::Token) => Requirement::Role(Role::Admin),
        (Verb::Connect, ObjectKind::Session) => Requirement::Credential(CredentialKind::Agent),
        (Verb::Create, ObjectKind::Certificate) => Requirement::Joining,
        _ => Requirement::Never,
    }
}

/// A refusal, for people and for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) verb: Verb,
    pub(crate) object: Object,
    pub(crate) namespace: String,
    pub(crate) needs: Requirement,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.object.kind {
            ObjectKind::Session => f.write_str("you may not open the session of an agent: that needs ")?,
            ObjectKind::Peer => f.write_str("you may not connect as a server: that needs ")?,
            kind if self.object.name.is_empty() && kind.is_one() => {
                write!(f, "you may not {} the {}: that needs ", self.verb.name(), self.object)?;
            }
            _ => write!(f, "you may not {} {}: that needs ", self.verb.name(), self.object)?,
        }
        match (self.needs, self.namespace.as_str()) {
            (Requirement::Role(role), EVERYWHERE) => write!(f, "the role {role} in every namespace (*)"),
            // It was refused before it was known whose it is.
            (Requirement::Role(role), "")
                if let Requirement::Role(others) = need(self.verb, self.object.kind, false)
                    && others != role =>
            {
                write!(f, "the role {role} in its namespace, or {others} where it is another user's")
            }
            (Requirement::Role(role), "") | (Requirement::SomewhereRole(role), _) => {
                write!(f, "the role {role} in a namespace")
            }
            (Requirement::Role(role), namespace) => write!(f, "the role {role} in the namespace {namespace}"),
            (Requirement::Credential(kind), _) => {
                let article = if kind == CredentialKind::Agent { "an" } else { "a" };
                write!(f, "the credential of {article} {}", kind.name())
            }
            (Requirement::Joining, _) => f.write_str("a token that was made with --join"),
            (Requirement::Nothing | Requirement::User | Requirement::Never, _) => {
                f.write_str("the credential of a user")
            }
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        let error = ApiError::new(ErrorCode::Denied, denied.to_string());
        error
            .remedy("`taskyard whoami` shows your permissions; an administrator can create a token with more")
    }
}

/// Whether `who` may do `verb` to `object`, which lies in `namespace` (or [`EVERYWHERE`]).
pub(crate) fn allows(who: &Identity, verb: Verb, namespace: &str, object: &Object) -> Result<(), Denied> {
    let needs = need(verb, object.kind, object.own);
    let fits = match (needs, who.who) {
        (Requirement::Nothing, _) => true,
        (Requirement::Never, _) => false,
        (_, Who::Local) => true,
        (Requirement::Joining, Who::Joining(_)) => true,
        (Requirement::Joining, Who::Holder(kind)) => kind == CredentialKind::Agent && who.token.is_none(),
        (_, Who::Joining(_)) => false,
        (Requirement::User, Who::Holder(kind)) => kind == CredentialKind::User,
        (Requirement::Role(role), Who::Holder(kind)) => {
            kind == CredentialKind::User && has_role(who, namespace, role)
        }
        (Requirement::SomewhereRole(role), Who::Holder(kind)) => {
            kind == CredentialKind::User && who.grants.iter().any(|grant| grant.role >= role)
        }
        (Requirement::Credential(needed), Who::Holder(kind)) => kind == needed,
    };
    match fits {
        true => Ok(()),
        false => Err(Denied { verb, object: object.clone(), namespace: namespace.to_owned(), needs }),
    }
}

/// Whether there may be an object of the kind to which `who` may do it. Where the object is known only later, this
/// comes first: who can do nothing of the kind is refused before anything is read.
pub(crate) fn allows_somewhere(who: &Identity, verb: Verb, kind: ObjectKind) -> Result<(), Denied> {
    let object = Object { own: true, ..Object::new(kind, "") };
    if !kind.is_of_a_namespace() {
        return allows(who, verb, EVERYWHERE, &object);
    }
    let namespaces = who.grants.iter().map(|grant| grant.namespace.as_str()).chain([EVERYWHERE]);
    match namespaces.map(|namespace| allows(who, verb, namespace, &object)).find(Result::is_ok) {
        Some(ok) => ok,
        None => Err(Denied { verb, object, namespace: String::new(), needs: need(verb, kind, true) }),
    }
}

fn has_role(who: &Identity, namespace: &str, role: Role) -> bool {
    who.grants.iter().any(|grant| counts_in(grant, namespace) && grant.role >= role)
}

fn counts_in(grant: &Grant, namespace: &str) -> bool {
    is_mutant("no-authorisation") || grant.covers(namespace)
}

#[cfg(test)]
mod tests;
