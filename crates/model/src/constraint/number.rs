//! Decimal numbers in labels, compared exactly: a label may say `12.4` or the bytes of a disk, and no binary number holds both.

use std::cmp::Ordering;

/// How two numbers compare; `None` if one of the texts is no number.
pub(super) fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(Number::of(left)?.cmp(&Number::of(right)?))
}

/// A number without superfluous digits: `12.4` for `+012.40`. `None` if the text is no number.
pub(super) fn canonical(text: &str) -> Option<String> {
    let Number { below_zero, whole, part } = Number::of(text)?;
    let sign = if below_zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{part}"))
}

/// The digits that count: none before the first that is not 0, none after the last that is not.
#[derive(PartialEq, Eq)]
struct Number<'a> {
    below_zero: bool,
    whole: &'a str,
    part: &'a str,
}

impl<'a> Number<'a> {
    /// `12`, `-0.5`, `+3.0`; digits before the point and, if there is one, after it.
    fn of(text: &'a str) -> Option<Number<'a>> {
        let (minus, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !part.is_none_or(is_digits) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let part = part.unwrap_or_default().trim_end_matches('0');
        let is_zero = whole.is_empty() && part.is_empty();
        Some(Number { below_zero: minus && !is_zero, whole, part })
    }

    fn cmp(&self, other: &Number<'_>) -> Ordering {
        let size = |n: &Number<'_>| n.whole.len();
        // Parts compare as texts: what is missing at the end is a 0, and sorts first.
        let by_size =
            size(self).cmp(&size(other)).then(self.whole.cmp(other.whole)).then(self.part.cmp(other.part));
        match (self.below_zero, other.below_zero) {
            (false, false) => by_size,
            (true, true) => by_size.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        let order = [
            "-10",
            "-9.5",
            "-0.10",
            "-0.01",
            "0",
            "0.001",
            "0.5",
            "0.51",
            "9",
            "10",
            "10.05",
            "10.1",
            "99999999999999999999",
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(compare(a, b), Some(i.cmp(&j)), "{a} and {b}");
            }
        }
        for (a, b) in [("012.40", "12.4"), ("-0", "0.0"), ("+3", "3.000")] {
            assert_eq!(compare(a, b), Some(Ordering::Equal), "{a} and {b}");
            assert_eq!(canonical(a), canonical(b), "{a} and {b}");
        }
        assert_eq!(canonical("-012.40").as_deref(), Some("-12.4"));
        for none in ["", "-", ".", "1.", ".5", "1e3", "0x10", "1 ", "1.2.3", "--1", "NaN", "1_000", "१"] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
