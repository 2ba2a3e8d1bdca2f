//! Whom a certificate is for.

use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use taskyard_model::CredentialKind;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What comes before it in a certificate. A host name or an address is another kind of name there, so neither can
/// look like this.
const SCHEME: &str = "taskyard:";
/// What comes before the number of the entry by which its holder joined. Another scheme, since there is to be one
/// name in a certificate.
const JOINED: &str = "taskyard-joined:";

/// The holder of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub kind: CredentialKind,
    /// Its name: that of the node, or the random number of the server's data directory.
    pub name: String,
}

impl Subject {
    pub fn agent(name: &str) -> Subject {
        Subject { kind: CredentialKind::Agent, name: name.to_owned() }
    }

    pub fn server(name: &str) -> Subject {
        Subject { kind: CredentialKind::Server, name: name.to_owned() }
    }

    pub(crate) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.kind.name(), self.name)
    }

    /// The one that a certificate names; `None` if it is none of ours. Whether it is genuine was found out before.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Subject> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let (kind, name) = only_uri(&parsed, SCHEME)?.split_once('/')?;
        let kind =
            [CredentialKind::Server, CredentialKind::Agent].into_iter().find(|known| known.name() == kind)?;
        Some(Subject { kind, name: name.to_owned() })
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Whom it is for.
    pub subject: Subject,
    /// The entry of the log by which its holder joined, with whatever key; 0 if it does not say.
    pub joined: u64,
    /// The end of its life.
    pub until: SystemTime,
}

impl Holder {
    /// Of a certificate; `None` if it is none of ours. Whether it is genuine was found out before.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Holder> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        Some(Holder {
            subject: Subject::of(certificate)?,
            joined: only_uri(&parsed, JOINED).and_then(|number| number.parse().ok()).unwrap_or(0),
            until: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        })
    }

    pub(crate) fn joined_uri(joined: u64) -> String {
        format!("{JOINED}{joined}")
    }
}

/// The rest of the one name that begins so; two are as bad as none.
fn only_uri<'a>(certificate: &'a X509Certificate<'_>, scheme: &str) -> Option<&'a str> {
    let names = certificate.subject_alternative_name().ok().flatten()?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(scheme),
        _ => None,
    });
    uris.next().filter(|_| uris.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, PendingKey};
    use rustls::pki_types::pem::PemObject as _;

    #[test]
    fn a_certificate_says_when_its_holder_joined() {
        let (certificate, key) = Authority::create().expect("made");
        let authority = Authority::open(&certificate, &key).expect("opened");
        let request = PendingKey::new().expect("made").pem().expect("written");
        for (name, joined) in [("n1", 7), ("taskyard-joined:9", 7), ("n1", 0)] {
            let subject = Subject::agent(name);
            let signed = authority.sign(&request, &subject, joined, &[]).expect("signed");
            let der = CertificateDer::from_pem_slice(signed.as_bytes()).expect("a certificate");
            let holder = Holder::of(&der).expect("one of ours");
            assert_eq!((holder.subject, holder.joined), (subject, joined));
        }
    }
}
