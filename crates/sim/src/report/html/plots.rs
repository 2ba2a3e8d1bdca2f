//! The plots of the page with their legend.

use super::Escaped;
use crate::limits::PLOT_LINES_MAX;
use crate::report::plot::{Curve, Plot};
use crate::report::scale::Scale;
use crate::report::text::duration;
use crate::report::{PolicyRun, TimeSeries};
use std::fmt::Write;

const WIDTH: f64 = 1_060.0;
/// Stretches that are drawn as one in the plot of the queue: with more corners its lines cannot be told apart.
const TOGETHER: usize = 4;
/// Peaks this many times apart need a logarithmic axis to be seen beside each other.
const APART: f64 = 5.0;

/// A run that is drawn, with its number.
struct PlottedRun<'a> {
    number: usize,
    run: &'a PolicyRun,
    name: String,
}

pub(super) fn plots(out: &mut String, runs: &[PolicyRun]) {
    let drawn = drawn(runs);
    legend(out, &drawn, runs.len());
    let timed: Vec<(&PlottedRun<'_>, &TimeSeries)> =
        drawn.iter().filter_map(|d| Some((d, d.run.series.time.as_ref()?))).collect();
    if timed.is_empty() {
        out.push_str(
            "<p class=\"dim\">Several windows have no common time: there is no plot over time.</p>\n",
        );
    } else {
        queue(out, &timed);
    }
    waits(out, &drawn);
    if !timed.is_empty() {
        utilisation(out, &timed);
    }
}

/// All runs, or those with the smallest slowdown if they are too many to be told apart.
fn drawn(runs: &[PolicyRun]) -> Vec<PlottedRun<'_>> {
    let mut numbers: Vec<usize> = (0..runs.len()).collect();
    let slowdown = |i: &usize| runs[*i].metrics.mean_bounded_slowdown;
    numbers.sort_by(|a, b| slowdown(a).total_cmp(&slowdown(b)));
    numbers.truncate(PLOT_LINES_MAX);
    numbers.sort_unstable();
    numbers
        .into_iter()
        .map(|number| PlottedRun { number, run: &runs[number], name: runs[number].name() })
        .collect()
}

