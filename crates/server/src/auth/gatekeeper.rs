//! What it takes to tell who asks, and to note what they did: no more of a server than that.

use super::Audit;
use crate::config::AuthMode;
use std::sync::Arc;
use taskyard_consensus::Consensus;

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Gatekeeper {
    pub(super) consensus: Consensus,
    audit: Arc<Audit>,
    pub(super) mode: AuthMode,
    /// With TLS machines prove themselves by certificates.
    pub(super) tls: bool,
}

impl Gatekeeper {
    pub(crate) fn new(consensus: Consensus, audit: Audit, mode: AuthMode, tls: bool) -> Gatekeeper {
        Gatekeeper { consensus, audit: Arc::new(audit), mode, tls }
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }
}
