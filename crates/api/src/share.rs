//! Shares: the weights of accounts and users, and what they have used of their due.

use crate::Quantity;
use crate::act::positive_duration;
use serde::{Deserialize, Serialize};
use taskyard_model::access::check_user;
use taskyard_model::{Invalid, limits, party, validate};
use utoipa::ToSchema;

/// The word for work that names no account.
pub const NO_ACCOUNT: &str = "none";

/// Answer of `GET` and `PUT /v1/shares`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shares {
    /// Past usage counts half after this time, a quarter after twice this time, and so on.
    pub half_life_ms: u64,
    /// Accounts, each followed by its users. Without permission to see others, only your own.
    pub items: Vec<Share>,
}

/// An account, or a user on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The account; missing for jobs that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The user; missing for the account as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The weight among accounts, or among the users of the account.
    pub weight: u32,
    /// Due share of all usage, by weight, in millionths.
    pub due_ppm: u32,
    /// Share of recent and running usage, in millionths.
    pub used_ppm: u32,
    /// Decayed average of what ran, in thousandths of a core. A task counts as the largest of its cores, its memory
    /// at 4 GiB per core, and its GPUs at 8 cores each.
    pub recent_milli: u64,
    /// What runs now, in the same unit.
    pub running_milli: u64,
    /// Part of the fair-share points that a user gets under `multi-factor`, in thousandths: 1000 without usage, 500
    /// at the due share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor_milli: Option<u32>,
    /// For an account: the users who may charge it; missing if every submitter may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
}

/// Body of `PUT /v1/shares`: the weight of an account or of a user on it, who may charge an account, the half-life,
/// or several of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShareSettings {
    /// The account whose weight, or whose user's weight, is set; `none` stands for jobs that name no account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The user on that account. Default: the account as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The weight: 1 to 1000000; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Past usage counts half after this time: 1m to 10 years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub half_life: Option<Quantity>,
    /// Users to allow to charge the account. After the first grant, only named users may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant: Vec<String>,
    /// Users to no longer allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoke: Vec<String>,
    /// Whether every submitter may charge the account; if false, only the named users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub everyone: Option<bool>,
}

/// Checked [`ShareSettings`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareChange {
    /// Account (empty for none), user and weight.
    pub weight: Option<(String, Option<String>, u32)>,
    /// In milliseconds.
    pub half_life_ms: Option<u64>,
    /// Who may charge which account.
    pub access: Option<AccountAccess>,
}

/// A change of who may charge an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountAccess {
    /// The account.
    pub account: String,
    /// Whether everybody may.
    pub everyone: Option<bool>,
    /// Who may from now on.
    pub grant: Vec<String>,
    /// Who may no longer.
    pub revoke: Vec<String>,
}

impl ShareSettings {
    /// Checks them.
    pub fn check(&self) -> Result<ShareChange, Invalid> {
        if *self == ShareSettings::default() {
            return Err(Invalid::new(
                "share",
                "",
                "name what to set: an account with its weight or its users, or half_life",
            ));
        }
        let half_life_ms = self.half_life.as_ref().map(half_life).transpose()?;
        let access = self.access()?;
        let weight = match (&self.account, self.weight) {
            (Some(account), Some(weight)) => Some((self.party(account)?, self.user.clone(), weight)),
            (Some(_), None) if access.is_some() && self.user.is_none() => None,
            (Some(account), None) => {
                return Err(Invalid::new("weight", "", format!("give the weight of account {account}")));
            }
            (None, Some(_)) => {
                let remedy = format!("name an account, or {NO_ACCOUNT} for jobs that name none");
                return Err(Invalid::new("account", "", remedy));
            }
            (None, None) => None,
        };
        if let Some((_, _, weight)) = weight {
            party::check_weight(weight)?;
        } else if let Some(user) = &self.user {
            return Err(Invalid::new("user", user, "name the account and the weight"));
        }
        Ok(ShareChange { weight, half_life_ms, access })
    }

    fn access(&self) -> Result<Option<AccountAccess>, Invalid> {
        let &ShareSettings { ref grant, ref revoke, everyone, .. } = self;
        if grant.is_empty() && revoke.is_empty() && everyone.is_none() {
            return Ok(None);
        }
        let account = match self.account.as_deref() {
            None => return Err(Invalid::new("account", "", "name the account that they may charge")),
            Some(NO_ACCOUNT) => {
                let remedy = "every submitter may charge jobs without an account; name an account";
                return Err(Invalid::new("account", NO_ACCOUNT, remedy));
            }
            Some(account) => account,
        };
        validate::name("account", account)?;
        if everyone == Some(true) && !(grant.is_empty() && revoke.is_empty()) {
            return Err(Invalid::new(
                "everyone",
                true,
                "choose one: all submitters may charge it, or only the named users",
            ));
        }
        for (field, users) in [("grant", grant), ("revoke", revoke)] {
            users.iter().try_for_each(|user| check_user(field, user))?;
        }
        let (account, grant, revoke) = (account.to_owned(), grant.clone(), revoke.clone());
        Ok(Some(AccountAccess { account, everyone, grant, revoke }))
    }

    fn party(&self, account: &str) -> Result<String, Invalid> {
        self.user.as_deref().map_or(Ok(()), |user| check_user("user", user))?;
        if account == NO_ACCOUNT {
            return Ok(String::new());
        }
        validate::name("account", account)?;
        Ok(account.to_owned())
    }
}

fn half_life(text: &Quantity) -> Result<u64, Invalid> {
    let ms = positive_duration("half_life", &text.0)?;
    if !(limits::HALF_LIFE_MS_MIN..=limits::HALF_LIFE_MS_MAX).contains(&ms) {
        return Err(Invalid::new("half_life", &text.0, "between 1m and 3650d"));
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<ShareChange, Invalid> {
        crate::body::parse::<ShareSettings>(json.as_bytes())?.check()
    }

    #[test]
    fn settings_are_checked_by_field() {
        let weight =
            |account: &str, user: Option<&str>, n| Some((account.to_owned(), user.map(str::to_owned), n));
        assert_eq!(
            check(r#"{"account": "physics", "weight": 3}"#).unwrap().weight,
            weight("physics", None, 3)
        );
        let of_user = check(r#"{"account": "none", "user": "ada", "weight": 7}"#).unwrap();
        assert_eq!(of_user.weight, weight("", Some("ada"), 7));
        assert_eq!(check(r#"{"half_life": "2d"}"#).unwrap().half_life_ms, Some(172_800_000));
        for (json, field, remedy) in [
            ("{}", "share", "name what to set"),
            (r#"{"account": "a"}"#, "weight", "give the weight"),
            (r#"{"weight": 5}"#, "account", "for jobs that name none"),
            (r#"{"user": "ada", "half_life": "1d"}"#, "user", "the account and the weight"),
            (r#"{"account": "a", "weight": 0}"#, "weight", "between 1 and"),
            (r#"{"account": "a", "user": "", "weight": 1}"#, "user", "1 to"),
            (r#"{"account": "A B", "weight": 1}"#, "account", "a-z"),
            (r#"{"half_life": "7"}"#, "half_life", "7s (7 seconds)"),
            (r#"{"half_life": "1s"}"#, "half_life", "between 1m"),
        ] {
            let error = check(json).unwrap_err();
            assert!(error.field == field && error.remedy.contains(remedy), "{json}: {error}");
        }
    }
}
