//! Durations and sizes as people write them. A unit is required: a bare number is an error that shows both readings.

use crate::Invalid;

const DURATION_UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

const SIZE_UNITS: [(&str, u64); 13] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("B", 1),
];

/// Parses `90s`, `1h30m`, `2d`, `250ms` or `HH:MM:SS` into milliseconds.
pub fn duration_ms(field: &str, text: &str) -> Result<u64, Invalid> {
    if text.contains(':') {
        return clock_ms(text).ok_or_else(|| {
            Invalid::new(field, text, "write HH:MM:SS, or a number with a unit, as in 1h30m")
        });
    }
    if let Ok(n) = text.parse::<u64>() {
        let remedy = format!("a duration needs a unit: {n}s ({n} seconds) or {n}m ({n} minutes)?");
        return Err(Invalid::new(field, text, remedy));
    }
    sum_of_parts(text, &DURATION_UNITS).ok_or_else(|| {
        Invalid::new(field, text, "write a number with a unit of ms, s, m, h, d or w, as in 90s or 1h30m")
    })
}

/// Parses `512MiB`, `4GiB`, `1.5G`, `100MB` into bytes. `K`, `M`, `G` are powers of 1,024; `kB`, `MB`, `GB` of 1,000.
pub fn size_bytes(field: &str, text: &str) -> Result<u64, Invalid> {
    if let Ok(n) = text.parse::<u64>() {
        if n == 0 {
            return Ok(0);
        }
        let remedy = format!("a size needs a unit: {n}MiB (mebibytes) or {n}GiB (gibibytes)?");
        return Err(Invalid::new(field, text, remedy));
    }
    let bad = || {
        Invalid::new(
            field,
            text,
            "write a number with a unit of B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, as in 4GiB",
        )
    };
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(split);
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|u| u.1).ok_or_else(bad)?;
    scaled(number, factor).ok_or_else(bad)
}

/// Parses `2`, `0.5`, `1.25` into thousandths.
pub fn thousandths(field: &str, text: &str) -> Result<u64, Invalid> {
    let bad = || Invalid::new(field, text, "write a number with at most three decimals, as in 2 or 0.5");
    let decimals = text.split_once('.').map_or(0, |(_, d)| d.len());
    if decimals > 3 {
        return Err(bad());
    }
    scaled(text, 1_000).ok_or_else(bad)
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

fn clock_ms(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.split(':').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    let [h, m, s] = parts[..] else { return None };
    if m >= 60 || s >= 60 {
        return None;
    }
    h.checked_mul(3_600)?.checked_add(m * 60 + s)?.checked_mul(1_000)
}

fn sum_of_parts(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let factor = units.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scaled(number, factor)?)?;
        rest = next;
    }
    Some(total).filter(|_| !text.is_empty())
}

/// `number` × `factor` in integers, so that 0.1 means one tenth exactly.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let whole: u128 = u128::from(whole.parse::<u64>().ok()?) * u128::from(factor);
    let scale = 10u128.pow(fraction.len() as u32);
    let part = if fraction.is_empty() {
        0
    } else {
        u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / scale
    };
    u64::try_from(whole + part).ok()
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
        ] {
            assert_eq!(duration_ms("--time-limit", text), Ok(ms), "{text}");
        }
        for bad in ["", "h", "5x", "-3s", "1:2", "3s4", "1e3s", "99999999999999999999s"] {
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
        for (text, bytes) in
            [("4GiB", 4 << 30), ("1.5G", 3 << 29), ("100MB", 100_000_000), ("7B", 7), ("0", 0)]
        {
            assert_eq!(size_bytes("--mem", text), Ok(bytes), "{text}");
        }
        for bad in ["", "GiB", "4gb", "4 GiB", "-1GiB", "18446744073709551615TiB"] {
            assert!(size_bytes("--mem", bad).is_err(), "{bad}");
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
