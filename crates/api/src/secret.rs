//! What must not be shown: it has no `Debug`, no `Display` and no `Serialize`, so that it cannot get into a log, an
//! event or an answer by accident. Code that needs the text says so with [`Secret::expose`].

use serde::{Deserialize, Deserializer, Serializer};
use taskyard_model::Invalid;

/// The text of a token, or another text that only its holder knows.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a text as it was given, without the space around it. None of it may appear in the complaint. An empty
    /// secret is none.
    pub fn read(source: &str, text: &str) -> Result<Secret, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Invalid::new(source, "", "it is empty; a token was expected"));
        }
        if text.len() > BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Invalid::new(source, "(not shown)", "this is not a token; it begins with tyt_"));
        }
        Ok(Secret(text.into()))
    }

    /// A private key, as PEM.
    pub fn read_key(source: &str, pem: &str) -> Result<Secret, Invalid> {
        let pem = pem.trim();
        let printable = pem.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\n');
        if !pem.starts_with("-----BEGIN ") || pem.len() > KEY_BYTES_MAX || !printable {
            return Err(Invalid::new(source, "(not shown)", "this is not a private key in PEM"));
        }
        Ok(Secret(pem.into()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Longer than any token.
const BYTES_MAX: usize = 512;

/// Longer than any key that is made here.
const KEY_BYTES_MAX: usize = 4 << 10;

/// For the one field that holds a private key: `#[serde(with = "secret::key_shown_once")]`.
pub(crate) mod key_shown_once {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(key: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => serializer.serialize_some(key.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Secret::read_key("key", &text).map_err(serde::de::Error::custom)).transpose()
    }
}

/// For the one field of the API that says a secret: `#[serde(with = "secret::shown_once")]`.
pub(crate) mod shown_once {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        let text = String::deserialize(deserializer)?;
        Secret::read("secret", &text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_do_not_tell() {
        assert_eq!(Secret::read("x", " tyt_a_b\n").map(|s| s.expose().to_owned()), Ok("tyt_a_b".into()));
        for bad in ["", "  \n", "two words", "ümlaut", &"x".repeat(BYTES_MAX + 1)] {
            let error = Secret::read("x", bad).map(|_| ()).unwrap_err();
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }
}
