//! How to reach stores of the S3 kind. What the environment says goes before the configuration file.

use crate::StoreSecret;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, RetryConfig};
use std::time::Duration;

/// A request moves at most a part of an object.
const REQUEST: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(5);
const RETRIES: usize = 4;
const RETRY_FOR: Duration = Duration::from_secs(60);

/// Settings of stores of the S3 kind that the configuration file names. The usual variables win over them:
/// `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and those of
/// roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Base address of the service; none means that of Amazon.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<StoreSecret>,
}

impl S3Settings {
    /// All settings for a bucket.
    pub(crate) fn builder(&self, bucket: &str) -> AmazonS3Builder {
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        let secret = self.secret_access_key.as_ref().map(StoreSecret::reveal);
        for (key, value) in [
            (AmazonS3ConfigKey::Endpoint, self.endpoint.as_deref()),
            (AmazonS3ConfigKey::Region, self.region.as_deref()),
            (AmazonS3ConfigKey::AccessKeyId, self.access_key_id.as_deref()),
            (AmazonS3ConfigKey::SecretAccessKey, secret),
        ] {
            match value {
                Some(value) if builder.get_config_value(&key).is_none() => {
                    builder = builder.with_config(key, value)
                }
                _ => {}
            }
        }
        // An address with http:// is meant so; TLS is never given up unasked.
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).unwrap_or_default();
        let client = ClientOptions::new()
            .with_timeout(REQUEST)
            .with_connect_timeout(CONNECT)
            .with_allow_http(endpoint.starts_with("http://"));
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        builder
            .with_client_options(client)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR })
            // Not every service knows how to delete several at once, and few are deleted.
            .with_disable_bulk_delete(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let settings =
            S3Settings { secret_access_key: Some(StoreSecret::new(" hunter2\n")), ..S3Settings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.secret_access_key.unwrap().reveal(), "hunter2");
    }
}
