//! Logarithms and powers of two without floats: replicated decisions must not depend on rounding of a machine.

/// Binary digits after the point.
const DIGITS: u32 = 40;

/// log2(x) in units of 2^-40, rounded down; that of 0 counts as that of 1. Digit by digit: squaring doubles the logarithm, and what passes 2
/// is the next digit (Knuth, TAOCP 1, 1.2.2, exercise 25).
pub fn log2(x: u64) -> i64 {
    let x = x.max(1);
    let whole = x.ilog2();
    let mut rest = u128::from(x) << (63 - whole);
    let mut log = i64::from(whole);
    for _ in 0..DIGITS {
        rest = (rest * rest) >> 63;
        log <<= 1;
        if rest >> 64 != 0 {
            rest >>= 1;
            log |= 1;
        }
    }
    log
}

/// 1 in the unit of [`log2`].
pub const ONE: i64 = 1 << DIGITS;

/// Binary digits of a part of a half-life: enough for a millisecond of ten years.
const HALVING_DIGITS: usize = 48;
/// 2^(-1/2), 2^(-1/4), … in units of 2^-63: each the square root of the one before.
const ROOTS: [u64; HALVING_DIGITS] = {
    let mut roots = [0; HALVING_DIGITS];
    let mut root = 1u64 << 62;
    let mut i = 0;
    while i < HALVING_DIGITS {
        root = sqrt((root as u128) << 63);
        roots[i] = root;
        i += 1;
    }
    roots
};

/// The square root, rounded down, of a number below 2^126.
const fn sqrt(n: u128) -> u64 {
    let mut root = 0u64;
    let mut bit = 1u64 << 62;
    while bit > 0 {
        let with = root | bit;
        if (with as u128) * (with as u128) <= n {
            root = with;
        }
        bit >>= 1;
    }
    root
}

/// `value` · 2^(-elapsed/half_life), rounded down: what is left of something that halves again and again.
pub fn decayed(value: u64, elapsed: u64, half_life: u64) -> u64 {
    let half_life = half_life.max(1);
    let halvings = elapsed / half_life;
    if halvings >= 64 {
        return 0;
    }
    let part = u128::from(elapsed % half_life) << HALVING_DIGITS;
    let part = part / u128::from(half_life);
    let mut left = 1u64 << 63;
    for (i, root) in ROOTS.iter().enumerate() {
        if part >> (HALVING_DIGITS - 1 - i) & 1 == 1 {
            left = ((u128::from(left) * u128::from(*root)) >> 63) as u64;
        }
    }
    ((u128::from(value) * u128::from(left)) >> 63 >> halvings) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_types, reason = "what it is compared with")]
    fn what_decays_halves() {
        let all = 1u64 << 50;
        assert_eq!(decayed(all, 0, 100), all);
        assert_eq!(decayed(all, 100, 100), all / 2);
        assert_eq!(decayed(all, 300, 100), all / 8);
        assert_eq!(decayed(u64::MAX, 0, 7), u64::MAX);
        assert_eq!(decayed(all, u64::MAX, 1), 0);
        for elapsed in [1u64, 33, 50, 99, 101, 777] {
            let expected = all as f64 * (-(elapsed as f64) / 100.0).exp2();
            assert!((decayed(all, elapsed, 100) as f64 / expected - 1.0).abs() < 1e-8, "{elapsed}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_types, reason = "what it is compared with")]
    fn agrees_with_floats() {
        assert_eq!(log2(0), 0);
        for power in 0..63 {
            assert_eq!(log2(1 << power), i64::from(power) * ONE);
        }
        let mut x = 3u64;
        while x < u64::MAX / 3 {
            let there = log2(x) as f64 / ONE as f64;
            assert!((there - (x as f64).log2()).abs() < 1e-11, "{x}");
            x = x * 3 / 2 + 1;
        }
    }
}
