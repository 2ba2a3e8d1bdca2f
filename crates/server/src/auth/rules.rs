//! The rules: who may do what to which object, in one pure function. Everything else in this module finds out who asks and about what.

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
pub(crate) enum Kind {
    /// Whether the process is well: for whoever watches over it.
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

impl Kind {
    #[cfg(test)]
    pub(crate) const ALL: [Kind; 21] = [
        Kind::Health,
        Kind::Document,
        Kind::Myself,
        Kind::Job,
        Kind::Log,
        Kind::Event,
        Kind::Namespace,
        Kind::Node,
        Kind::Queue,
        Kind::Pool,
        Kind::Share,
        Kind::Usage,
        Kind::Retention,
        Kind::Cluster,
        Kind::Metrics,
        Kind::Token,
        Kind::Server,
        Kind::Backup,
        Kind::Session,
        Kind::Peer,
        Kind::Certificate,
    ];

    /// Its name in the audit and in refusals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Health => "health",
            Kind::Document => "document",
            Kind::Myself => "myself",
            Kind::Job => "job",
            Kind::Log => "log",
            Kind::Event => "event",
            Kind::Namespace => "namespace",
            Kind::Node => "node",
            Kind::Queue => "queue",
            Kind::Pool => "pool",
            Kind::Share => "share",
            Kind::Usage => "usage",
            Kind::Retention => "retention",
            Kind::Cluster => "cluster",
            Kind::Metrics => "metrics",
            Kind::Token => "token",
            Kind::Server => "server",
            Kind::Backup => "backup",
            Kind::Session => "session",
            Kind::Peer => "peer",
            Kind::Certificate => "certificate",
        }
    }

    /// Whether it lies in a namespace; all else is of the cluster as a whole.
    pub(crate) fn is_of_a_namespace(self) -> bool {
        matches!(self, Kind::Job | Kind::Log | Kind::Event)
    }
}

/// One thing, or all of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    /// Its name or number; empty for all of the kind.
    pub(crate) name: String,
    /// Whether it is the caller's own.
    pub(crate) own: bool,
}

impl Object {
    /// Something that is not the caller's own.
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Object {
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
                Kind::Job
                | Kind::Log
                | Kind::Event
                | Kind::Namespace
                | Kind::Node
                | Kind::Queue
                | Kind::Pool
                | Kind::Share
                | Kind::Server
                | Kind::Backup
                | Kind::Token,
            ) => {
                write!(f, "{name}s")
            }
            (true, _) => f.write_str(name),
        }
    }
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
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
    /// Nobody may: there is no such act.
    Never,
}

/// The table of the rules. `own` says whether the object is the caller's.
pub(crate) fn need(verb: Verb, kind: Kind, own: bool) -> Need {
    match (verb, kind) {
        (Verb::View, Kind::Health) => Need::Nothing,
        // Lists of these hold what the caller may see.
        (Verb::View, Kind::Document | Kind::Myself | Kind::Namespace) => Need::User,
        (Verb::View | Verb::Revoke, Kind::Token) if own => Need::User,
        (Verb::View, Kind::Share | Kind::Usage) if own => Need::User,
        (Verb::View, Kind::Job | Kind::Log | Kind::Event) => Need::Role(Role::Viewer),
        // Whoever has work wants to know where it may run.
        (Verb::View, Kind::Node | Kind::Queue | Kind::Pool) => Need::SomewhereRole(Role::Viewer),
        (
            Verb::View,
            Kind::Share | Kind::Usage | Kind::Retention | Kind::Cluster | Kind::Server | Kind::Metrics,
        ) => Need::Role(Role::Viewer),
        (Verb::Submit | Verb::Retry, Kind::Job) => Need::Role(Role::Submitter),
        (Verb::Cancel | Verb::Hold | Verb::Release | Verb::Update, Kind::Job) => {
            Need::Role(if own { Role::Submitter } else { Role::Operator })
        }
        (Verb::Drain | Verb::Resume | Verb::Set, Kind::Node) => Need::Role(Role::Operator),
        (Verb::Set | Verb::Remove, Kind::Queue | Kind::Pool) | (Verb::Set, Kind::Share) => {
            Need::Role(Role::Operator)
        }
        // It takes a credential away.
        (Verb::Remove, Kind::Node) => Need::Role(Role::Admin),
        (Verb::View | Verb::Create | Verb::Verify, Kind::Backup) => Need::Role(Role::Admin),
        // It decides what becomes of everybody's results.
        (Verb::Set, Kind::Retention) => Need::Role(Role::Admin),
        (Verb::Update | Verb::Remove | Verb::Transfer, Kind::Server) => Need::Role(Role::Admin),
        // A new server asks for itself.
        (Verb::Create, Kind::Server) | (Verb::Connect, Kind::Peer) => {
            Need::Credential(CredentialKind::Server)
        }
        (Verb::Create, Kind::Namespace) => Need::Role(Role::Admin),
        (Verb::Create | Verb::View | Verb::Revoke, Kind::Token) => Need::Role(Role::Admin),
        (Verb::Connect, Kind::Session) => Need::Credential(CredentialKind::Agent),
        (Verb::Create, Kind::Certificate) => Need::Joining,
        _ => Need::Never,
    }
}

