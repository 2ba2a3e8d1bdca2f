//! How long finished jobs are kept.

use crate::Quantity;
use crate::act::positive_duration;
use serde::{Deserialize, Serialize};
use taskyard_model::{Invalid, Retention, quantity};
use utoipa::ToSchema;

/// Answer of `GET` and `PUT /v1/retention`: the rule, and what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionStatus {
    /// How long after its end a finished job is forgotten.
    pub keep_ms: u64,
    /// Maximum number of finished jobs; the first to end is dropped first.
    pub max_jobs: u64,
    /// Maximum number of tasks of finished jobs, likewise.
    pub max_tasks: u64,
    /// Maximum size of the inputs of finished jobs, likewise. They are on the servers' disks.
    pub max_bytes: u64,
    /// Maximum size of the state in a server's memory; submits beyond it are refused.
    pub state_bytes_max: u64,
    /// Finished jobs that are kept now.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// Size of their inputs, in bytes.
    pub bytes: u64,
    /// Approximate size of the state in memory, in bytes.
    pub state_bytes: u64,
    /// Wall clock at the end of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_end_at_ms: Option<u64>,
}

/// Body of `PUT /v1/retention`. Omitted settings stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// How long after its end a finished job is forgotten: 1m to 10 years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub keep: Option<Quantity>,
    /// Maximum number of finished jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u64>,
    /// Maximum number of tasks of finished jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tasks: Option<u64>,
    /// Maximum size of the inputs of finished jobs: arguments, scripts, environments, lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1GiB")]
    pub max_bytes: Option<Quantity>,
    /// Maximum size of the state in a server's memory; submits beyond it are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2GiB")]
    pub state_bytes: Option<Quantity>,
}

/// Checked [`RetentionSettings`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// In milliseconds.
    pub keep_ms: Option<u64>,
    /// Jobs.
    pub max_jobs: Option<u64>,
    /// Tasks.
    pub max_tasks: Option<u64>,
    /// Bytes of inputs.
    pub max_bytes: Option<u64>,
    /// Bytes of the state.
    pub state_bytes: Option<u64>,
}

impl RetentionSettings {
    /// Checks them.
    pub fn check(&self) -> Result<Keeping, Invalid> {
        if *self == RetentionSettings::default() {
            return Err(Invalid::new(
                "retention",
                "",
                "name a setting to change: keep, max_jobs, max_tasks, max_bytes or state_bytes",
            ));
        }
        let keep_ms = self.keep.as_ref().map(|q| positive_duration("keep", &q.0)).transpose()?;
        let size = |field, value: &Option<Quantity>| {
            value.as_ref().map(|quantity| quantity::size_bytes(field, &quantity.0)).transpose()
        };
        let max_bytes = size("max_bytes", &self.max_bytes)?;
        let state_bytes = size("state_bytes", &self.state_bytes)?;
        let base = Retention::default();
        let whole = Retention {
            keep_ms: keep_ms.unwrap_or(base.keep_ms),
            max_jobs: self.max_jobs.unwrap_or(base.max_jobs),
            max_tasks: self.max_tasks.unwrap_or(base.max_tasks),
            max_bytes: max_bytes.unwrap_or(base.max_bytes),
            state_bytes: state_bytes.unwrap_or(base.state_bytes),
        };
        whole.check()?;
        Ok(Keeping { keep_ms, max_jobs: self.max_jobs, max_tasks: self.max_tasks, max_bytes, state_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_field() {
        let keep = |text: &str| RetentionSettings { keep: Some(text.into()), ..RetentionSettings::default() };
        assert_eq!(keep("2d").check().unwrap(), Keeping { keep_ms: Some(172_800_000), ..Keeping::default() });
        for (settings, field, remedy) in [
            (keep("10s"), "keep", "between 1m and"),
            (keep("7"), "keep", "7s (7 seconds)"),
            (
                RetentionSettings { max_jobs: Some(0), ..RetentionSettings::default() },
                "max_jobs",
                "between 1 and 1000000",
            ),
            (
                RetentionSettings { state_bytes: Some("1MiB".into()), ..RetentionSettings::default() },
                "state_bytes",
                "between 16MiB and",
            ),
            (RetentionSettings::default(), "retention", "name a setting to change"),
        ] {
            let error = settings.check().unwrap_err();
            assert!(error.field == field && error.remedy.contains(remedy), "{error}");
        }
    }
}
