//! Whom a certificate is for.

use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use taskyard_model::Party;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What comes before it in a certificate. A host name or an address is another kind of name there, so neither can look like this.
const SCHEME: &str = "taskyard:";

/// The holder of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub party: Party,
    /// Its name: that of the node, or the random number of the server's data directory.
    pub name: String,
}

impl Subject {
    /// An agent.
    pub fn agent(name: &str) -> Subject {
        Subject { party: Party::Agent, name: name.to_owned() }
    }

    /// A server.
    pub fn server(name: &str) -> Subject {
        Subject { party: Party::Server, name: name.to_owned() }
    }

    pub(crate) fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.party.name(), self.name)
    }

    /// The same, with the end of the certificate's life.
    pub fn until(certificate: &CertificateDer<'_>) -> Option<(Subject, SystemTime)> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        Some((Subject::of(certificate)?, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
    }

    /// The one that a certificate names; `None` if it is none of ours. Whether it is genuine was found out before.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Subject> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok().flatten()?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(SCHEME),
            _ => None,
        });
        let (party, name) = uris.next().filter(|_| uris.next().is_none())?.split_once('/')?;
        let party = [Party::Server, Party::Agent].into_iter().find(|known| known.name() == party)?;
        Some(Subject { party, name: name.to_owned() })
    }
}
