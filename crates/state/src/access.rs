//! Namespaces and tokens, as they are kept.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use taskyard_model::{CredentialKind, Grant};

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NamespaceHead {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Wall clock when it was made; 0 for the one that was always there.
    #[n(1)]
    pub created_wall_ms: u64,
}

/// A credential. What its holder knows is not here, only a hash of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// Names it, in the credential and in lists.
    #[n(0)]
    pub id: String,
    /// Hash of the 256 random bits that its holder knows.
    #[n(1)]
    pub hash: ByteArray<32>,
    /// In whose name it speaks.
    #[n(2)]
    pub user: String,
    /// What people write about it; may be empty.
    #[n(3)]
    pub label: String,
    /// What may hold it.
    #[n(4)]
    pub kind: CredentialKind,
    /// What it may do.
    #[n(5)]
    pub grants: Vec<Grant>,
    /// Who made it; empty for the first one.
    #[n(6)]
    pub created_by: String,
    /// Wall clock when it was made.
    #[n(7)]
    pub created_wall_ms: u64,
    /// State time from which it is no longer good.
    #[n(8)]
    pub expires_ms: Option<u64>,
    /// The same on the wall clock of its making, for people.
    #[n(9)]
    pub expires_wall_ms: Option<u64>,
    /// State time at which it was revoked.
    #[n(10)]
    pub revoked_ms: Option<u64>,
    /// It is good for certificates and nothing else.
    #[n(11)]
    #[cbor(default)]
    pub join: bool,
    /// For how many of them.
    #[n(12)]
    pub uses: u32,
    /// Which it has been used for.
    #[n(13)]
    pub used: Vec<TokenUse>,
}

/// A certificate that a token was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenUse {
    /// Hash of the key that got it, and of its name.
    #[n(0)]
    pub key: ByteArray<32>,
    /// Log index of the entry by which it first got it.
    #[n(1)]
    pub at: u64,
}

impl Token {
    /// Whether its time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether it was revoked.
    pub fn is_revoked(&self) -> bool {
        self.revoked_ms.is_some()
    }

    /// Whether it has been used as often as it may be.
    pub fn is_spent(&self) -> bool {
        self.join && self.used.len() as u64 >= u64::from(self.uses)
    }

    /// Whether this key has got its certificate already, and may ask again: the answer may have been lost.
    pub fn was_used_by(&self, key: &ByteArray<32>) -> bool {
        self.used.iter().any(|used| used.key == *key)
    }

    /// State time at which it stopped being good, as far as that is known.
    pub(crate) fn ended_ms(&self) -> Option<u64> {
        [self.expires_ms, self.revoked_ms].into_iter().flatten().min()
    }
}
