//! JSON as people write it: a key that is given twice is a mistake, and which of the two was meant is unknown.
//! Parsers usually take the last.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A value in which no object has a key twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(Read).map(Unique)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    /// A whole number is one however it is written.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        const EXACT: f64 = (1_u64 << 53) as f64;
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Ok(Value::Number((value as i64).into()));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            let Unique(value) = fields.next_value()?;
            if let Some(first) = all.get(&key) {
                let (first, second) = (shown(first), shown(&value));
                return Err(A::Error::custom(format!(
                    "duplicate field `{key}`: it is given twice, as {first} and as {second}"
                )));
            }
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

/// A value as it can stand in a message.
fn shown(value: &Value) -> String {
    const SHOWN: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Reads a value. A byte order mark before it is skipped: editors write it, and it is no part of the text.
pub fn read(bytes: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice::<Unique>(without_mark(bytes)).map(|Unique(value)| value)
}

/// The text behind its byte order mark.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_given_twice_is_refused_at_any_depth() {
        for good in [r#"{"a": 1, "b": {"a": [null, true, -2, 2.5, "x", {}]}}"#, "[]", "7", "\"\""] {
            let plain: Value = serde_json::from_str(good).unwrap();
            assert_eq!(read(good.as_bytes()).unwrap(), plain, "{good}");
        }
        assert_eq!(read(b"[5.0, -3e2, 0.5, 1e300]").unwrap(), serde_json::json!([5, -300, 0.5, 1e300]));
        for (bad, key) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"env": {"PATH": "x", "PATH": "y"}}"#, "PATH"),
            (r#"[1, [{"x": {"y": 1, "z": 2, "y": 3}}]]"#, "y"),
            (r#"{"a": 1, "\u0061": 2}"#, "a"),
        ] {
            let error = read(bad.as_bytes()).unwrap_err().to_string();
            assert!(
                error.contains(&format!("duplicate field `{key}`")) && error.contains("line 1"),
                "{error}"
            );
        }
        let error = read(br#"{"cpus": 1, "cpus": "two"}"#).unwrap_err().to_string();
        assert!(error.contains("given twice, as 1 and as \"two\""), "{error}");
        assert!(read(b"{").is_err());
        assert_eq!(read("\u{feff}[]".as_bytes()).unwrap(), Value::Array(Vec::new()));
    }
}
