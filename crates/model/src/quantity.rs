//! Durations and sizes as people write them. A unit is required: a bare number is an error that shows both readings.
//!
//! Forms that other schedulers use are read as they read them; [`duration_reading`] and [`size_reading`] say what was understood where a person may have
//! meant something else.

use crate::Invalid;

const DURATION_UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Units of sizes in lower case; case makes no difference.
const SIZE_UNITS: [(&str, u64); 16] = [
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("p", 1 << 50),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("pi", 1 << 50),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
];

/// Parses `90s`, `1h30m`, `2d`, `250ms`, and Slurm's `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` and `D-HH:MM:SS` into milliseconds.
pub fn duration_ms(field: &str, text: &str) -> Result<u64, Invalid> {
    if let Ok(n) = text.parse::<u64>() {
        if n == 0 {
            return Ok(0);
        }
        let s = if n == 1 { "" } else { "s" };
        let remedy = format!("a duration needs a unit: {n}s ({n} second{s}) or {n}m ({n} minute{s})?");
        return Err(Invalid::new(field, text, remedy));
    }
    let read = match text.contains([':', '-']) && !text.starts_with('-') {
        true => clock_ms(text),
        false => sum_of_parts(text, &DURATION_UNITS),
    };
    read.map_err(|bad| {
        let remedy = match bad {
            QuantityError::Form if text.contains([':', '-']) => {
                "write MM:SS, HH:MM:SS or D-HH:MM:SS, or numbers with units, as in 1h30m"
            }
            QuantityError::Form => "write a number with a unit of ms, s, m, h, d or w, as in 90s or 1h30m",
            other => other.remedy(),
        };
        Invalid::new(field, text, remedy)
    })
}

/// Parses `512MiB`, `4g`, `4Gi`, `1.5G`, `100MB` into bytes. `K`, `M`, `G` are powers of 1,024; `kB`, `MB`, `GB` of 1,000.
pub fn size_bytes(field: &str, text: &str) -> Result<u64, Invalid> {
    if let Ok(n) = text.parse::<u64>() {
        if n == 0 {
            return Ok(0);
        }
        let remedy = format!("a size needs a unit: {n}MiB (mebibytes) or {n}GiB (gibibytes)?");
        return Err(Invalid::new(field, text, remedy));
    }
    size(text).map_err(|bad| {
        let remedy = match bad {
            QuantityError::Form => {
                "write a number with a unit of B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, as in 4GiB"
            }
            other => other.remedy(),
        };
        Invalid::new(field, text, remedy)
    })
}

fn size(text: &str) -> Result<u64, QuantityError> {
    let first = text.find(|c: char| c.is_ascii_alphabetic());
    let split = first.ok_or_else(|| exponent(text).unwrap_or(QuantityError::Form))?;
    let (number, unit) = text.split_at(split);
    let unit = unit.to_ascii_lowercase();
    // GiB is Gi.
    let unit = unit.strip_suffix("ib").map_or_else(|| unit.clone(), |prefix| format!("{prefix}i"));
    match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => scaled(number, *factor),
        None => Err(exponent(text).unwrap_or(QuantityError::Form)),
    }
}

/// How a duration was read, if it was written in a form that means something else to others: `30:00` is 30m, and not 30 hours.
pub fn duration_reading(text: &str) -> Option<String> {
    // Hours, minutes and seconds are the same to everybody.
    let plain = !text.contains([':', '-']) || (text.split(':').count() == 3 && !text.contains('-'));
    duration_ms("", text).ok().filter(|_| !plain).map(show_duration)
}

/// How a size was read, if others may read it otherwise: `4g` is 4GiB, and `4GB` is less.
pub fn size_reading(text: &str) -> Option<String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').to_ascii_lowercase();
    let plain = unit.len() > 1 && unit[1..].starts_with('i') || unit == "b";
    size_bytes("", text).ok().filter(|bytes| !plain && *bytes > 0).map(show_size)
}

/// Parses `2`, `0.5`, `1.25` into thousandths.
pub fn thousandths(field: &str, text: &str) -> Result<u64, Invalid> {
    let decimals = text.split_once('.').map_or(0, |(_, d)| d.len());
    let read = match decimals > 3 {
        true => Err(exponent(text).unwrap_or(QuantityError::Form)),
        false => scaled(text, 1_000),
    };
    read.map_err(|bad| {
        let remedy = match bad {
            QuantityError::Form => "write a number with at most three decimals, as in 2 or 0.5",
            other => other.remedy(),
        };
        Invalid::new(field, text, remedy)
    })
}

