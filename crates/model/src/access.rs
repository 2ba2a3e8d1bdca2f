//! Who may do what: namespaces, roles, and what a token grants. The rules themselves are the server's; these are the words.

use crate::{Invalid, limits, validate};
use minicbor::{Decode, Decoder, Encode, Encoder, data::Type};
use std::fmt;

/// Every namespace, in a grant.
pub const EVERYWHERE: &str = "*";

/// Part of the cluster's work that is seen and changed by those who were granted a role in it. `default` is always there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// The one of jobs that name none.
    pub const DEFAULT: &'static str = "default";

    /// Checks a name.
    pub fn parse(field: &str, name: &str) -> Result<Namespace, Invalid> {
        validate::name(field, name)?;
        Ok(Namespace(name.to_owned()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one of jobs that name none.
    pub fn is_default(&self) -> bool {
        self.0 == Namespace::DEFAULT
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Namespace(Namespace::DEFAULT.to_owned())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// The default is encoded as nothing: it costs a job no byte, and jobs from before there were namespaces are in it.
impl<C> Encode<C> for Namespace {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        if self.is_default() { e.null()?.ok() } else { e.str(&self.0)?.ok() }
    }

    fn is_nil(&self) -> bool {
        self.is_default()
    }
}

impl<'b, C> Decode<'b, C> for Namespace {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(Namespace::default());
        }
        d.str().map(|name| Namespace(name.to_owned()))
    }

    fn nil() -> Option<Self> {
        Some(Namespace::default())
    }
}

/// What somebody may do in a namespace. Each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Sees jobs, their output and events.
    #[n(0)]
    Viewer,
    /// Submits jobs, and controls those of their own.
    #[n(1)]
    Submitter,
    /// Controls every job; in [`EVERYWHERE`], nodes and queues.
    #[n(2)]
    Operator,
    /// In [`EVERYWHERE`]: namespaces and tokens.
    #[n(3)]
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Submitter, Role::Operator, Role::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Submitter => "submitter",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<Role, Invalid> {
        let known = || Invalid::new(field, text, "roles are viewer, submitter, operator and admin");
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(known)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What holds a credential. None can be used in place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum CredentialKind {
    /// A person or a program in the name of one: the API, as far as its grants go.
    #[n(0)]
    User,
    /// An agent: its session, and nothing else.
    #[n(1)]
    Agent,
    /// A server: what servers say to each other, and nothing else.
    #[n(2)]
    Server,
}

impl CredentialKind {
    /// All of them.
    pub const ALL: [CredentialKind; 3] =
        [CredentialKind::User, CredentialKind::Agent, CredentialKind::Server];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            CredentialKind::User => "user",
            CredentialKind::Agent => "agent",
            CredentialKind::Server => "server",
        }
    }

    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<CredentialKind, Invalid> {
        let known = || Invalid::new(field, text, "a token is for a user, an agent or a server");
        CredentialKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(known)
    }
}

/// A role in a namespace, or in all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Grant {
    /// Name of the namespace, or [`EVERYWHERE`].
    #[n(0)]
    pub namespace: String,
    /// The role there.
    #[n(1)]
    pub role: Role,
}

impl Grant {
    /// Whether it says something about this namespace.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespace == EVERYWHERE || self.namespace == namespace
    }
}

/// Checks what a token shall grant, and to whom.
pub fn check_grants(kind: CredentialKind, grants: &[Grant]) -> Result<(), Invalid> {
    if kind != CredentialKind::User {
        return match grants.first() {
            Some(grant) => {
                let article = if kind == CredentialKind::Agent { "an" } else { "a" };
                let remedy = format!("a token for {article} {} has no role: leave it out", kind.name());
                Err(Invalid::new("grants", grant.role, remedy))
            }
            None => Ok(()),
        };
    }
    if grants.is_empty() {
        let roles = Role::ALL.map(Role::name).join(", ");
        return Err(Invalid::new("grants", "", format!("a user's token needs a role: one of {roles}")));
    }
    if grants.len() > limits::GRANTS_PER_TOKEN_MAX {
        let remedy = format!("a role in at most {} namespaces", limits::GRANTS_PER_TOKEN_MAX);
        return Err(Invalid::new("grants", format!("{} grants", grants.len()), remedy));
    }
    for grant in grants.iter().filter(|grant| grant.namespace != EVERYWHERE) {
        validate::name("namespace", &grant.namespace)?;
    }
    Ok(())
}

/// Words that stand for something else wherever a user is named: every one, the caller, the sum, no account.
const RESERVED_USERS: [&str; 4] = [EVERYWHERE, "me", "all", "none"];

/// Checks the name of a user: 1 to 128 visible ASCII characters. The space is what cannot occur in it.
pub fn check_user(field: &str, name: &str) -> Result<(), Invalid> {
    let most = limits::NAME_CHARS_MAX;
    if name.is_empty() || name.len() > most || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Invalid::new(
            field,
            name,
            format!("1 to {most} visible ASCII characters without spaces"),
        ));
    }
    if RESERVED_USERS.contains(&name) {
        let remedy =
            format!("no user can have this name: {} have meanings of their own", RESERVED_USERS.join(", "));
        return Err(Invalid::new(field, name, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_namespace_costs_nothing_and_reads_from_nothing() {
        #[derive(Debug, PartialEq, Encode, Decode)]
        struct New {
            #[n(0)]
            a: u8,
            #[n(7)]
            namespace: Namespace,
        }
        #[derive(Encode)]
        struct Old {
            #[n(0)]
            a: u8,
        }
        let old = minicbor::to_vec(Old { a: 1 }).unwrap();
        let new = New { a: 1, namespace: Namespace::default() };
        assert_eq!(minicbor::to_vec(&new).unwrap(), old);
        assert_eq!(minicbor::decode::<New>(&old).unwrap(), new);
        let other = New { a: 1, namespace: Namespace::parse("n", "team-a").unwrap() };
        assert_eq!(minicbor::decode::<New>(&minicbor::to_vec(&other).unwrap()).unwrap(), other);
    }

    #[test]
    fn roles_are_ordered_and_named() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(Role::parse("role", role.name()), Ok(role));
        }
        assert!(Role::parse("role", "root").unwrap_err().remedy.contains("operator"));
    }

    #[test]
    fn no_user_has_the_name_of_something_else() {
        for name in ["ada", "ada@example.org", "mel", "allison"] {
            assert!(check_user("user", name).is_ok(), "{name}");
        }
        for name in ["*", "me", "all", "none", "", "a b"] {
            assert!(check_user("user", name).is_err(), "{name}");
        }
    }

    #[test]
    fn grants_are_checked() {
        let grant = |namespace: &str| Grant { namespace: namespace.into(), role: Role::Viewer };
        assert!(check_grants(CredentialKind::User, &[grant("*"), grant("team-a")]).is_ok());
        assert!(check_grants(CredentialKind::Agent, &[]).is_ok());
        let without = check_grants(CredentialKind::User, &[]).unwrap_err();
        assert!(without.to_string().contains("viewer, submitter, operator, admin"), "{without}");
        assert!(check_grants(CredentialKind::User, &[grant("Team A")]).is_err());
        assert!(check_grants(CredentialKind::Server, &[grant("*")]).is_err());
        assert!(
            check_grants(CredentialKind::User, &vec![grant("a"); limits::GRANTS_PER_TOKEN_MAX + 1]).is_err()
        );
    }
}
