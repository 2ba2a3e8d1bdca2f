//! The order in which people expect names: `n2` before `n10`.

use std::cmp::Ordering;

/// Compares runs of digits by their number, and everything else by its bytes.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&first), Some(&second)) = (left.first(), right.first()) else {
            // `n01` and `n1` are equal as numbers and are still two names.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            by_number(take_digits(&mut left), take_digits(&mut right))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            first.cmp(&second)
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Of two numbers without leading zeros, the longer one is the larger.
fn by_number(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The digits at the beginning, without leading zeros.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted = [
            "a",
            "n0",
            "n00",
            "n01",
            "n1",
            "n2",
            "n10",
            "n10a",
            "n99999999999999999999999",
            "rack1-07",
            "rack1-10",
            "rack2-1",
        ];
        for (at, a) in sorted.iter().enumerate() {
            for (to, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&to), "{a} {b}");
            }
        }
    }
}