/// A refusal, for people and for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) verb: Verb,
    pub(crate) object: Object,
    pub(crate) namespace: String,
    pub(crate) needs: Need,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "you may not {} {}: that needs ", self.verb.name(), self.object)?;
        match (self.needs, self.namespace.as_str()) {
            (Need::Role(role), EVERYWHERE) => write!(f, "the role {role} in every namespace (*)"),
            (Need::Role(role), "") | (Need::SomewhereRole(role), _) => {
                write!(f, "the role {role} in a namespace")
            }
            (Need::Role(role), namespace) => write!(f, "the role {role} in the namespace {namespace}"),
            (Need::Credential(kind), _) => write!(f, "the credential of an {}", kind.name()),
            (Need::Joining, _) => f.write_str("a token that was made with --join"),
            (Need::Nothing | Need::User | Need::Never, _) => f.write_str("the credential of a user"),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        let error = ApiError::new(ErrorCode::Denied, denied.to_string());
        error.remedy(
            "`taskyard whoami` says what you may; an administrator can create a token that grants more",
        )
    }
}

/// Whether `who` may do `verb` to `object`, which lies in `namespace` (or [`EVERYWHERE`]).
pub(crate) fn allows(who: &Identity, verb: Verb, namespace: &str, object: &Object) -> Result<(), Denied> {
    let needs = need(verb, object.kind, object.own);
    let fits = match (needs, who.who) {
        (Need::Nothing, _) => true,
        (Need::Never, _) => false,
        (_, Who::Local) => true,
        (Need::Joining, Who::Joining(_)) => true,
        (Need::Joining, Who::Holder(kind)) => kind == CredentialKind::Agent && who.token.is_none(),
        (_, Who::Joining(_)) => false,
        (Need::User, Who::Holder(kind)) => kind == CredentialKind::User,
        (Need::Role(role), Who::Holder(kind)) => {
            kind == CredentialKind::User && has_role(who, namespace, role)
        }
        (Need::SomewhereRole(role), Who::Holder(kind)) => {
            kind == CredentialKind::User && who.grants.iter().any(|grant| grant.role >= role)
        }
        (Need::Credential(needed), Who::Holder(kind)) => kind == needed,
    };
    match fits {
        true => Ok(()),
        false => Err(Denied { verb, object: object.clone(), namespace: namespace.to_owned(), needs }),
    }
}

