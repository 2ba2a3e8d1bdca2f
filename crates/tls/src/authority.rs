//! The authority: makes itself, and signs.

use crate::error::{TlsError, invalid};
use crate::{Fingerprint, Holder, PendingKey, Subject};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, string::Ia5String,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use std::time::Duration;
use taskyard_api::Secret;
use taskyard_model::CredentialKind;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long certificates are good. A machine that was off for longer joins with a new token.
pub const LIFE: Duration = Duration::from_secs(72 * 60 * 60);
/// When they are renewed.
pub const RENEW_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The authority's own.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// Clocks of other machines may be behind by so much.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// Signs for one cluster.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one: its certificate and its key, both as PEM.
    pub fn create() -> Result<(String, Secret), TlsError> {
        let failed = |error| invalid("authority", error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Taskyard cluster authority");
        // It signs certificates of servers and agents, no further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        limit(&mut params, AUTHORITY_LIFE);
        let certificate = params.self_signed(&key).map_err(failed)?;
        let key = Secret::read_key("authority key", &key.serialize_pem())
            .map_err(|error| invalid("authority", error))?;
        Ok((certificate.pem(), key))
    }

    /// From its certificate and its key.
    pub fn open(certificate: &str, key: &Secret) -> Result<Authority, TlsError> {
        let key = KeyPair::from_pem(key.expose()).map_err(|error| invalid("authority key", error))?;
        let issuer =
            Issuer::from_ca_cert_pem(certificate, key).map_err(|error| invalid("authority", error))?;
        Ok(Authority { certificate: certificate.to_owned(), issuer })
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What its certificate is known by.
    pub fn fingerprint(&self) -> Result<Fingerprint, TlsError> {
        fingerprint(&self.certificate)
    }

    /// Signs the key of a request: a certificate, as PEM, for `subject`, who joined by this entry of the log (0 for
    /// one that is not to say) and is reached at `hosts`. Whatever else the request asks for counts for nothing.
    pub fn sign(
        &self,
        request: &str,
        subject: &Subject,
        joined: u64,
        hosts: &[String],
    ) -> Result<String, TlsError> {
        let failed = |error| invalid("certificate request", error);
        let asked = CertificateSigningRequestParams::from_pem(request).map_err(failed)?;
        let mut params = params(subject, hosts)?;
        if joined > 0 {
            params.subject_alt_names.push(SanType::URI(ia5(&Holder::joined_uri(joined))?));
        }
        Ok(params.signed_by(&asked.public_key, &self.issuer).map_err(failed)?.pem())
    }

    /// The public key of a request, which is the same each time the request is made.
    pub fn key_of(request: &str) -> Result<Vec<u8>, TlsError> {
        let asked = CertificateSigningRequestParams::from_pem(request);
        Ok(asked.map_err(|error| invalid("certificate request", error))?.public_key.der_bytes().to_vec())
    }

    /// A certificate for a key of one's own.
    pub(crate) fn sign_own(
        &self,
        own: &PendingKey,
        subject: &Subject,
        hosts: &[String],
    ) -> Result<String, TlsError> {
        self.sign(&own.pem()?, subject, 0, hosts)
    }
}

/// What a certificate, as PEM, is known by.
pub(crate) fn fingerprint(certificate: &str) -> Result<Fingerprint, TlsError> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes())
        .map_err(|error| invalid("certificate", error))?;
    Ok(Fingerprint::of(&der))
}

/// When a certificate is to be renewed.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// What is left of its life; zero when it is over.
    left: Duration,
}

impl Renewal {
    pub(crate) fn of(certificate: &str) -> Result<Renewal, TlsError> {
        let failed = |error: &dyn std::fmt::Display| invalid("certificate", error);
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| failed(&error))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| failed(&error))?;
        let left = parsed.validity().not_after.timestamp() - OffsetDateTime::now_utc().unix_timestamp();
        Ok(Renewal { left: Duration::from_secs(left.max(0) as u64) })
    }

    /// Whether it is too late: the authority knows this certificate no more.
    pub fn is_over(self) -> bool {
        self.left.is_zero()
    }

    /// From now.
    pub fn due_in(self) -> Duration {
        self.left.saturating_sub(LIFE - RENEW_AFTER)
    }
}

fn params(subject: &Subject, hosts: &[String]) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{} {}", subject.kind.name(), subject.name));
    params.subject_alt_names.push(SanType::URI(ia5(&subject.uri())?));
    for host in hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(ia5(host)?),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if subject.kind == CredentialKind::Server {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    params.use_authority_key_identifier_extension = true;
    limit(&mut params, LIFE);
    Ok(params)
}

fn ia5(text: &str) -> Result<Ia5String, TlsError> {
    Ia5String::try_from(text).map_err(|error| invalid("name", format!("\"{text}\": {error}")))
}

fn limit(params: &mut CertificateParams, life: Duration) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + life;
}
