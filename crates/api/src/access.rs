//! Namespaces, tokens, and who one is.

use crate::Quantity;
use crate::secret::{Secret, key_shown_once, shown_once};
use serde::{Deserialize, Serialize};
use taskyard_model::quantity::duration_ms;
use taskyard_model::{self as model, CredentialKind, Invalid, Role, access, limits};
use utoipa::ToSchema;

/// Life of a token when nothing else is asked.
const LIFE: &str = "30d";
/// The same for tokens to join with.
const JOIN_LIFE: &str = "1h";

/// A role in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Name of the namespace; `*` is all of them, and the cluster as a whole.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// `viewer`, `submitter`, `operator` or `admin`.
    pub role: String,
}

fn default_namespace() -> String {
    model::Namespace::DEFAULT.to_owned()
}

impl From<&model::Grant> for Grant {
    fn from(grant: &model::Grant) -> Self {
        Grant { namespace: grant.namespace.clone(), role: grant.role.name().to_owned() }
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Wall clock at its creation; missing for `default`, which always exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
}

/// State of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
    /// It was good for one certificate, which was made.
    Used,
}

impl TokenState {
    /// Its name in JSON and on the terminal.
    pub fn name(self) -> &'static str {
        match self {
            TokenState::Active => "active",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
            TokenState::Used => "used",
        }
    }
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id: the part of its text that is no secret.
    pub id: String,
    /// The user it authenticates.
    pub user: String,
    /// Kind of holder: `user`, `agent` or `server`.
    pub kind: String,
    /// Note, shown in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// Whether it is valid.
    pub state: TokenState,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Wall clock at its creation.
    pub created_at_ms: u64,
    /// Wall clock when it expires, as estimated at its creation; missing if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// For a join token: number of machines that may join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Number that have joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u32>,
}

/// Body of `POST /v1/tokens`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"user": "ada", "grants": [{"namespace": "team-a", "role": "submitter"}], "expires": "30d"}))]
pub struct CreateToken {
    /// The user it authenticates: 1 to 128 visible ASCII characters.
    pub user: String,
    /// Kind of holder: `user`, `agent` or `server`. Default: `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Note, shown in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its roles; none for agents and servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Lifetime, or `never`. Default: 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30d")]
    pub expires: Option<Quantity>,
    /// Create a join token, with which machines obtain certificates and nothing else. Its lifetime is 1h by
    /// default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub join: bool,
    /// With `join`: number of machines that may join, 1 to 1000. Default: 1. A failed join does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// A checked [`CreateToken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWish {
    /// What may hold it.
    pub kind: CredentialKind,
    /// What it may do.
    pub grants: Vec<model::Grant>,
    /// How long it is valid; missing if it does not expire.
    pub life_ms: Option<u64>,
    /// It is good for certificates alone.
    pub join: bool,
    /// For how many.
    pub uses: u32,
}

impl CreateToken {
    /// Checks everything that does not depend on the cluster.
    pub fn check(&self) -> Result<TokenWish, Invalid> {
        access::check_user("user", &self.user)?;
        let kind = self
            .kind
            .as_deref()
            .map_or(Ok(CredentialKind::User), |kind| CredentialKind::parse("kind", kind))?;
        if let Some(label) = &self.label
            && (label.chars().count() > limits::TOKEN_LABEL_CHARS_MAX || label.chars().any(char::is_control))
        {
            let remedy =
                format!("at most {} characters, without control characters", limits::TOKEN_LABEL_CHARS_MAX);
            return Err(Invalid::new("label", label, remedy));
        }
        let grant = |grant: &Grant| {
            Ok(model::Grant { namespace: grant.namespace.clone(), role: Role::parse("role", &grant.role)? })
        };
        let grants: Vec<model::Grant> = self.grants.iter().map(grant).collect::<Result<_, Invalid>>()?;
        access::check_grants(kind, &grants)?;
        if self.join && kind == CredentialKind::User {
            return Err(Invalid::new(
                "join",
                "true",
                "only agents and servers can join: set kind to one of these",
            ));
        }
        let most = limits::JOINS_PER_TOKEN_MAX;
        if let Some(uses) = self.uses.filter(|uses| !self.join || !(1..=most).contains(uses)) {
            let remedy = format!("1 to {most}, with join: how many machines may join with it");
            return Err(Invalid::new("uses", uses, remedy));
        }
        let life_ms = self.life_ms()?;
        Ok(TokenWish { kind, grants, life_ms, join: self.join, uses: self.uses.unwrap_or(1) })
    }

