//! Randomness, for identities and for spreading what many agents would do at once.

use rustix::rand::{GetRandomFlags, getrandom};

/// Any number.
pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // Eight bytes come whole and without waiting on any kernel that has booted.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

/// From 0 to 1.
pub(crate) fn random_unit() -> f64 {
    (random() >> 11) as f64 / (1u64 << 53) as f64
}