/// Whether there may be an object of the kind to which `who` may do it. Where the object is known only later, this comes first: who can do
/// nothing of the kind is refused before anything is read.
pub(crate) fn allows_somewhere(who: &Identity, verb: Verb, kind: Kind) -> Result<(), Denied> {
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
mod tests {
    use super::*;

    fn user(grants: &[(&str, Role)]) -> Identity {
        let grants =
            grants.iter().map(|&(namespace, role)| Grant { namespace: namespace.into(), role }).collect();
        Identity { grants, ..Identity::test(Who::Holder(CredentialKind::User)) }
    }

    /// The least role that may, in the object's namespace, for another's object and for one's own.
    fn least(verb: Verb, kind: Kind) -> [Option<Role>; 2] {
        [false, true].map(|own| match need(verb, kind, own) {
            Need::Role(role) | Need::SomewhereRole(role) => Some(role),
            _ => None,
        })
    }

    #[test]
    fn the_table_is_what_the_guide_says() {
        use Role::{Admin, Operator, Submitter, Viewer};
        let mut rows = Vec::new();
        for verb in Verb::ALL {
            for kind in Kind::ALL {
                if let [Some(others), Some(own)] = least(verb, kind) {
                    rows.push((verb.name(), kind.name(), others, own));
                }
            }
        }
        let expected = [
            ("view", "job", Viewer, Viewer),
            ("view", "log", Viewer, Viewer),
            ("view", "event", Viewer, Viewer),
            ("view", "node", Viewer, Viewer),
            ("view", "queue", Viewer, Viewer),
            ("view", "pool", Viewer, Viewer),
            ("view", "retention", Viewer, Viewer),
            ("view", "cluster", Viewer, Viewer),
            ("view", "metrics", Viewer, Viewer),
            ("view", "server", Viewer, Viewer),
            ("view", "backup", Admin, Admin),
            ("submit", "job", Submitter, Submitter),
            ("retry", "job", Submitter, Submitter),
            ("cancel", "job", Operator, Submitter),
            ("hold", "job", Operator, Submitter),
            ("release", "job", Operator, Submitter),
            ("update", "job", Operator, Submitter),
            ("update", "server", Admin, Admin),
            ("drain", "node", Operator, Operator),
            ("resume", "node", Operator, Operator),
            ("set", "node", Operator, Operator),
            ("set", "queue", Operator, Operator),
            ("set", "pool", Operator, Operator),
            ("set", "share", Operator, Operator),
            ("set", "retention", Admin, Admin),
            ("create", "namespace", Admin, Admin),
            ("create", "token", Admin, Admin),
            ("create", "backup", Admin, Admin),
            ("remove", "node", Admin, Admin),
            ("remove", "queue", Operator, Operator),
            ("remove", "pool", Operator, Operator),
            ("remove", "server", Admin, Admin),
            ("transfer", "server", Admin, Admin),
            ("verify", "backup", Admin, Admin),
        ];
        assert_eq!(rows, expected);
        assert_eq!(least(Verb::Revoke, Kind::Token), [Some(Admin), None], "one's own needs no role");
        assert_eq!(need(Verb::Revoke, Kind::Token, true), Need::User);
        for kind in [Kind::Share, Kind::Usage] {
            assert_eq!(need(Verb::View, kind, false), Need::Role(Viewer));
            assert_eq!(need(Verb::View, kind, true), Need::User);
        }
    }

    #[test]
    fn a_role_counts_in_its_namespace() {
        let job = |own| Object { own, ..Object::new(Kind::Job, "7") };
        let check = |grants: &[(&str, Role)], verb, namespace: &str, own, may: bool| {
            let result = allows(&user(grants), verb, namespace, &job(own));
            assert_eq!(result.is_ok(), may, "{grants:?} {verb:?} {namespace} {own}");
        };
        use Role::{Admin, Operator, Submitter, Viewer};
        check(&[("a", Viewer)], Verb::View, "a", false, true);
        check(&[("a", Admin)], Verb::View, "b", false, false);
        check(&[("a", Admin), ("b", Viewer)], Verb::Cancel, "b", true, false);
        check(&[("*", Viewer)], Verb::View, "b", false, true);
        check(&[("a", Submitter)], Verb::Cancel, "a", true, true);
        check(&[("a", Submitter)], Verb::Cancel, "a", false, false);
        check(&[("a", Operator)], Verb::Cancel, "a", false, true);
        check(&[], Verb::View, "a", true, false);
        let node = Object::new(Kind::Node, "n1");
        assert!(allows(&user(&[("a", Submitter)]), Verb::View, EVERYWHERE, &node).is_ok());
        assert!(allows(&user(&[]), Verb::View, EVERYWHERE, &node).is_err());
        assert!(allows(&user(&[("a", Admin)]), Verb::Drain, EVERYWHERE, &node).is_err());
        assert!(allows(&user(&[("*", Operator)]), Verb::Drain, EVERYWHERE, &node).is_ok());
    }

    #[test]
    fn no_kind_of_credential_does_the_work_of_another() {
        let mut cells = 0;
        for verb in Verb::ALL {
            for kind in Kind::ALL {
                let object = Object { own: true, ..Object::new(kind, "") };
                let may = |who: &Identity| allows(who, verb, EVERYWHERE, &object).is_ok();
                let agent = may(&Identity::test(Who::Holder(CredentialKind::Agent)));
                let joining = may(&Identity::test(Who::Joining(CredentialKind::Server)));
                assert_eq!(
                    joining,
                    (verb, kind) == (Verb::Create, Kind::Certificate)
                        || (verb, kind) == (Verb::View, Kind::Health)
                );
                let server = may(&Identity::test(Who::Holder(CredentialKind::Server)));
                assert_eq!(
                    agent,
                    kind == Kind::Session && verb == Verb::Connect
                        || (verb, kind) == (Verb::View, Kind::Health)
                        || (verb, kind) == (Verb::Create, Kind::Certificate)
                );
                let of_servers =
                    [(Verb::View, Kind::Health), (Verb::Create, Kind::Server), (Verb::Connect, Kind::Peer)];
                assert_eq!(server, of_servers.contains(&(verb, kind)), "{verb:?} {kind:?}");
                assert!(!may(&user(&[("*", Role::Admin)])) || kind != Kind::Session);
                cells += 4;
            }
        }
        assert_eq!(cells, 16 * 21 * 4);
    }

    #[test]
    fn refusals_name_verb_object_and_role() {
        let object = Object::new(Kind::Job, "7");
        let denied = allows(&user(&[("a", Role::Viewer)]), Verb::Cancel, "a", &object).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "you may not cancel job 7: that needs the role operator in the namespace a"
        );
        let denied = allows_somewhere(&user(&[("a", Role::Viewer)]), Verb::Submit, Kind::Job).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "you may not submit jobs: that needs the role submitter in a namespace"
        );
        let session = Object::new(Kind::Session, "");
        let denied = allows(&user(&[("*", Role::Admin)]), Verb::Connect, EVERYWHERE, &session).unwrap_err();
        assert_eq!(denied.to_string(), "you may not connect session: that needs the credential of an agent");
    }
}
