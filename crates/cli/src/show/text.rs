//! Times, amounts and outcomes in words short enough for a table.

use taskyard_client::api::units::{show_size, show_thousandths};
use taskyard_client::api::{Attempt, JobState, JobSummary, Predecessor, Resources, ResultCount, TaskCounts};

const DAY_MS: u64 = 86_400_000;
/// Past this, a date needs its year.
const YEAR_MS: u64 = 300 * DAY_MS;

/// Wall clock now.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago, and past a day the date too: `12s`, `3m`, `5h`, `2d (Nov 27)`.
pub(crate) fn age_and_date(at_ms: u64, now_ms: u64) -> String {
    let age = age(at_ms, now_ms);
    match now_ms.saturating_sub(at_ms) {
        0..DAY_MS => age,
        DAY_MS..YEAR_MS => format!("{age} ({})", format(at_ms, "%b %e").replace("  ", " ")),
        _ => format!("{age} ({})", format(at_ms, "%Y-%m-%d")),
    }
}

/// How long ago, in one unit: `12s`, `3m`, `5h`, `2d`.
pub(crate) fn age(at_ms: u64, now_ms: u64) -> String {
    let s = now_ms.saturating_sub(at_ms) / 1_000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// In how long, in one unit and rounded: a time that was set as `+1h` is still `1h` away a moment later.
pub(crate) fn ahead(now_ms: u64, at_ms: u64) -> String {
    let s = at_ms.saturating_sub(now_ms).div_ceil(1_000);
    let rounded = |unit: u64| (s + unit / 2) / unit;
    match s {
        0..60 => format!("{s}s"),
        60..3_570 => format!("{}m", rounded(60)),
        3_570..84_600 => format!("{}h", rounded(3_600)),
        _ => format!("{}d", rounded(86_400)),
    }
}

/// How long, in at most two units: `3ms`, `4.2s`, `3m10s`, `2h05m`, `3d04h`.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{s}.{}s", ms % 1_000 / 100),
        10_000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{}m{:02}s", s / 60, s % 60),
        3_600_000..86_400_000 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A moment in the zone of this machine, which it names: `2026-11-30 15:04:05 CET`.
pub(crate) fn time(at_ms: u64) -> String {
    format(at_ms, "%Y-%m-%d %H:%M:%S %Z")
}

/// A time of day, with the date unless it is within a day of now: `15:04:05`, `Nov 27 15:04:05`.
pub(crate) fn clock(at_ms: u64, now_ms: u64) -> String {
    match at_ms.abs_diff(now_ms) {
        0..DAY_MS => format(at_ms, "%H:%M:%S"),
        DAY_MS..YEAR_MS => format(at_ms, "%b %e %H:%M:%S").replace("  ", " "),
        _ => format(at_ms, "%Y-%m-%d %H:%M"),
    }
}

fn format(at_ms: u64, how: &str) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(
        || at_ms.to_string(),
        |t| t.to_zoned(crate::time::shown_in().clone()).strftime(how).to_string(),
    )
}

/// How far a job is.
pub(crate) fn done(tasks: &TaskCounts) -> String {
    format!("{}/{}", tasks.done(), tasks.total)
}

