//! Job files in TOML and JSON, read into the same value.

use crate::exit::Failure;
use serde_json::Value;
use taskyard_client::api::{Invalid, json, lookalike};

/// Reads JSON.
pub(crate) fn json(name: &str, content: &[u8]) -> Result<Value, Failure> {
    json::read(content).map_err(|error| no_json(name, content, &error).into())
}

/// Says where JSON is broken.
pub(crate) fn no_json(name: &str, content: &[u8], error: &serde_json::Error) -> Invalid {
    let place = format!("{name}:{}:{}", error.line(), error.column());
    let text = error.to_string();
    let remedy = match text.starts_with("duplicate field") {
        true => text,
        false => format!("this is not JSON: {text}{}", strange(content)),
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
        let remedy = format!("this is not TOML: {}{}", e.message(), strange(content));
        Invalid::new(format!("{name}:{line}"), shown, remedy)
    })?;
    Ok(value(toml::Value::Table(table)))
}

/// What may be the cause, though the eye does not see it.
fn strange(content: &[u8]) -> String {
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