    /// How long it is valid; `None` if it does not expire.
    fn life_ms(&self) -> Result<Option<u64>, Invalid> {
        const DAY_MS: u64 = 86_400_000;
        let days = limits::TOKEN_LIFE_MS_MAX / DAY_MS;
        let or_never = if self.join { "" } else { ", or never" };
        let text = match self.expires.as_ref() {
            Some(life) => life.0.as_str(),
            None => {
                if self.join {
                    JOIN_LIFE
                } else {
                    LIFE
                }
            }
        };
        let bad = |why: &str| Invalid::new("expires", text, format!("{why}{or_never}"));
        match text {
            "never" if self.join => Err(bad("a join token must expire: write a lifetime, as in 1h")),
            "never" => Ok(None),
            _ => match duration_ms("expires", text) {
                Ok(0) => Err(bad("a lifetime is longer than zero: write one as in 30d")),
                Ok(ms) if ms > limits::TOKEN_LIFE_MS_MAX => {
                    Err(bad(&format!("a lifetime is at most {days}d")))
                }
                Ok(ms) => Ok(Some(ms)),
                // A bare number is told its units.
                Err(error) if text.parse::<u64>().is_ok() => Err(error),
                Err(_) => Err(bad(&format!("write a lifetime of at most {days}d, as in 12h or 30d"))),
            },
        }
    }
}

/// Answer to the creation of a token. The only place that shows its text.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// What is known of it.
    pub token: Token,
    /// Its text: what its holder sends.
    #[serde(with = "shown_once")]
    #[schema(value_type = String)]
    pub secret: Secret,
}

/// A key to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateRequest {
    /// What it is for: `agent` or `server`.
    pub kind: String,
    /// Name of the node, or random number of the server's data directory.
    pub name: String,
    /// The request (PKCS #10), as PEM. Only its key counts.
    pub request: String,
}

/// A signed key.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The certificate, as PEM.
    pub certificate: String,
    /// That of the authority, as PEM.
    pub authority: String,
    /// The authority's key, as PEM; for servers, which all sign certificates.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_shown_once")]
    #[schema(value_type = Option<String>)]
    pub authority_key: Option<Secret>,
}

/// The caller, as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The name.
    pub user: String,
    /// `user`, `agent` or `server`; `local` if the server requires no credentials.
    pub kind: String,
    /// The token that authenticated the caller, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// What it may do.
    pub grants: Vec<Grant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(change: impl FnOnce(&mut CreateToken)) -> Result<TokenWish, String> {
        let grants = vec![Grant { namespace: "team-a".into(), role: "viewer".into() }];
        let mut create = CreateToken { user: "ada".into(), grants, ..CreateToken::default() };
        change(&mut create);
        create.check().map_err(|e| e.field)
    }

    #[test]
    fn wishes_are_checked() {
        let good = wish(|_| {}).unwrap();
        assert_eq!((good.kind, good.life_ms), (CredentialKind::User, Some(30 * 86_400_000)));
        assert_eq!(wish(|c| c.expires = Some("never".into())).unwrap().life_ms, None);
        let agent = |c: &mut CreateToken| (c.kind, c.grants) = (Some("agent".into()), Vec::new());
        assert_eq!(wish(agent).unwrap().kind, CredentialKind::Agent);
        let bad = |field: &str| Err(field.to_owned());
        assert_eq!(wish(|c| c.user = "a b".into()), bad("user"));
        assert_eq!(wish(|c| c.kind = Some("robot".into())), bad("kind"));
        assert_eq!(wish(|c| c.kind = Some("agent".into())), bad("grants"));
        assert_eq!(wish(|c| c.grants.clear()), bad("grants"));
        assert_eq!(wish(|c| c.grants[0].role = "root".into()), bad("role"));
        assert_eq!(wish(|c| c.grants[0].namespace = "Team A".into()), bad("namespace"));
        let join = |c: &mut CreateToken| (agent(c), c.join = true).0;
        assert_eq!(wish(join).unwrap().life_ms, Some(3_600_000));
        assert_eq!(wish(|c| c.join = true), bad("join"));
        let many = |uses| wish(move |c| (join(c), c.uses = Some(uses)).1).map(|wish| wish.uses);
        assert_eq!([many(1), many(1_000)], [Ok(1), Ok(1_000)]);
        assert!(many(0).is_err() && many(1_001).is_err() && wish(|c| c.uses = Some(1)).is_err());
        assert_eq!(wish(|c| (join(c), c.expires = Some("never".into())).0), bad("expires"));
        assert_eq!(wish(|c| c.expires = Some("30".into())), bad("expires"));
        assert_eq!(wish(|c| c.expires = Some("4000d".into())), bad("expires"));
        let told = |expires: &str, join: bool| {
            let create = CreateToken {
                user: "ada".into(),
                grants: if join {
                    Vec::new()
                } else {
                    vec![Grant { namespace: "a".into(), role: "viewer".into() }]
                },
                kind: join.then(|| "agent".into()),
                expires: Some(expires.into()),
                join,
                ..CreateToken::default()
            };
            create.check().unwrap_err().to_string()
        };
        assert_eq!(told("4000d", false), "expires: \"4000d\": a lifetime is at most 3650d, or never");
        assert!(
            told("0s", false).contains("longer than zero") && told("30", false).contains("30m (30 minutes)")
        );
        assert!(told("soon", false).ends_with("as in 12h or 30d, or never"));
        assert_eq!(
            told("soon", true),
            "expires: \"soon\": write a lifetime of at most 3650d, as in 12h or 30d"
        );
        assert_eq!(wish(|c| c.label = Some("a\nb".into())), bad("label"));
    }
}
