//! Times as people type them, in the zone of this machine. The server takes instants and durations only, so they
//! become these here.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use std::ffi::OsStr;
use std::sync::LazyLock;
use taskyard_client::api::Invalid;
use taskyard_client::api::begin::{self, SubmittedSince};

/// The zone of this machine, or that of `TZ`. Looked for once.
static ZONE: LazyLock<Result<TimeZone, Invalid>> = LazyLock::new(|| zone(std::env::var_os("TZ").as_deref()));

/// Without `TZ`, a machine that does not say where it is has UTC.
fn zone(named: Option<&OsStr>) -> Result<TimeZone, Invalid> {
    match (TimeZone::try_system(), named) {
        (Ok(zone), _) => Ok(zone),
        (Err(_), None) => Ok(TimeZone::UTC),
        (Err(_), Some(name)) => Err(Invalid::new(
            "TZ",
            name.to_string_lossy(),
            "there is no such time zone; write one as in Europe/Berlin or UTC, or a rule as in CET-1CEST,M3.5.0,M10.5.0/3",
        )),
    }
}

/// What the clock says here, to read a time by.
pub(crate) fn now() -> Result<Zoned, Invalid> {
    Ok(Timestamp::now().to_zoned(ZONE.clone()?))
}

/// The zone to show times in. One that is not known is said once, and UTC shown.
pub(crate) fn shown_in() -> &'static TimeZone {
    static SHOWN: LazyLock<TimeZone> = LazyLock::new(|| {
        ZONE.clone().unwrap_or_else(|unknown| {
            crate::show::output::say(&format!("warning: {unknown}; times are shown in UTC"));
            TimeZone::UTC
        })
    });
    &SHOWN
}

/// A time that lies ahead: the next `18:00`, `tomorrow 6:00`, a date with or without a time, an instant, or a delay.
pub(crate) fn ahead(field: &str, text: &str, now: &Zoned) -> Result<String, Invalid> {
    match begin::parse(field, text) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(error) => read(text, now, 1).ok_or_else(|| told(error, 1)),
    }
}

/// A time that has passed: the last `8:00`, `yesterday 18:00`, a date with or without a time, an instant, or a
/// duration.
pub(crate) fn behind(field: &str, text: &str, now: &Zoned) -> Result<String, Invalid> {
    let since = match SubmittedSince::parse(field, text) {
        Ok(_) => text.trim().to_owned(),
        Err(error) => read(text, now, -1).ok_or_else(|| told(error, -1))?,
    };
    // Nothing has happened since then, so that an empty answer would say nothing.
    if has_passed(&since, now) == Some(false) {
        return Err(Invalid::new(field, text, format!("this is in the future; {}", remedy(-1))));
    }
    Ok(since)
}

/// Whether an instant has passed; `None` of what is no instant.
pub(crate) fn has_passed(text: &str, now: &Zoned) -> Option<bool> {
    Some(text.parse::<Timestamp>().ok()? <= now.timestamp())
}

fn read(text: &str, now: &Zoned, days: i64) -> Option<String> {
    let at = local(text.trim(), now, days)?.to_zoned(now.time_zone().clone()).ok()?;
    Some(at.timestamp().to_string())
}

/// A bare number has a remedy of its own: the unit that is missing.
fn told(error: Invalid, days: i64) -> Invalid {
    let is_number = error.value.trim().trim_start_matches('+').parse::<u64>().is_ok();
    if is_number { error } else { Invalid { remedy: remedy(days).to_owned(), ..error } }
}

fn remedy(days: i64) -> &'static str {
    if days > 0 {
        "write a time as in 18:00, 'tomorrow 6:00', '2026-11-24 18:00' or 2026-11-24T18:00:00+01:00, or a delay as in +2h"
    } else {
        "write a time as in 8:00, 'yesterday 8:00', 2026-11-24, '2026-11-24 18:00' or 2026-11-24T18:00:00+01:00, or a duration as in 2h"
    }
}

