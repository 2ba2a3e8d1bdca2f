//! What commands about tokens carry.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use taskyard_model::{CredentialKind, Grant};

/// See [`crate::Command::CreateToken`]. What its holder will know is hashed before it comes here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewToken {
    /// Its id, drawn at random.
    #[n(0)]
    pub id: String,
    /// Hash of what its holder knows.
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
    /// What it may do, already checked.
    #[n(5)]
    pub grants: Vec<Grant>,
    /// How long it is valid, in milliseconds of state time; without an end if missing.
    #[n(6)]
    pub life_ms: Option<u64>,
    /// Who makes it; empty for the first one.
    #[n(7)]
    pub created_by: String,
    /// Make it only if there never was one: the first one is made without a credential.
    #[n(8)]
    #[cbor(default)]
    pub only_first: bool,
    /// It is good for certificates and nothing else.
    #[n(9)]
    #[cbor(default)]
    pub join: bool,
    /// For how many of them, each for another machine.
    #[n(10)]
    pub uses: u32,
}
