//! The cluster's certificates, and TLS with them.
//!
//! One authority signs for one cluster. A certificate names what its holder is, a server or an agent, in a way that
//! no host name can be mistaken for it; people have tokens. Every server holds the authority's key and signs for
//! itself, so that servers that were all off for long still know each other. Agents get certificates that are good
//! for days and renew them.
//!
//! Nothing here knows what a request means.

mod authority;
mod channel;
mod enrol;
mod error;
mod fingerprint;
mod request;
mod subject;
mod tls_dir;

pub use authority::{Authority, LIFE, RENEW_AFTER, Renewal};
pub use channel::{Channel, ServerStream, connect, no_roots, of_another_authority, web_roots};
pub use enrol::{Enrolment, JoinToken, enrol, renew};
pub use error::TlsError;
pub use fingerprint::Fingerprint;
pub use request::PendingKey;
pub use subject::{Holder, Subject};
pub use tls_dir::TlsDir;
