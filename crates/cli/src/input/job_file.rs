//! Job files in TOML and JSON, read into the same value.

use crate::exit::Failure;
use serde_json::Value;
use taskyard_client::api::{Invalid, json, lookalike};

/// Reads JSON.
pub(crate) fn json(name: &str, content: &[u8]) -> Result<Value, Failure> {
    json::read(content).map_err(|error| no_json(name, content, 0, &error).into())
}

/// Says where JSON is broken, of which the reader did not see the first lines.
pub(crate) fn no_json(name: &str, content: &[u8], lines_before: usize, error: &serde_json::Error) -> Invalid {
    let place = format!("{name}:{}:{}", lines_before + error.line(), error.column());
    let text = error.to_string();
    // The place is told in front.
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    let twice = text.strip_prefix("duplicate field `").and_then(|rest| rest.split_once("`: it "));
    let remedy = match twice {
        Some((key, how)) => format!("{key} {how}; leave one of them out"),
        None => format!("this is not JSON: {text}{}", strange(content)),
    };
    Invalid::new(place, "", remedy)
}

/// Reads TOML.
pub(crate) fn toml(name: &str, content: &[u8]) -> Result<Value, Failure> {
    let content = json::without_mark(content);
    let text = std::str::from_utf8(content).map_err(|e| {
        Invalid::new(name, "", format!("a job file must be UTF-8 text: {e}{}", strange(content)))
    })?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
        let remedy = twice(text, &e, line)
            .unwrap_or_else(|| format!("this is not TOML: {}{}", e.message(), strange(content)));
        Invalid::new(format!("{name}:{line}"), shown, remedy)
    })?;
    Ok(value(toml::Value::Table(table)))
}

/// Of a key that TOML has twice: the line of the first, which its reader does not tell.
fn twice(text: &str, error: &toml::de::Error, line: usize) -> Option<String> {
    let key = text.get(error.span()?).filter(|_| error.message().starts_with("duplicate key"))?;
    let is_it = |text: &str| {
        text.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let before = text.lines().take(line - 1).enumerate().filter(|(_, text)| is_it(text)).last();
    Some(match before {
        Some((at, first)) => {
            format!("{key} is given twice: line {} has {}; leave one of them out", at + 1, first.trim())
        }
        None => format!("{key} is given twice; leave one of them out"),
    })
}

/// What may be the cause, though the eye does not see it.
pub(super) fn strange(content: &[u8]) -> String {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return " (the file is in UTF-16; save it as UTF-8)".to_owned();
    }
    match lookalike::find(&String::from_utf8_lossy(json::without_mark(content))) {
        Some(found) => format!(" (line {}, {found})", found.line),
        None => String::new(),
    }
}

fn value(toml: toml::Value) -> Value {
    match toml {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(n) => n.into(),
        // JSON has no such number and would read it as nothing; as text it is refused with its field.
        toml::Value::Float(n) if !n.is_finite() => Value::String(n.to_string()),
        toml::Value::Float(n) => n.into(),
        toml::Value::Boolean(b) => b.into(),
        // `time_limit = 01:30:00` reads as a time of day in TOML; as text it means what the user meant.
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(value).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(k, v)| (k, value(v))).collect(),
    }
}
