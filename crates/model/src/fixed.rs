//! Logarithms without floats: replicated decisions must not depend on rounding of a machine.

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

#[cfg(test)]
mod tests {
    use super::*;

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
