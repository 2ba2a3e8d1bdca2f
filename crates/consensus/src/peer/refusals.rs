//! Which servers do not talk to this one, and why. A server that all others refuse stands apart, and only it can say so where somebody looks.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// See the module. By the number of the server that refused.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<u64, String>>);

impl Refusals {
    /// A greeting of this server was refused. Logged when it is news.
    pub(super) fn note(&self, server: u64, why: &str) {
        let before = self.0.lock().insert(server, why.to_owned());
        if before.is_none_or(|before| before != why) {
            tracing::warn!(server, why, "another server refuses this one");
        }
    }

    /// A greeting was answered.
    pub(super) fn accepted(&self, server: u64) {
        if self.0.lock().remove(&server).is_some() {
            tracing::info!(server, "another server no longer refuses this one");
        }
    }

    /// Why this server refuses.
    pub(crate) fn by(&self, server: u64) -> Option<String> {
        self.0.lock().get(&server).cloned()
    }

    /// Why all of these refuse, if there are any and each does: in the words of the first.
    pub(crate) fn by_all(&self, servers: impl Iterator<Item = u64>) -> Option<String> {
        let refusals = self.0.lock();
        let mut first = None;
        for server in servers {
            let why = refusals.get(&server)?;
            first.get_or_insert_with(|| why.clone());
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_stands_apart_when_all_others_refuse_it() {
        let refusals = Refusals::default();
        let all = |refusals: &Refusals| refusals.by_all([1, 2].into_iter());
        assert_eq!(refusals.by_all([].into_iter()), None, "it is alone");
        refusals.note(1, "another cluster");
        assert_eq!(all(&refusals), None, "2 may only be away");
        refusals.note(2, "the same");
        assert_eq!(all(&refusals), Some("another cluster".into()));
        refusals.accepted(1);
        assert_eq!((all(&refusals), refusals.by(1), refusals.by(2)), (None, None, Some("the same".into())));
    }
}
