//! Numbers of a log, from bytes. Fixed point, in thousandths: no log is more exact than a millisecond.

use crate::limits::TIME_S_MAX;

/// Integer digits that are read on the fast path: with three decimals they fit an `i64`.
const DIGITS_MAX: u32 = 15;

/// Why a field is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    NotANumber,
    TooLarge,
}

/// A walk over the fields of a line.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Fields { rest: line }
    }

    /// The next field as it is.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        self.skip_blanks();
        let length = self.rest.iter().position(|b| is_blank(*b)).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!field.is_empty()).then_some(field)
    }

    /// The next field in thousandths, cut towards zero. `None` at the end of the line.
    #[inline]
    pub(super) fn thousandths(&mut self) -> Option<Result<i64, NumberError>> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return None;
        }
        if let Some((value, length)) = whole_number(self.rest) {
            self.rest = &self.rest[length..];
            return Some(Ok(value * 1_000));
        }
        self.text().map(decimal)
    }

    #[inline]
    fn skip_blanks(&mut self) {
        while let [first, rest @ ..] = self.rest
            && is_blank(*first)
        {
            self.rest = rest;
        }
    }
}

#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// A whole number that ends at a blank, with its length: what nearly all fields are.
#[inline]
fn whole_number(text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let begin = at;
    let mut value = 0i64;
    while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d <= 9) {
        if at - begin >= DIGITS_MAX as usize {
            return None;
        }
        value = value * 10 + i64::from(digit);
        at += 1;
    }
    let ends = text.get(at).is_none_or(|b| is_blank(*b));
    (ends && at > begin).then_some((if negative { -value } else { value }, at))
}

/// Any other number: with a fraction, an exponent or a plus.
fn decimal(field: &[u8]) -> Result<i64, NumberError> {
    let text = str::from_utf8(field).map_err(|_| NumberError::NotANumber)?;
    let looks = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    let value: f64 = if looks {
        text.parse().map_err(|_| NumberError::NotANumber)?
    } else {
        return Err(NumberError::NotANumber);
    };
    if value.abs() > TIME_S_MAX as f64 {
        return Err(NumberError::TooLarge);
    }
    // Read to the nearest thousandth and no further: 0.29 must not become 289.
    let scaled = value * 1_000.0;
    let near = scaled.round();
    Ok(if (scaled - near).abs() < 1e-3 { near } else { scaled.trunc() } as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Result<i64, NumberError>>) {
        assert_eq!(Fields::new(text.as_bytes()).thousandths(), expected, "{text:?}");
    }

    #[test]
    fn reads_numbers() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1_000),
            ("  42 7", 42_000),
            ("\t123456789012345\r", 123_456_789_012_345_000),
            ("186.92", 186_920),
            ("0.29", 290),
            ("0.0004", 0),
            ("-0.5", -500),
            ("1e3", 1_000_000),
            ("+5", 5_000),
            ("2.", 2_000),
            (".5", 500),
            ("0000000000000000000007", 7_000),
        ] {
            check(text, Some(Ok(value)));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["x", "1x", "-", "--1", "1.2.3", "nan", "inf", "0x10", "1_000", "5;", "\u{661}"] {
            check(text, Some(Err(NumberError::NotANumber)));
        }
        check("1e300", Some(Err(NumberError::TooLarge)));
        check("99999999999999999999", Some(Err(NumberError::TooLarge)));
        check(" \r", None);
    }

    #[test]
    fn walks() {
        let mut fields = Fields::new(b" 1  a 2.5\r");
        assert_eq!(fields.thousandths(), Some(Ok(1_000)));
        assert_eq!(fields.text(), Some(&b"a"[..]));
        assert_eq!(fields.thousandths(), Some(Ok(2_500)));
        assert_eq!(fields.text(), None);
    }
}
