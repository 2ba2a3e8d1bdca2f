//! Namespaces and tokens.

use crate::access::{NamespaceHead, Token};
use crate::state::State;
use std::sync::Arc;

impl State {
    /// All namespaces, in order of name.
    pub fn namespaces(&self) -> impl Iterator<Item = &NamespaceHead> {
        self.core.namespaces.values()
    }

    /// Whether there is such a namespace.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.core.namespaces.contains_key(name)
    }

    /// A token, also one that is no longer good.
    pub fn token(&self, id: &str) -> Option<&Arc<Token>> {
        self.core.tokens.get(id)
    }

    /// All tokens that are kept, in order of id.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.core.tokens.values()
    }

    /// How many are good now.
    pub fn tokens_in_force(&self) -> u64 {
        let now_ms = self.core.clock.now_ms;
        self.tokens().filter(|token| !token.is_revoked() && !token.is_expired(now_ms)).count() as u64
    }

    /// How many tokens were ever made.
    pub fn tokens_made(&self) -> u64 {
        self.core.clock.tokens_made
    }
}
