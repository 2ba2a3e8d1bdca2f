//! Job files in TOML and JSON, read into the same value.

use crate::exit::Failure;
use serde_json::Value;
use taskyard_client::api::{Invalid, json};

/// Reads JSON.
pub(crate) fn json(name: &str, content: &[u8]) -> Result<Value, Failure> {
    json::read(content)
        .map_err(|e| Invalid::new(format!("{name}:{}:{}", e.line(), e.column()), "", why(&e)).into())
}

/// What is wrong with JSON that does not read.
pub(crate) fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("duplicate field") { text } else { format!("this is not JSON: {text}") }
}

/// Reads TOML.
pub(crate) fn toml(name: &str, content: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(content)
        .map_err(|e| Invalid::new(name, "", format!("a job file is text in UTF-8: {e}")))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        let shown = text.lines().nth(line - 1).unwrap_or_default().trim();
        Invalid::new(format!("{name}:{line}"), shown, format!("this is not TOML: {}", e.message()))
    })?;
    Ok(value(toml::Value::Table(table)))
}

fn value(toml: toml::Value) -> Value {
    match toml {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(n) => n.into(),
        toml::Value::Float(n) => n.into(),
        toml::Value::Boolean(b) => b.into(),
        // `time_limit = 01:30:00` reads as a time of day in TOML; as text it means what the user meant.
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(value).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(k, v)| (k, value(v))).collect(),
    }
}
