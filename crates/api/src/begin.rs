//! Times as the API takes and shows them: an instant with its zone, or a delay with a unit.

use jiff::Timestamp;
use taskyard_model::{Begin, Invalid, quantity};

/// Reads `2026-11-24T18:00:00+01:00`, `+2h`, `now+2h`, `90m` or `now`.
pub fn parse(field: &str, text: &str) -> Result<Begin, Invalid> {
    let bad = || {
        let remedy = "write an instant with its zone, as in 2026-11-24T18:00:00+01:00, or a delay with a unit, as in +2h";
        Invalid::new(field, text, remedy)
    };
    let text = text.trim();
    let (from_now, rest) = match text.strip_prefix("now") {
        Some("") => return Ok(Begin::After(0)),
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    if let Some(delay) = rest.strip_prefix('+') {
        return quantity::duration_ms(field, delay.trim_start()).map(Begin::After);
    }
    if from_now {
        return Err(bad());
    }
    if let Some(at_ms) = instant(rest) {
        return Ok(Begin::At(at_ms));
    }
    // A time of day is none without a zone, and not a delay in hours.
    if rest.contains([':', '-']) {
        return Err(bad());
    }
    match quantity::duration_ms(field, rest) {
        Ok(ms) => Ok(Begin::After(ms)),
        // Its remedy names both readings of a bare number.
        Err(error) if rest.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty() => Err(error),
        Err(_) => Err(bad()),
    }
}

/// SubmittedSince when things are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmittedSince {
    /// An instant, in milliseconds since 1970.
    At(u64),
    /// Milliseconds ago.
    Ago(u64),
}

impl SubmittedSince {
    /// Reads `2h` (ago), or an instant with its zone.
    pub fn parse(field: &str, text: &str) -> Result<SubmittedSince, Invalid> {
        match instant(text.trim()) {
            Some(at_ms) => Ok(SubmittedSince::At(at_ms)),
            None if text.contains([':', '-', '+']) => {
                let remedy =
                    "write a duration as in 2h, or an instant with its zone, as in 2026-11-24T18:00:00+01:00";
                Err(Invalid::new(field, text, remedy))
            }
            None => quantity::duration_ms(field, text.trim()).map(SubmittedSince::Ago),
        }
    }

    /// The instant that is meant.
    pub fn instant(self, now_ms: u64) -> u64 {
        match self {
            SubmittedSince::At(at_ms) => at_ms,
            SubmittedSince::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

/// Milliseconds since 1970 of an instant with its zone; what was before that is 0.
pub fn instant(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().ok()?;
    Some(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

/// An instant in UTC, as it can be read again.
pub fn show_instant(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(Timestamp::MAX).to_string()
}

/// A begin as it can be read again.
pub fn show(begin: Begin) -> String {
    match begin {
        Begin::At(at_ms) => show_instant(at_ms),
        Begin::After(ms) => format!("+{}", quantity::show_duration(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since() {
        let read = |text: &str| SubmittedSince::parse("since", text).map(|since| since.instant(10_000_000));
        assert_eq!(read("2h"), Ok(2_800_000));
        assert_eq!(read("9d"), Ok(0));
        assert_eq!(read("1970-01-01T00:00:01Z"), Ok(1_000));
        for (text, remedy) in
            [("18:00", "its zone"), ("+2h", "its zone"), ("", "unit"), ("2", "2s (2 seconds)")]
        {
            assert!(read(text).unwrap_err().remedy.contains(remedy), "{text}");
        }
    }

    #[test]
    fn reads_and_shows() {
        let cases = [
            ("2026-11-24T18:00:00+01:00", Begin::At(1_795_539_600_000), "2026-11-24T17:00:00Z"),
            ("2026-11-24 17:00:00.25Z", Begin::At(1_795_539_600_250), "2026-11-24T17:00:00.25Z"),
            ("1960-01-01T00:00:00Z", Begin::At(0), "1970-01-01T00:00:00Z"),
            ("+2h", Begin::After(7_200_000), "+2h"),
            ("now + 90s", Begin::After(90_000), "+1m30s"),
            ("now+01:00:00", Begin::After(3_600_000), "+1h"),
            ("1h30m", Begin::After(5_400_000), "+1h30m"),
            ("now", Begin::After(0), "+0s"),
        ];
        for (text, begin, shown) in cases {
            assert_eq!(parse("begin", text), Ok(begin), "{text}");
            assert_eq!(show(begin), shown);
            assert_eq!(parse("begin", shown), Ok(begin), "{shown}");
        }
        for (text, remedy) in [
            ("18:00", "with its zone"),
            ("2026-11-24 18:00", "with its zone"),
            ("tomorrow", "with its zone"),
            ("", "with its zone"),
            ("now-1h", "with its zone"),
            ("-1h", "with its zone"),
            ("90", "90s (90 seconds)"),
            ("+90", "90s (90 seconds)"),
        ] {
            let error = parse("begin", text).unwrap_err();
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
        assert_eq!(show_instant(u64::MAX), Timestamp::MAX.to_string());
    }
}