/// Writes milliseconds as `1h30m`, `90s`→`1m30s`, `250ms`: what [`duration_ms`] reads back to the same value.
pub fn show_duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut out = String::new();
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= factor {
            out.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    out
}

/// Writes bytes in the largest binary unit that is exact, else with one decimal.
pub fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            let tenths = (u128::from(bytes) * 10 / u128::from(factor)) as u64;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 { format!("{whole}{unit}") } else { format!("{whole}.{tenth}{unit}") };
        }
    }
    format!("{bytes}B")
}

/// Writes thousandths as a decimal number: `1500` as `1.5`.
pub fn show_thousandths(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why a number does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuantityError {
    /// Something that is no number of this kind.
    Form,
    /// Below zero.
    Negative,
    /// `1e9`.
    Exponent,
    /// `NaN`, `inf`.
    NoNumber,
    /// More than fits.
    TooLarge,
}

impl QuantityError {
    fn remedy(self) -> &'static str {
        match self {
            QuantityError::Form => "write a number",
            QuantityError::Negative => "it cannot be negative",
            QuantityError::Exponent => "write the number without an exponent",
            QuantityError::NoNumber => "this is not a number",
            QuantityError::TooLarge => "this number is too large",
        }
    }
}

/// `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`, `D-HH:MM:SS`: all but the first number are below what makes one of the next.
fn clock_ms(text: &str) -> Result<u64, QuantityError> {
    let digits = |part: &str| match part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
        true => Err(QuantityError::Form),
        false => part.parse::<u64>().map_err(|_| QuantityError::TooLarge),
    };
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(digits(days)?), clock),
        None => (None, text),
    };
    let parts: Vec<u64> = clock.split(':').map(digits).collect::<Result<_, _>>()?;
    let (h, m, s) = match (days, &parts[..]) {
        (None, &[m, s]) => (0, m, s),
        (None, &[h, m, s]) if m < 60 => (h, m, s),
        (Some(_), &[h]) if h < 24 => (h, 0, 0),
        (Some(_), &[h, m]) if h < 24 && m < 60 => (h, m, 0),
        (Some(_), &[h, m, s]) if h < 24 && m < 60 => (h, m, s),
        _ => return Err(QuantityError::Form),
    };
    if s >= 60 {
        return Err(QuantityError::Form);
    }
    let seconds = [(days.unwrap_or(0), 86_400), (h, 3_600), (m, 60), (s, 1)];
    let sum = seconds.into_iter().try_fold(0u64, |sum, (n, factor)| sum.checked_add(n.checked_mul(factor)?));
    sum.and_then(|s| s.checked_mul(1_000)).ok_or(QuantityError::TooLarge)
}

fn sum_of_parts(text: &str, units: &[(&str, u64)]) -> Result<u64, QuantityError> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(QuantityError::Form)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
            return Err(exponent(text).unwrap_or(QuantityError::Form));
        };
        total = total.checked_add(scaled(number, *factor)?).ok_or(QuantityError::TooLarge)?;
        rest = next;
    }
    if text.is_empty() { Err(QuantityError::Form) } else { Ok(total) }
}

/// What a text that is no plain number may be instead.
fn exponent(text: &str) -> Option<QuantityError> {
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['-', '+']);
    if unsigned.starts_with("nan") || unsigned.starts_with("inf") {
        return Some(QuantityError::NoNumber);
    }
    if lower.starts_with('-') {
        return Some(QuantityError::Negative);
    }
    let behind = lower.split_once('e').map(|(_, rest)| rest.trim_start_matches(['-', '+']))?;
    (lower.starts_with(|c: char| c.is_ascii_digit()) && behind.starts_with(|c: char| c.is_ascii_digit()))
        .then_some(QuantityError::Exponent)
}