/// A time without a zone. A time of day alone is the next one (`days` is 1), or the last one (-1).
fn local(text: &str, now: &Zoned, days: i64) -> Option<DateTime> {
    let (first, rest) = text.split_once([' ', 'T']).map_or((text, None), |(a, b)| (a, Some(b.trim())));
    let distance = match first {
        "today" => Some(0),
        "tomorrow" => Some(1),
        "yesterday" => Some(-1),
        _ => None,
    };
    let date = match distance {
        Some(distance) => now.date().checked_add(distance.days()).ok(),
        None => first.parse::<Date>().ok(),
    };
    match (date, rest) {
        (Some(date), None) => Some(date.to_datetime(Time::midnight())),
        (Some(date), Some(rest)) => Some(date.to_datetime(time_of_day(rest)?)),
        (None, Some(_)) => None,
        (None, None) => {
            let at = now.date().to_datetime(time_of_day(text)?);
            let is_there = if days > 0 { at > now.datetime() } else { at <= now.datetime() };
            if is_there { Some(at) } else { at.checked_add(days.days()).ok() }
        }
    }
}

/// `6:00`, `18:00`, `18:00:30`.
fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let mut next = || parts.next().map(|part| part.parse::<i8>());
    let (hour, minute) = (next()?.ok()?, next()?.ok()?);
    let second = next().unwrap_or(Ok(0)).ok()?;
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_need_no_database_of_the_machine() {
        let bundled = jiff::tz::TimeZoneDatabase::bundled();
        let berlin = bundled.get("Europe/Berlin").unwrap();
        let noon = jiff::civil::date(2027, 6, 1).at(12, 0, 0, 0);
        assert_eq!(noon.to_zoned(berlin).unwrap().timestamp().to_string(), "2027-06-01T10:00:00Z");
    }

    fn noon() -> Zoned {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        jiff::civil::date(2026, 11, 24).at(12, 0, 0, 0).to_zoned(berlin).unwrap()
    }

    #[test]
    fn times_ahead() {
        let at = |text: &str| ahead("--begin", text, &noon());
        let cases = [
            ("18:00", "2026-11-24T17:00:00Z"),
            ("6:00", "2026-11-25T05:00:00Z"),
            ("12:00", "2026-11-25T11:00:00Z"),
            ("12:00:01", "2026-11-24T11:00:01Z"),
            ("tomorrow 6:00", "2026-11-25T05:00:00Z"),
            ("tomorrow", "2026-11-24T23:00:00Z"),
            ("today 13:30", "2026-11-24T12:30:00Z"),
            ("2026-12-01", "2026-11-30T23:00:00Z"),
            ("2026-12-01 18:00", "2026-12-01T17:00:00Z"),
            ("2026-07-01T18:00", "2026-07-01T16:00:00Z"),
            // Not there on that day: the clocks go from two to three. There twice: the first.
            ("2027-03-28 2:30", "2027-03-28T01:30:00Z"),
            ("2027-10-31 2:30", "2027-10-31T00:30:00Z"),
            ("2026-11-24T18:00:00+05:00", "2026-11-24T18:00:00+05:00"),
            ("+2h", "+2h"),
            (" now+90s ", "now+90s"),
        ];
        for (text, want) in cases {
            assert_eq!(at(text).unwrap(), want, "{text}");
        }
        for text in [
            "",
            "noon",
            "25:00",
            "18:60",
            "18",
            "6:0:0:0",
            "tomorrow noon",
            "2026-13-01",
            "2026-02-30 1:00",
            "-2h",
        ] {
            let error = at(text).unwrap_err();
            assert!(
                error.remedy.contains(if text == "18" { "18s" } else { "tomorrow 6:00" }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn times_behind() {
        let at = |text: &str| behind("--since", text, &noon());
        let cases = [
            ("8:00", "2026-11-24T07:00:00Z"),
            ("12:00", "2026-11-24T11:00:00Z"),
            ("18:00", "2026-11-23T17:00:00Z"),
            ("yesterday 18:00", "2026-11-23T17:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("2h", "2h"),
            ("2026-11-24T13:00:00+05:00", "2026-11-24T13:00:00+05:00"),
        ];
        for (text, want) in cases {
            assert_eq!(at(text).unwrap(), want, "{text}");
        }
        for (text, remedy) in [
            ("+2h", "yesterday 8:00"),
            ("noon", "yesterday 8:00"),
            ("tomorrow", "this is in the future"),
            ("2030-01-01T00:00:00Z", "this is in the future"),
            ("3", "3s (3 seconds)"),
            ("", "yesterday 8:00"),
        ] {
            let error = at(text).unwrap_err();
            assert!(error.remedy.contains(remedy), "{text}: {error}");
        }
    }
}
