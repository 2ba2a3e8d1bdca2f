//! Namespaces and tokens: making, revoking, forgetting.

use crate::access::{NamespaceHead, Token, TokenUse};
use crate::command::NewToken;
use crate::core::Due;
use crate::outcome::{Rejection, Reply};
use crate::state::State;
use minicbor::bytes::ByteArray;
use std::sync::Arc;
use taskyard_model::limits;

impl State {
    /// Makes a namespace. One that is there already is as good.
    pub(crate) fn create_namespace(&mut self, name: &str) -> Reply {
        if self.has_namespace(name) {
            return Reply::Done;
        }
        if self.core.namespaces.len() >= limits::NAMESPACES_MAX {
            return Reply::Rejected(Rejection::Limit("namespaces", limits::NAMESPACES_MAX as u64));
        }
        let head = NamespaceHead { name: name.to_owned(), created_wall_ms: self.core.clock.wall_ms };
        self.core.namespaces.insert(name.to_owned(), head);
        Reply::Done
    }

    pub(crate) fn create_token(&mut self, new: &NewToken) -> Reply {
        if new.only_first && self.core.clock.tokens_made > 0 {
            return Reply::Rejected(Rejection::NotFirstToken);
        }
        if self.core.tokens.contains_key(&new.id) {
            return Reply::Rejected(Rejection::TokenExists(new.id.clone()));
        }
        if self.core.tokens.len() >= limits::TOKENS_MAX {
            return Reply::Rejected(Rejection::Limit("tokens", limits::TOKENS_MAX as u64));
        }
        let strange = |namespace: &&str| *namespace != "*" && !self.has_namespace(namespace);
        if let Some(name) = new.grants.iter().map(|grant| grant.namespace.as_str()).find(strange) {
            return Reply::Rejected(Rejection::NoNamespace(name.to_owned()));
        }
        let clock = &mut self.core.clock;
        clock.tokens_made += 1;
        let token = Token {
            id: new.id.clone(),
            hash: new.hash,
            user: new.user.clone(),
            label: new.label.clone(),
            kind: new.kind,
            grants: new.grants.clone(),
            created_by: new.created_by.clone(),
            created_wall_ms: clock.wall_ms,
            expires_ms: new.life_ms.map(|life| clock.now_ms.saturating_add(life)),
            expires_wall_ms: new.life_ms.map(|life| clock.wall_ms.saturating_add(life)),
            revoked_ms: None,
            join: new.join,
            uses: new.uses,
            used: Vec::new(),
        };
        self.forget_later(&token);
        self.core.tokens.insert(token.id.clone(), Arc::new(token));
        Reply::Done
    }

    /// Makes a token worthless. Once more changes nothing.
    pub(crate) fn revoke_token(&mut self, id: &str) -> Reply {
        let now_ms = self.core.clock.now_ms;
        let Some(token) = self.core.tokens.get_mut(id).map(Arc::make_mut) else {
            return Reply::Rejected(Rejection::NoToken(id.to_owned()));
        };
        token.revoked_ms.get_or_insert(now_ms);
        let token = token.clone();
        self.forget_later(&token);
        Reply::Done
    }

    /// Uses a token for the key that has this hash. For the same key it may be used again: the answer may have been lost. The reply is that of
    /// the first time, so that nobody who was removed meanwhile comes back by a token that is used up.
    pub(crate) fn use_token(&mut self, id: &str, key: ByteArray<32>) -> Reply {
        let (now_ms, index) = (self.core.clock.now_ms, self.core.clock.index);
        let good = |token: &&mut Token| token.join && !token.is_revoked() && !token.is_expired(now_ms);
        let Some(token) = self.core.tokens.get_mut(id).map(Arc::make_mut).filter(good) else {
            return Reply::Rejected(Rejection::NoToken(id.to_owned()));
        };
        if let Some(before) = token.used.iter().find(|used| used.key == key) {
            return Reply::Used { at: before.at };
        }
        if token.is_spent() {
            return Reply::Rejected(Rejection::TokenUsed(id.to_owned()));
        }
        token.used.push(TokenUse { key, at: index });
        Reply::Used { at: index }
    }

    /// A token that is no longer good stays listed for a while.
    fn forget_later(&mut self, token: &Token) {
        if let Some(ended) = token.ended_ms() {
            let at = ended.saturating_add(limits::TOKEN_KEPT_MS);
            self.core.deadlines.insert((at, Due::ForgetToken(token.id.clone())));
        }
    }

    /// A token that was revoked before it expired has two deadlines; the later one finds nothing.
    pub(crate) fn forget_token(&mut self, id: &str) {
        let now_ms = self.core.clock.now_ms;
        let over = |token: &Arc<Token>| {
            token.ended_ms().is_some_and(|at| at.saturating_add(limits::TOKEN_KEPT_MS) <= now_ms)
        };
        if self.core.tokens.get(id).is_some_and(over) {
            self.core.tokens.remove(id);
        }
    }
}