fn legend(out: &mut String, drawn: &[PlottedRun<'_>], runs: usize) {
    out.push_str("<h2>Plots</h2>\n<div class=\"legend\">");
    for PlottedRun { number, name, .. } in drawn {
        let _ = write!(
            out,
            "<label><input type=\"checkbox\" id=\"b{number}\" checked><svg viewBox=\"0 0 30 8\"><path class=\"line r{number}\" \
             style=\"display:inline\" d=\"M0 4H30\"/></svg>{}</label>",
            Escaped(name)
        );
    }
    out.push_str("</div>\n");
    if drawn.len() < runs {
        let _ = writeln!(
            out,
            "<p class=\"dim\">The {} runs with the smallest slowdown of {runs}.</p>",
            drawn.len()
        );
    }
}

fn span_s(time: &TimeSeries) -> f64 {
    time.stretch_s * time.queue_peak.len() as f64
}

fn longest(timed: &[(&PlottedRun<'_>, &TimeSeries)]) -> f64 {
    timed.iter().map(|(_, t)| span_s(t)).fold(0.0, f64::max)
}

fn queue(out: &mut String, timed: &[(&PlottedRun<'_>, &TimeSeries)]) {
    let peak = |t: &TimeSeries| t.queue_peak.iter().copied().max().unwrap_or(0) as f64;
    let highest = timed.iter().map(|(_, t)| peak(t)).fold(0.0, f64::max);
    let lowest = timed.iter().map(|(_, t)| peak(t)).fold(f64::MAX, f64::min);
    let y = if highest > lowest.max(1.0) * APART {
        Scale::log_count("jobs waiting", highest)
    } else {
        Scale::linear("jobs waiting", highest)
    };
    let lines = timed.iter().map(|(d, t)| Curve {
        run: d.number,
        name: &d.name,
        points: peaks(t),
        steps: true,
        filled: false,
    });
    let x = Scale::time("time since the first submit", longest(timed));
    let plot = Plot { width: WIDTH, height: 270.0, x, y, x_named: true, lines: lines.collect() };
    let stretch = timed.iter().map(|(_, t)| t.stretch_s).fold(0.0, f64::max);
    let _ = write!(
        out,
        "<h2>Queue length</h2>\n<figure><figcaption>Most jobs that waited at once, in each {}.</figcaption>{}</figure>\n",
        duration(stretch * TOGETHER as f64),
        plot.svg("Queue length over time")
    );
}

fn waits(out: &mut String, drawn: &[PlottedRun<'_>]) {
    let longest = drawn.iter().filter_map(|d| d.run.series.waits.last()).map(|w| w.0).fold(1.0, f64::max);
    let shares = |d: &PlottedRun<'_>| {
        let mut points = d.run.series.waits.clone();
        // A line that has reached the top stays there, so that its end is seen against the others.
        points.extend(points.last().map(|(_, share)| (longest, *share)));
        points
    };
    let _ = write!(
        out,
        "<h2>Waits</h2>\n<figure><figcaption>Share of jobs that waited no longer than this: the further up and left, the better. \
         The left end counts all that started within a second.</figcaption>{}</figure>\n",
        over_waits(drawn, longest, Scale::share("share of jobs", 5), shares)
            .svg("Cumulative distribution of waits")
    );
    let jobs = drawn.iter().map(|d| d.run.metrics.jobs).max().unwrap_or(1);
    // No job is beyond the longest wait, and nothing has no logarithm: the line falls to the bottom there.
    let beyond = |d: &PlottedRun<'_>| {
        let waits = &d.run.series.waits;
        let some = waits.iter().map(|(wait, share)| (*wait, 1.0 - share)).filter(|(_, share)| *share > 0.0);
        some.chain(waits.last().map(|(longest, _)| (*longest, 0.0))).collect()
    };
    let _ = write!(
        out,
        "<h2>The longest waits</h2>\n<figure><figcaption>Share of jobs that waited longer than this: the further down and left, the \
         better. A line that goes on to the right is a job that starves.</figcaption>{}</figure>\n",
        over_waits(drawn, longest, Scale::log_share("share of jobs, logarithmic", 1.0 / jobs as f64), beyond)
            .svg("Share of jobs that waited longer")
    );
}

fn over_waits<'a>(
    drawn: &'a [PlottedRun<'_>],
    longest: f64,
    y: Scale,
    points: impl Fn(&PlottedRun<'_>) -> Vec<(f64, f64)>,
) -> Plot<'a> {
    let line = |d: &'a PlottedRun<'_>| Curve {
        run: d.number,
        name: &d.name,
        points: points(d),
        steps: false,
        filled: false,
    };
    Plot {
        width: WIDTH,
        height: 270.0,
        x: Scale::log_time("wait, logarithmic", longest),
        y,
        x_named: true,
        lines: drawn.iter().map(line).collect(),
    }
}

/// Strips above each other: lines of use lie on top of one another, whatever the policy.
fn utilisation(out: &mut String, timed: &[(&PlottedRun<'_>, &TimeSeries)]) {
    let stretch = timed.iter().map(|(_, t)| t.stretch_s).fold(0.0, f64::max);
    let _ = write!(
        out,
        "<h2>Utilisation</h2>\n<figure><figcaption>Mean share of all cpu that ran jobs, in each {}.</figcaption>\n",
        duration(stretch)
    );
    for (i, (d, t)) in timed.iter().enumerate() {
        let line = Curve {
            run: d.number,
            name: &d.name,
            points: steps(t, |i| t.utilisation[i]),
            steps: true,
            filled: true,
        };
        let plot = Plot {
            width: WIDTH,
            height: 56.0,
            x: Scale::time("time since the first submit", longest(timed)),
            y: Scale::share("", 2),
            x_named: i + 1 == timed.len(),
            lines: vec![line],
        };
        let _ = write!(
            out,
            "<div class=\"strip s{}\"><span>{}: {:.1} %</span>{}</div>",
            d.number,
            Escaped(&d.name),
            d.run.metrics.utilisation * 100.0,
            plot.svg(&format!("Utilisation over time under {}", d.name))
        );
    }
    out.push_str("</figure>\n");
}

/// The most of several stretches together.
fn peaks(time: &TimeSeries) -> Vec<(f64, f64)> {
    let queue_peak = time.queue_peak.chunks(TOGETHER).map(|c| c.iter().copied().max().unwrap_or(0));
    let fewer = TimeSeries {
        stretch_s: time.stretch_s * TOGETHER as f64,
        queue_peak: queue_peak.collect(),
        utilisation: Vec::new(),
    };
    steps(&fewer, |i| fewer.queue_peak[i] as f64)
}

/// Begin of each stretch with its value, and the end of the last.
fn steps(time: &TimeSeries, value: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    let count = time.queue_peak.len();
    let mut points: Vec<_> = (0..count).map(|i| (i as f64 * time.stretch_s, value(i))).collect();
    points.extend(count.checked_sub(1).map(|last| (span_s(time), value(last))));
    points
}
