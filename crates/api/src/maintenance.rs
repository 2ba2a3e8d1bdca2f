//! Times in which nodes are to be maintained.

use crate::begin;
use serde::{Deserialize, Serialize};
use taskyard_model::{Begin, Constraint, Invalid};
use utoipa::ToSchema;

/// A maintenance window. A task starts on its nodes only if its time limit ends before the window begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Its name.
    pub name: String,
    /// When it begins, by the servers' wall clock.
    pub from_at_ms: u64,
    /// When it ends.
    pub until_at_ms: u64,
    /// Which nodes; all of them when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
    /// Number of these nodes now.
    pub nodes_count: u64,
    /// Attempts that run on them now.
    pub running: u64,
}

/// Body of `PUT /v1/maintenance/{window}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaintenanceSettings {
    /// When it begins: an instant with its zone, or a delay such as `+2h`. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-24T18:00:00+01:00")]
    pub from: Option<String>,
    /// When it ends, likewise.
    #[schema(example = "2026-11-24T22:00:00+01:00")]
    pub until: String,
    /// Which nodes, as in a job's constraint. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "zone == a")]
    pub nodes: Option<String>,
}

/// What the settings mean at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// Which nodes.
    pub nodes: Constraint,
    /// Wall clock of its begin.
    pub from_ms: u64,
    /// Wall clock of its end.
    pub until_ms: u64,
}

impl MaintenanceSettings {
    /// Reads them, at this time.
    pub fn window(&self, now_ms: u64) -> Result<MaintenanceWindow, Invalid> {
        let instant = |field: &str, text: &str| {
            Ok(match begin::parse(field, text)? {
                Begin::At(at_ms) => at_ms,
                Begin::After(delay_ms) => now_ms.saturating_add(delay_ms),
            })
        };
        let from_ms = self.from.as_deref().map_or(Ok(now_ms), |text| instant("from", text))?;
        let until_ms = instant("until", &self.until)?;
        if until_ms <= from_ms {
            return Err(Invalid::new("until", &self.until, "write a time after the begin"));
        }
        if until_ms <= now_ms {
            return Err(Invalid::new("until", &self.until, "write a time in the future"));
        }
        let nodes = match self.nodes.as_deref() {
            None | Some("") => Constraint::default(),
            Some(text) => Constraint::parse("nodes", text)?,
        };
        Ok(MaintenanceWindow { nodes, from_ms, until_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_checked() {
        let read = |from: Option<&str>, until: &str| {
            let settings =
                MaintenanceSettings { from: from.map(Into::into), until: until.into(), nodes: None };
            settings.window(10_000).map(|w| (w.from_ms, w.until_ms)).map_err(|e| e.field)
        };
        assert_eq!(read(None, "+2s"), Ok((10_000, 12_000)));
        assert_eq!(read(Some("1970-01-01T00:00:05Z"), "+1s"), Ok((5_000, 11_000)));
        assert_eq!(read(Some("+3s"), "+2s"), Err("until".to_owned()));
        assert_eq!(read(Some("1970-01-01T00:00:01Z"), "1970-01-01T00:00:02Z"), Err("until".to_owned()));
        assert_eq!(read(Some("tomorrow"), "+2s"), Err("from".to_owned()));
        let nodes = Some("zone ==".to_owned());
        let bad = MaintenanceSettings { until: "+1h".into(), nodes, ..Default::default() };
        assert_eq!(bad.window(0).unwrap_err().field, "nodes");
    }
}
