//! A key of one's own, and the request to have it signed.

use crate::error::{TlsError, invalid};
use rcgen::{CertificateParams, KeyPair};
use taskyard_api::Secret;

/// A key that is to get a certificate. It never leaves its machine.
pub struct PendingKey(KeyPair);

impl PendingKey {
    /// A new key.
    pub fn new() -> Result<PendingKey, TlsError> {
        KeyPair::generate().map(PendingKey).map_err(|error| invalid("key", error))
    }

    pub(crate) fn of(key: &Secret) -> Result<PendingKey, TlsError> {
        KeyPair::from_pem(key.expose()).map(PendingKey).map_err(|error| invalid("key", error))
    }

    /// What is sent to the authority.
    pub fn pem(&self) -> Result<String, TlsError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        request.and_then(|request| request.pem()).map_err(|error| invalid("certificate request", error))
    }

    pub(crate) fn key(&self) -> Result<Secret, TlsError> {
        Secret::read_key("key", &self.0.serialize_pem()).map_err(|error| invalid("key", error))
    }
}
