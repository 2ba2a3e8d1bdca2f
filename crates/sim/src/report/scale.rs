//! Axes: where a value lies, and which values are named.

use super::text::duration;

/// Most ticks of an axis.
const TICKS_MAX: f64 = 9.0;
/// Distances of ticks in seconds that people can read.
const TIMES_S: [f64; 21] = [
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1_800.0,
    3_600.0,
    7_200.0,
    14_400.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    432_000.0,
    864_000.0,
    1_728_000.0,
    4_320_000.0,
];
/// Ticks of a logarithmic axis of times, in seconds.
const LOG_TIMES_S: [f64; 13] = [
    1.0,
    10.0,
    60.0,
    600.0,
    3_600.0,
    21_600.0,
    86_400.0,
    432_000.0,
    2_592_000.0,
    25_920_000.0,
    259_200_000.0,
    2_592_000_000.0,
    25_920_000_000.0,
];

enum ScaleKind {
    /// From 0.
    Linear,
    /// Times from 1 s.
    LogTime,
    /// Counts from 0: logarithm of one more.
    LogCount,
    /// Shares from this one to 1.
    LogShare(f64),
}

/// An axis.
pub(super) struct Scale {
    kind: ScaleKind,
    max: f64,
    /// What the axis shows, with the unit.
    pub(super) label: String,
    /// Values with their names.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Seconds from 0.
    pub(super) fn time(label: &str, max: f64) -> Scale {
        let max = max.max(1.0);
        let fits = TIMES_S.iter().copied().find(|step| max / step <= TICKS_MAX);
        let step = fits.unwrap_or_else(|| nice(max / 86_400.0) * 86_400.0);
        let ticks = multiples(step, max).map(|t| (t, in_unit_of(step, t))).collect();
        Scale { kind: ScaleKind::Linear, max, label: label.to_owned(), ticks }
    }

    /// Plain numbers from 0 to a round one.
    pub(super) fn linear(label: &str, max: f64) -> Scale {
        let step = nice(max.max(1.0)).max(1.0);
        let max = (max.max(1.0) / step).ceil() * step;
        let ticks = multiples(step, max).map(|v| (v, grouped(v))).collect();
        Scale { kind: ScaleKind::Linear, max, label: label.to_owned(), ticks }
    }

    /// Shares of one, as percentages.
    pub(super) fn share(label: &str, steps: u32) -> Scale {
        let ticks =
            (0..=steps).map(|i| f64::from(i) / f64::from(steps)).map(|v| (v, format!("{:.0} %", v * 100.0)));
        Scale { kind: ScaleKind::Linear, max: 1.0, label: label.to_owned(), ticks: ticks.collect() }
    }

    /// Seconds from 1, logarithmic.
    pub(super) fn log_time(label: &str, max: f64) -> Scale {
        let max = max.max(10.0);
        let ticks = LOG_TIMES_S.iter().filter(|t| **t <= max).map(|t| (*t, short_duration(*t))).collect();
        Scale { kind: ScaleKind::LogTime, max, label: label.to_owned(), ticks }
    }

    /// Counts from 0, logarithmic: for lines of very different height.
    pub(super) fn log_count(label: &str, max: f64) -> Scale {
        let max = max.max(10.0);
        let powers = (0..16).map(|i| 10f64.powi(i)).take_while(|p| *p <= max);
        let ticks = std::iter::once(0.0).chain(powers).map(|v| (v, grouped(v))).collect();
        Scale { kind: ScaleKind::LogCount, max, label: format!("{label}, logarithmic"), ticks }
    }

    /// Shares of one down to `min`, logarithmic.
    pub(super) fn log_share(label: &str, min: f64) -> Scale {
        let min = min.clamp(1e-9, 0.1);
        let powers = (0..10).map(|i| 10f64.powi(-i)).take_while(|p| *p >= min);
        let ticks = powers.map(|p| (p, format!("{} %", (p * 1e9).round() / 1e7))).collect();
        Scale { kind: ScaleKind::LogShare(min), max: 1.0, label: label.to_owned(), ticks }
    }

    /// Where a value lies between the ends, 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.kind {
            ScaleKind::Linear => value / self.max,
            ScaleKind::LogTime => value.max(1.0).ln() / self.max.ln(),
            ScaleKind::LogCount => value.max(0.0).ln_1p() / self.max.ln_1p(),
            ScaleKind::LogShare(min) => 1.0 - value.max(min).ln() / min.ln(),
        };
        place.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, such that at most half a dozen fit.
fn nice(max: f64) -> f64 {
    let rough = max / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    factor * power
}

fn multiples(step: f64, max: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |i| f64::from(i) * step).take_while(move |v| *v <= max * 1.000_001)
}

/// A time in the largest unit of which the distance of ticks is a multiple, so that each tick is exact and all are
/// alike.
fn in_unit_of(step: f64, seconds: f64) -> String {
    if seconds == 0.0 {
        return "0".to_owned();
    }
    let units = [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0)];
    let (unit, length) = units.into_iter().find(|(_, length)| step % length == 0.0).unwrap_or(("s", 1.0));
    format!("{} {unit}", grouped(seconds / length))
}

fn short_duration(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0".to_owned();
    }
    match seconds {
        s if s < 60.0 => duration(s),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86_400.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{} d", grouped((s / 86_400.0).round())),
    }
}

/// `12,345`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(names(&Scale::time("t", 25_000_000.0)), ["0", "50 d", "100 d", "150 d", "200 d", "250 d"]);
        assert_eq!(names(&Scale::time("t", 30.0)), ["0", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]);
        assert_eq!(names(&Scale::time("t", 1e9)).last().copied(), Some("10,000 d"));
        assert_eq!(names(&Scale::linear("n", 2_345.0)), ["0", "500", "1,000", "1,500", "2,000", "2,500"]);
        assert_eq!(names(&Scale::linear("n", 0.0)), ["0", "1"]);
        assert_eq!(names(&Scale::log_count("n", 2_345.0)), ["0", "1", "10", "100", "1,000"]);
        assert_eq!(names(&Scale::log_time("t", 4_000.0)), ["1 s", "10 s", "1 min", "10 min", "1 h"]);
        assert_eq!(names(&Scale::log_share("s", 1e-4)), ["100 %", "10 %", "1 %", "0.1 %", "0.01 %"]);
        assert_eq!(names(&Scale::share("s", 2)), ["0 %", "50 %", "100 %"]);
    }

    #[test]
    fn no_tick_of_a_time_axis_is_named_twice() {
        assert_eq!(names(&Scale::time("t", 100.0)).last(), Some(&"90 s"));
        assert_eq!(names(&Scale::time("t", 250.0)).last(), Some(&"240 s"));
        for max in (0..120).map(|i| 1.2f64.powi(i)) {
            let scale = Scale::time("t", max);
            let names = names(&scale);
            let different: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{max}: {names:?}");
            assert!(names.len() >= 2 || max < 1.3, "{max}: {names:?}");
        }
    }

    #[test]
    fn places() {
        assert_eq!(Scale::time("t", 100.0).place(25.0), 0.25);
        let log = Scale::log_time("t", 100.0);
        assert_eq!((log.place(0.0), log.place(10.0), log.place(1e9)), (0.0, 0.5, 1.0));
        let share = Scale::log_share("s", 0.01);
        assert_eq!((share.place(1.0), share.place(0.1), share.place(0.0)), (1.0, 0.5, 0.0));
        assert_eq!(Scale::log_count("n", 99.0).place(9.0), 0.5);
    }
}
