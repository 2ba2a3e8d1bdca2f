//! From bytes to records. Bad lines are counted with their numbers; only a failing read is an error.

use super::number::{Fields, NumberError};
use super::{Header, Log, SwfRecord};
use crate::lines::{InputLine, Lines};
use crate::workload::MalformedLines;
use crate::{TraceError, limits};
use std::io::Read;

/// Fields of a whole record.
const FIELDS: usize = 18;
/// Fields without which a record means nothing: up to the user.
const FIELDS_NEEDED: usize = 12;
/// What some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Characters of a bad field that a complaint repeats.
const SHOWN_CHARS: usize = 40;

/// Reads a log from plain text.
pub fn parse(name: &str, from: impl Read) -> Result<Log, TraceError> {
    let mut log = Log { name: name.to_owned(), ..Log::default() };
    let mut lines = Lines::new(from);
    loop {
        let number = lines.number + 1;
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => {
                log.lines = number - 1;
                return Ok(log);
            }
            Err(source) => return Err(TraceError::Read { trace: log.name, line: number - 1, source }),
        };
        match line {
            InputLine::Text(text) if number == 1 => {
                log.take(number, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
            }
            InputLine::Text(text) => log.take(number, text),
            InputLine::TooLong => {
                let why = || format!("longer than {} bytes: is this a log in SWF?", limits::LINE_BYTES_MAX);
                log.malformed.add(number, why);
            }
        }
        if log.records.len() > limits::JOBS_MAX {
            return Err(TraceError::TooMany { trace: log.name });
        }
    }
}

impl Log {
    #[inline]
    fn take(&mut self, number: u64, line: &[u8]) {
        let line = line.trim_ascii_start();
        match line.first() {
            None => {}
            Some(b';') => comment(&mut self.header, number, line, &mut self.malformed),
            Some(_) => match record(line) {
                Ok(record) => self.records.push(record),
                Err(fault) => self.malformed.add(number, || fault.explain(line)),
            },
        }
    }
}

/// Takes `; MaxProcs: 128`. Anything else in a comment is for people.
fn comment(header: &mut Header, number: u64, line: &[u8], malformed: &mut MalformedLines) {
    let text = String::from_utf8_lossy(line);
    let Some((key, value)) = text.trim_matches([';', ' ', '\t', '\r']).split_once(':') else { return };
    let (key, value) = (key.trim(), value.trim());
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    if is("AllowOveruse") {
        header.allow_overuse = ["yes", "true", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
    }
    let slot = match () {
        () if is("MaxProcs") => &mut header.max_procs,
        () if is("MaxNodes") => &mut header.max_nodes,
        () => return,
    };
    match count(value) {
        Some(n) if (1..=limits::PROCS_MAX).contains(&n) => *slot = slot.or(Some(n)),
        // "-1" and "unknown" are how logs say that they do not know.
        _ if value.starts_with("-1") || value.eq_ignore_ascii_case("unknown") => {}
        _ => {
            let value = shown(value.as_bytes());
            if is("MaxProcs") {
                header.max_procs_unread.get_or_insert_with(|| value.clone());
            }
            malformed
                .add(number, || format!("{key}: \"{value}\": a number between 1 and {}", limits::PROCS_MAX));
        }
    }
}

/// A whole number, with commas between groups of three digits maybe, and a remark in parentheses maybe. Nothing else:
/// the first digits of something else are another number.
fn count(text: &str) -> Option<u32> {
    let number = text.split_once('(').map_or(text, |(number, _)| number).trim_end();
    let mut groups = number.split(',');
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().filter(|first| digits(first))?;
    let rest: Vec<&str> = groups.collect();
    let grouped = rest.is_empty() || first.len() <= 3;
    let whole = grouped && rest.iter().all(|group| digits(group) && group.len() == 3);
    if whole { number.replace(',', "").parse().ok() } else { None }
}

/// What is wrong with a line.
#[derive(Clone, Copy)]
enum Fault {
    /// Exactly the expected number of fields.
    Short(usize),
    /// Field (from 1) is not what it should be.
    Field(usize, &'static str),
}

#[inline]
fn record(line: &[u8]) -> Result<SwfRecord, Fault> {
    let mut fields = Fields::new(line);
    // By position: the twelve fields up to the user. Those that mean nothing here are walked over, not read.
    let mut values = [0i64; FIELDS_NEEDED];
    for (i, value) in values.iter_mut().enumerate() {
        if matches!(i, 2 | 5 | 6 | 9) {
            fields.text().ok_or(Fault::Short(i))?;
            continue;
        }
        *value = fields.thousandths().ok_or(Fault::Short(i))?.map_err(|bad| bad.fault(i + 1))?;
    }
    let mut count = FIELDS_NEEDED;
    while count < FIELDS && fields.text().is_some() {
        count += 1;
    }
    let [id, submit_ms, _, run_ms, allocated, _, _, requested, requested_ms, _, status, user] = values;
    let time = |ms: i64, field| {
        let large = ms.abs() > limits::TIME_S_MAX * 1_000;
        if large { Err(Fault::Field(field, "a time this large is a mistake")) } else { Ok(ms) }
    };
    let procs = |n: i64, field| match i32::try_from(n / 1_000) {
        Ok(n) if n.unsigned_abs() <= limits::PROCS_MAX => Ok(n),
        _ => Err(Fault::Field(field, "this number of processors is a mistake")),
    };
    Ok(SwfRecord {
        id: u64::try_from(id / 1_000).map_err(|_| Fault::Field(1, "a job number is not negative"))?,
        submit_ms: time(submit_ms, 2)?,
        run_ms: time(run_ms, 4)?,
        requested_ms: time(requested_ms, 9)?,
        allocated: procs(allocated, 5)?,
        requested: procs(requested, 8)?,
        partial: matches!(status, 2_000 | 3_000 | 4_000),
        user: i32::try_from(user / 1_000)
            .map_err(|_| Fault::Field(12, "a user number this large is a mistake"))?,
        whole: count == FIELDS,
    })
}

impl NumberError {
    fn fault(self, field: usize) -> Fault {
        match self {
            NumberError::NotANumber => Fault::Field(field, "a number is expected"),
            NumberError::TooLarge => Fault::Field(field, "a number this large is a mistake"),
        }
    }
}

impl Fault {
    fn explain(self, line: &[u8]) -> String {
        match self {
            Fault::Short(fields) => format!(
                "{fields} fields, {FIELDS_NEEDED} are needed and {FIELDS} are usual: \"{}\"",
                shown(line)
            ),
            Fault::Field(n, what) => {
                let name = NAMES.get(n - 1).copied().unwrap_or("field");
                let mut fields = Fields::new(line);
                let value = (1..n).fold(fields.text(), |_, _| fields.text()).unwrap_or_default();
                format!("field {n} ({name}): \"{}\": {what}", shown(value))
            }
        }
    }
}

const NAMES: [&str; FIELDS_NEEDED] = [
    "job number",
    "submit time",
    "wait time",
    "run time",
    "allocated processors",
    "average cpu time",
    "used memory",
    "requested processors",
    "requested time",
    "requested memory",
    "status",
    "user",
];

/// The beginning of some bytes, for a complaint: nothing a terminal would obey.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let head: String = text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN_CHARS { format!("{head}…") } else { head }
}
