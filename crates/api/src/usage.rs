//! Usage: what users, accounts and queues took, and what they made of it.

use crate::begin::SubmittedSince;
use serde::{Deserialize, Serialize};
use taskyard_model::Invalid;
use utoipa::{IntoParams, ToSchema};

/// How far back when nothing else is asked.
pub const SINCE: &str = "7d";

/// What usage is summed up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// The user who submitted the job.
    #[default]
    User,
    /// The account that the job names.
    Account,
    /// The queue.
    Queue,
}

impl UsageBy {
    const NAMES: [(&'static str, UsageBy); 3] =
        [("user", UsageBy::User), ("account", UsageBy::Account), ("queue", UsageBy::Queue)];

    /// What a name means.
    pub fn parse(field: &str, text: &str) -> Result<UsageBy, Invalid> {
        let known = UsageBy::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, by)| *by).ok_or_else(|| Invalid::new(field, text, "one of user, account, queue"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        UsageBy::NAMES[self as usize].0
    }
}

/// Query of `GET /v1/usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct UsageQuery {
    /// Summed up by `user` (the default), `account` or `queue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From the day (in UTC) that contains this: a duration ago, as in `7d` (the default), or an instant with its
    /// zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl UsageQuery {
    /// Checks both.
    pub fn check(&self) -> Result<(UsageBy, SubmittedSince), Invalid> {
        let by = self.by.as_deref().map_or(Ok(UsageBy::default()), |text| UsageBy::parse("by", text))?;
        Ok((by, SubmittedSince::parse("since", self.since.as_deref().unwrap_or(SINCE))?))
    }
}

/// Answer of `GET /v1/usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// What it is summed up by.
    pub by: UsageBy,
    /// Start of the period, at the beginning of a day in UTC. Later than requested if older days have been
    /// forgotten.
    pub from_at_ms: u64,
    /// End of the period.
    pub to_at_ms: u64,
    /// Without permission to see others, only your own.
    pub items: Vec<UsageRow>,
    /// All of them together.
    pub total: Usage,
}

/// The usage of one user, account or queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageRow {
    /// The user, account or queue; missing for jobs that name no account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it took.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What was allocated, and what was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Cores that were allocated, over time: 3600000 is one core for an hour.
    pub cpu_allocated_ms: u64,
    /// GPUs, likewise.
    pub gpu_allocated_ms: u64,
    /// MiB of memory, likewise; each task's is rounded up to MiB.
    pub memory_allocated_mib_ms: u64,
    /// CPU time, user and system, of attempts that ended.
    pub cpu_used_ms: u64,
    /// CPU time divided by run time times cores of these attempts, in thousandths; missing if none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efficiency_milli: Option<u64>,
    /// Tasks whose first attempt started.
    pub tasks_started: u64,
    /// Their mean wait until the first start; missing if none started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_wait_ms: Option<u64>,
    /// Tasks that ended, except those that ended before any attempt.
    pub tasks_ended: u64,
    /// Of these, the ones that failed.
    pub tasks_failed: u64,
    /// Tasks that run now.
    pub tasks_running: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_checked_by_field() {
        let query = |by: Option<&str>, since: Option<&str>| {
            UsageQuery { by: by.map(str::to_owned), since: since.map(str::to_owned) }.check()
        };
        assert_eq!(query(None, None), Ok((UsageBy::User, SubmittedSince::Ago(7 * 86_400_000))));
        assert_eq!(query(Some("queue"), Some("1h")), Ok((UsageBy::Queue, SubmittedSince::Ago(3_600_000))));
        assert_eq!(query(Some("job"), None).unwrap_err().field, "by");
        assert_eq!(query(None, Some("7")).unwrap_err().field, "since");
        for (name, by) in UsageBy::NAMES {
            assert_eq!(by.name(), name);
        }
    }
}
