//! Which stores this server uses. It cannot be made to write or read elsewhere: requests name a store, never a place.

use crate::failure::Answer;
use std::collections::BTreeMap;
use taskyard_api::{ApiError, ErrorCode};
use taskyard_backup::{Location, S3Settings};
use taskyard_model::Invalid;

/// Name of the store that `[backup] to` names.
pub const DEFAULT_STORE: &str = "default";

/// Where backups go, and when they are made.
#[derive(Clone, Debug, Default)]
pub struct BackupConfig {
    /// Stores by name.
    pub stores: BTreeMap<String, Location>,
    /// A backup goes to the default store so often; `None` leaves it to people.
    pub every_ms: Option<u64>,
    /// Number of backups that are kept there.
    pub keep: usize,
    /// How to reach buckets.
    pub s3: S3Settings,
}

impl BackupConfig {
    /// The store of a name that came in the field `field`.
    pub(crate) fn store(&self, field: &str, name: Option<&str>) -> Answer<&Location> {
        if self.stores.is_empty() {
            let message = "this server has no backup store configured";
            let remedy = "set `to` in the table [backup] of its configuration file, as in to = \"/var/backups/taskyard\"";
            return Err(ApiError::new(ErrorCode::NotFound, message).remedy(remedy));
        }
        let wanted = name.unwrap_or(DEFAULT_STORE);
        let named = self.stores.get(wanted);
        // The place itself is accepted as a name too, copied from the configuration.
        let found = named.or_else(|| self.stores.values().find(|location| location.to_string() == wanted));
        found.ok_or_else(|| {
            let known: Vec<&str> = self.stores.keys().map(String::as_str).collect();
            let remedy =
                format!("the server uses the stores of its configuration only; it has {}", known.join(", "));
            Invalid::new(field, wanted, remedy).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_stores_are_used() {
        let mut config = BackupConfig::default();
        let refused = config.store("to", None).unwrap_err();
        assert!(refused.remedy.unwrap().contains("[backup]"));
        config.stores.insert("default".into(), Location::parse("to", "/b").unwrap());
        config.stores.insert("away".into(), Location::parse("to", "s3://bucket/x").unwrap());
        assert_eq!(config.store("to", None).unwrap().to_string(), "/b");
        assert_eq!(config.store("to", Some("away")).unwrap().to_string(), "s3://bucket/x");
        assert_eq!(config.store("to", Some("s3://bucket/x")).unwrap().to_string(), "s3://bucket/x");
        for elsewhere in ["/etc", "file:///etc", "s3://bucket", "s3://bucket/x/y", "/b/../etc", ""] {
            let refused = config.store("to", Some(elsewhere)).unwrap_err();
            assert_eq!((refused.field.as_deref(), refused.code), (Some("to"), ErrorCode::Invalid));
            assert!(refused.remedy.unwrap().contains("away, default"));
        }
    }
}