/// The parts that are not zero: `480 succeeded, 20 failed`.
pub(crate) fn counts(tasks: &TaskCounts) -> String {
    let parts = [
        (tasks.running, "running"),
        (tasks.prefetched, "prefetched"),
        (tasks.pending, "pending"),
        (tasks.succeeded, "succeeded"),
        (tasks.failed, "failed"),
        (tasks.cancelled, "cancelled"),
        (tasks.skipped, "skipped"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    parts.join(", ")
}

/// `1 task`, `5 tasks`.
pub(crate) fn tasks(n: u64) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") }
}

/// A job's second word on itself: why it waits, or how many of its tasks failed.
pub(crate) fn remark(job: &JobSummary) -> String {
    match (&job.reason, job.tasks.failed) {
        (_, failed) if failed > 0 && job.tasks.total > 1 => format!("{failed} failed"),
        _ if shows_reason(job) => reason(job).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Why it waits, with times as they are here.
pub(crate) fn reason(job: &JobSummary) -> Option<String> {
    let reason = job.reason.as_ref()?;
    match job.begin_at_ms.filter(|_| reason == "waits for its begin time") {
        Some(at) => Some(format!("not before {}", time(at))),
        None => Some(reason.clone()),
    }
}

/// A begin, and how far away it is.
pub(crate) fn begin(at_ms: u64, now_ms: u64) -> String {
    match at_ms.checked_sub(now_ms) {
        Some(left) if left > 0 => format!("{}, in {}", time(at_ms), span(left)),
        _ => time(at_ms),
    }
}

/// Whether its reason says something: while it waits, and when it was skipped or has failed.
pub(crate) fn shows_reason(job: &JobSummary) -> bool {
    !job.state.is_finished() || matches!(job.state, JobState::Skipped | JobState::Failed)
}

/// A predecessor as it is typed, and its state: `ok:5 (running)`.
pub(crate) fn predecessor(p: &Predecessor) -> String {
    match p.state {
        Some(state) => format!("{}:{} ({})", p.need, p.job, state.name()),
        // Forgotten, or not for these eyes.
        None => format!("{}:{}", p.need, p.job),
    }
}

/// How an attempt ended, and whether what it wrote is all there.
pub(crate) fn result_and_output(attempt: &Attempt) -> String {
    let incomplete = if disk_full(attempt).is_some() { ", output incomplete" } else { "" };
    format!("{}{incomplete}", result(attempt))
}

/// Of an attempt whose output may have been lost to a full disk: says so.
pub(crate) fn disk_full(attempt: &Attempt) -> Option<String> {
    let node = attempt.node.as_deref().unwrap_or_default();
    let is_full = attempt.output_incomplete.as_deref() == Some(Attempt::DISK_FULL);
    is_full
        .then(|| format!("output may be incomplete: the disk of node {node} was full (ENOSPC) while it ran"))
}

/// How an attempt ended: `exit 3`, `signal 9 (KILL)`, `no such program (errno 2)`.
pub(crate) fn result(attempt: &Attempt) -> String {
    let Some(result) = attempt.result.as_deref() else { return String::new() };
    match (result, attempt.exit_code, attempt.signal, attempt.errno) {
        ("succeeded", ..) => "exit 0".to_owned(),
        ("exited", Some(code), ..) => format!("exit {code}"),
        // A count over several codes.
        ("exited", None, ..) => "exit not 0".to_owned(),
        ("signalled", _, Some(signal), _) => format!("signal {signal}{}", signal_name(signal)),
        ("signalled", ..) => "signal".to_owned(),
        ("time_limit", ..) => stopped("time limit", attempt),
        ("cancelled", ..) => stopped("cancelled", attempt),
        ("lease_lost", ..) => stopped("lease lost", attempt),
        ("agent_lost", ..) => stopped("agent lost", attempt),
        ("agent_stopped", ..) => stopped("agent stopped", attempt),
        ("keeper_lost", ..) => stopped("keeper lost", attempt),
        ("no_program", .., errno) => format!("no such program{}", errno_text(errno)),
        ("no_cwd", .., errno) => format!("no such directory{}", errno_text(errno)),
        ("no_file", .., errno) => format!("file not opened{}", errno_text(errno)),
        ("start_failed", .., errno) => format!("not started{}", errno_text(errno)),
        ("node_fault", .., errno) => format!("node could not start it{}", errno_text(errno)),
        (other, ..) => other.to_owned(),
    }
}

/// What stopped an attempt, and how its program ended: `time limit, exit 143`. One that was killed needs no more words.
fn stopped(why: &str, attempt: &Attempt) -> String {
    match (attempt.exit_code, attempt.signal) {
        (Some(code), _) => format!("{why}, exit {code}"),
        (None, Some(9 | 15) | None) => why.to_owned(),
        (None, Some(signal)) => format!("{why}, signal {signal}{}", signal_name(signal)),
    }
}

/// How tasks of one count ended.
pub(crate) fn end(count: &ResultCount) -> String {
    result(&Attempt {
        result: Some(count.result.clone()),
        exit_code: count.code,
        signal: count.code,
        errno: count.code,
        ..Attempt::default()
    })
}

pub(crate) fn errno_text(errno: Option<i32>) -> String {
    match errno {
        // The two that stand behind nearly all of these need no number.
        None | Some(0 | 2) => String::new(),
        Some(5) => " (input/output error)".to_owned(),
        Some(11) => " (no more processes)".to_owned(),
        Some(12) => " (out of memory)".to_owned(),
        Some(13) => " (permission denied)".to_owned(),
        Some(23 | 24) => " (too many open files)".to_owned(),
        Some(28) => " (disk full)".to_owned(),
        Some(30) => " (read-only file system)".to_owned(),
        Some(n) => format!(" (errno {n})"),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        _ => return String::new(),
    };
    format!(" ({name})")
}

/// Resources in one line: `2 cpu, 4GiB, 1 gpu, 1 licence`.
pub(crate) fn resources(r: &Resources) -> String {
    let mut parts = vec![format!("{} cpu", show_thousandths(r.cpu_milli))];
    if r.memory_bytes > 0 {
        parts.push(show_size(r.memory_bytes));
    }
    if r.gpu_milli > 0 {
        parts.push(format!("{} gpu", show_thousandths(r.gpu_milli)));
    }
    parts.extend(r.named.iter().map(|(name, n)| format!("{n} {name}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_ages_are_short() {
        let spans = [
            (3, "3ms"),
            (4_250, "4.2s"),
            (59_999, "59s"),
            (190_000, "3m10s"),
            (7_500_000, "2h05m"),
            (273_600_000, "3d04h"),
        ];
        for (ms, text) in spans {
            assert_eq!(span(ms), text);
        }
        for (s, text) in [(0, "0s"), (61, "1m"), (7_300, "2h"), (200_000, "2d")] {
            assert_eq!(age(0, s * 1_000), text);
        }
        assert_eq!(age(5_000, 1_000), "0s", "clocks of two machines");
        for (ms, text) in
            [(3_599_880, "1h"), (3_569_000, "59m"), (90_000, "2m"), (59_100, "1m"), (86_399_000, "1d")]
        {
            assert_eq!(ahead(0, ms), text, "{ms}");
        }
        // Noon, so that the zone of the machine that tests makes no other day of it.
        let noon = 1_780_056_000_000;
        assert_eq!(age_and_date(noon, noon + DAY_MS - 1), "23h");
        assert_eq!(age_and_date(noon, noon + 2 * DAY_MS), "2d (May 29)");
        assert_eq!(age_and_date(noon, noon + 400 * DAY_MS), "400d (2026-05-29)");
        assert_eq!(clock(noon, noon + 1_000).len(), 8);
        assert!(clock(noon, noon + 2 * DAY_MS).starts_with("May 29 "));
        assert!(time(noon).starts_with("2026-05-29 ") && time(noon).len() > 20, "{}", time(noon));
    }
}
