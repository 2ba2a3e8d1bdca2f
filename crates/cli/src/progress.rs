//! How far a wait is: a bar on a terminal, a line now and then elsewhere when asked for.

use crate::show::{output::say, text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use taskyard_client::api::{JobSummary, TaskCounts};

/// Without a terminal, a line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Waits shorter than this show nothing: a bar that only flashes says nothing.
const BAR_AFTER: Duration = Duration::from_millis(400);

/// Progress of one wait.
pub(crate) struct WaitProgress {
    kind: Display,
    began: Instant,
    /// Done when it was first looked at: the rate is of this wait alone.
    first: Option<(Instant, u64)>,
}

enum Display {
    Nothing,
    Lines { last: Option<Instant> },
    Bar { bar: Option<ProgressBar> },
}

impl WaitProgress {
    /// A bar if a person watches, lines if asked for, else nothing.
    pub(crate) fn new(asked: bool) -> WaitProgress {
        let kind = match (std::io::stderr().is_terminal(), asked) {
            (true, _) => Display::Bar { bar: None },
            (false, true) => Display::Lines { last: None },
            (false, false) => Display::Nothing,
        };
        WaitProgress { kind, began: Instant::now(), first: None }
    }

    /// How often it wants to hear of the job.
    pub(crate) fn interval(&self) -> Duration {
        match self.kind {
            Display::Nothing => Duration::from_secs(50),
            Display::Lines { .. } => Duration::from_secs(2),
            Display::Bar { .. } => Duration::from_millis(400),
        }
    }

    /// Shows where the job is.
    pub(crate) fn show(&mut self, job: &JobSummary) {
        let now = Instant::now();
        let done = job.tasks.done();
        let (since, at_first) = *self.first.get_or_insert((now, done));
        let rate = rate_of(done - at_first.min(done), now - since);
        match &mut self.kind {
            Display::Nothing => {}
            Display::Lines { last } => {
                if last.is_none_or(|at| now - at >= LINE_EVERY) || job.state.is_finished() {
                    *last = Some(now);
                    say(&line(job, rate));
                }
            }
            Display::Bar { bar } => {
                if self.began.elapsed() < BAR_AFTER {
                    return;
                }
                let bar = bar.get_or_insert_with(|| new_bar(job));
                bar.set_length(job.tasks.total);
                bar.set_position(done);
                bar.set_message(tail(&job.tasks, rate));
            }
        }
    }

    /// Takes the bar away, so that what follows stands on clean lines.
    pub(crate) fn clear(&mut self) {
        if let Display::Bar { bar: Some(bar) } = &self.kind {
            bar.finish_and_clear();
        }
    }
}

/// Progress of work in this process, of which it is known how much there is. Only for a person who watches.
pub(crate) struct Counted {
    what: &'static str,
    unit: &'static str,
    total: u64,
    began: Instant,
    bar: Option<ProgressBar>,
    watched: bool,
}

impl Counted {
    /// `what` is done to `total` things.
    pub(crate) fn new(what: &'static str, total: u64, unit: &'static str) -> Counted {
        Counted {
            what,
            unit,
            total,
            began: Instant::now(),
            bar: None,
            watched: std::io::stderr().is_terminal(),
        }
    }

    /// Shows how many are done.
    pub(crate) fn show(&mut self, done: u64) {
        if !self.watched || self.began.elapsed() < BAR_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(self.total), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix} [{bar:28}] {pos}/{len} {msg}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.with_prefix(self.what)
        });
        bar.set_position(done);
        let left = u128::from(self.total - done.min(self.total)) * self.began.elapsed().as_millis();
        let left = u64::try_from(left / u128::from(done.max(1))).unwrap_or(u64::MAX);
        bar.set_message(format!("{}, {} left", self.unit, text::span(left.div_ceil(1_000) * 1_000)));
    }

    /// Takes the bar away.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(job: &JobSummary) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(job.tasks.total), ProgressDrawTarget::stderr_with_hz(10))
        .with_prefix(format!("job {}", job.id));
    let template = "{prefix} [{bar:28}] {pos}/{len} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar
}

/// Tasks a second, in tenths.
fn rate_of(done: u64, during: Duration) -> Option<u64> {
    let ms = u64::try_from(during.as_millis()).ok().filter(|ms| *ms >= 500)?;
    Some(done * 10_000 / ms).filter(|rate| *rate > 0)
}

/// What stands behind the count: rate, time left, and what is not plain success.
fn tail(tasks: &TaskCounts, rate: Option<u64>) -> String {
    let mut parts = Vec::new();
    if let Some(tenths) = rate {
        let left = (tasks.total - tasks.done()) * 10_000 / tenths;
        parts.push(format!("{}.{}/s", tenths / 10, tenths % 10));
        // An estimate is not good to milliseconds.
        let seconds = left.div_ceil(1_000);
        parts.push(if seconds < 60 {
            format!("{seconds}s left")
        } else {
            format!("{} left", text::span(left))
        });
    }
    for (n, what) in [
        (tasks.running, "running"),
        (tasks.failed, "failed"),
        (tasks.cancelled, "cancelled"),
        (tasks.skipped, "skipped"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    parts.join(", ")
}

fn line(job: &JobSummary, rate: Option<u64>) -> String {
    let tail = tail(&job.tasks, rate);
    let gap = if tail.is_empty() { "" } else { ", " };
    format!("job {}: {} done{gap}{tail}", job.id, text::done(&job.tasks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left() {
        let tasks =
            TaskCounts { total: 1_000, succeeded: 490, failed: 10, running: 4, ..TaskCounts::default() };
        assert_eq!(rate_of(500, Duration::from_secs(10)), Some(500));
        assert_eq!(tail(&tasks, Some(500)), "50.0/s, 10s left, 4 running, 10 failed");
        assert_eq!(tail(&tasks, None), "4 running, 10 failed");
        assert_eq!(rate_of(5, Duration::from_millis(10)), None, "too early to tell");
    }
}
