//! Request ids, so that a submit can be repeated without a second job.

use std::hash::{BuildHasher, RandomState};

/// A fresh id: 128 random bits in hexadecimal. The standard library's keys come from the system's random source;
/// process and time are mixed in because it draws them once for each thread only.
pub fn request_id() -> String {
    let time =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let part = |salt: u8| RandomState::new().hash_one((salt, time, std::process::id()));
    format!("{:016x}{:016x}", part(0), part(1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1_000).map(|_| super::request_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