/// `number` × `factor` in integers, so that 0.1 means one tenth exactly.
fn scaled(number: &str, factor: u64) -> Result<u64, QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return Err(exponent(number).unwrap_or(QuantityError::Form));
    }
    let whole: u128 =
        u128::from(whole.parse::<u64>().map_err(|_| QuantityError::TooLarge)?) * u128::from(factor);
    let scale = 10u128.pow(fraction.len() as u32);
    let part = match fraction.parse::<u64>() {
        Ok(part) => u128::from(part) * u128::from(factor) / scale,
        Err(_) => 0,
    };
    u64::try_from(whole + part).map_err(|_| QuantityError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1.5h", 5_400_000),
            ("01:00:30", 3_630_000),
            ("1d12h", 129_600_000),
            ("50:00:00", 180_000_000),
            ("30:00", 1_800_000),
            ("90:00", 5_400_000),
            ("1:2", 62_000),
            ("1-00:00:00", 86_400_000),
            ("1-12", 129_600_000),
            ("2-01:30", 178_200_000),
        ] {
            assert_eq!(duration_ms("--time-limit", text), Ok(ms), "{text}");
        }
        for bad in [
            "",
            "h",
            "5x",
            "3s4",
            "1::1",
            "1:60",
            "1:60:00",
            "1.5:00:00",
            "1h30",
            "1-24",
            "1-",
            "-",
            "1:2:3:4",
            "1-2-3",
            "1:-2",
            "+1:00",
            " 1:00",
            "1:00s",
        ] {
            assert!(duration_ms("--time-limit", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_number_shows_both_readings() {
        let error = duration_ms("--time-limit", "30").unwrap_err().to_string();
        assert!(error.contains("30s (30 seconds)") && error.contains("30m (30 minutes)"), "{error}");
        let error = size_bytes("--mem", "4").unwrap_err().to_string();
        assert!(error.contains("4MiB") && error.contains("4GiB"), "{error}");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("4g", 4 << 30),
            ("4G", 4 << 30),
            ("4Gi", 4 << 30),
            ("4gib", 4 << 30),
            ("4GB", 4_000_000_000),
            ("4gb", 4_000_000_000),
            ("4096M", 4 << 30),
            ("1P", 1 << 50),
            ("1.5G", 3 << 29),
            ("100MB", 100_000_000),
            ("7B", 7),
            ("0", 0),
        ] {
            assert_eq!(size_bytes("--mem", text), Ok(bytes), "{text}");
        }
        for bad in ["", "GiB", "4 GiB", "4GG", "4Gb i", "1.2.3G", "4i", "4ib", "½G", "٣G"] {
            assert!(size_bytes("--mem", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (text, remedy) in [
            ("-1", "negative"),
            ("NaN", "not a number"),
            ("-inf", "not a number"),
            ("infinity", "not a number"),
            ("1e400", "without an exponent"),
            ("1E3", "without an exponent"),
            ("99999999999999999999999", "too large"),
        ] {
            for unit in ["", "s"] {
                let error = duration_ms("f", &format!("{text}{unit}")).unwrap_err();
                let wanted = if text.starts_with("9999") && unit.is_empty() { "with a unit" } else { remedy };
                assert!(error.remedy.contains(wanted), "{error}");
            }
            for unit in ["", "G", "GiB"] {
                let error = size_bytes("f", &format!("{text}{unit}")).unwrap_err();
                let wanted = if text.starts_with("9999") && unit.is_empty() { "with a unit" } else { remedy };
                assert!(error.remedy.contains(wanted), "{error}");
            }
            assert!(thousandths("f", text).unwrap_err().remedy.contains(remedy), "{text}");
        }
        for text in ["213503982334602d", "999999999999999999:00", "213503982334602-00"] {
            assert!(duration_ms("f", text).unwrap_err().remedy.contains("too large"), "{text}");
        }
    }

    #[test]
    fn forms_that_mean_something_else_to_others_are_shown_as_read() {
        for (text, read) in [("30:00", "30m"), ("1-12", "1d12h"), ("1-00:00:00", "1d")] {
            assert_eq!(duration_reading(text).as_deref(), Some(read), "{text}");
        }
        for text in ["50:00:00", "1h30m", "30m", "90s", "x", ""] {
            assert_eq!(duration_reading(text), None, "{text}");
        }
        for (text, read) in
            [("4g", "4GiB"), ("4096M", "4GiB"), ("4m", "4MiB"), ("4GB", "3.7GiB"), ("1kb", "1000B")]
        {
            assert_eq!(size_reading(text).as_deref(), Some(read), "{text}");
        }
        for text in ["4GiB", "4Gi", "4gib", "7B", "0", "0G", "x", ""] {
            assert_eq!(size_reading(text), None, "{text}");
        }
    }

    #[test]
    fn thousandths_are_exact() {
        assert_eq!(thousandths("--cpus", "0.1"), Ok(100));
        assert_eq!(thousandths("--cpus", "2"), Ok(2_000));
        assert!(thousandths("--cpus", "0.0001").is_err());
        assert_eq!(show_thousandths(1_500), "1.5");
        assert_eq!(show_thousandths(2_000), "2");
    }

    #[test]
    fn shown_durations_read_back() {
        for ms in [1, 999, 1_000, 61_001, 90_000, 5_400_000, 90_061_001] {
            assert_eq!(duration_ms("t", &show_duration(ms)), Ok(ms));
        }
    }
}
