//! A value that is never shown.

use std::fmt;

/// A secret. It can be used but not printed, and no format can serialise it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreSecret(String);

impl StoreSecret {
    /// Takes a value; space at its ends comes from the file it was in.
    pub fn new(text: &str) -> StoreSecret {
        StoreSecret(text.trim().to_owned())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
