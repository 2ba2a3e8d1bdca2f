//! Bytes in JSON: text as it is, anything else in base64.

use serde::{Deserialize, Serialize};
use taskyard_model::Invalid;
use utoipa::ToSchema;

/// A script or standard input as read at submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Blob {
    /// UTF-8 text.
    Text(String),
    /// Anything else.
    Base64 {
        /// Standard alphabet, with padding.
        base64: String,
    },
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Blob {
    /// Wraps bytes, readable where they are text.
    pub fn from_bytes(bytes: &[u8]) -> Blob {
        match std::str::from_utf8(bytes) {
            Ok(text) => Blob::Text(text.to_owned()),
            Err(_) => Blob::Base64 { base64: encode(bytes) },
        }
    }

    /// The bytes. `field` names the complaint about base64 that is none.
    pub fn into_bytes(self, field: &str) -> Result<Vec<u8>, Invalid> {
        match self {
            Blob::Text(text) => Ok(text.into_bytes()),
            Blob::Base64 { base64 } => decode(&base64).ok_or_else(|| {
                Invalid::new(field, base64, "this is not base64 (standard alphabet, padded with =)")
            }),
        }
    }
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let mut word = 0u32;
        for digit in chunk {
            word = word << 6 | ALPHABET.iter().position(|a| a == digit)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let bytes = word.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for bytes in [&b""[..], b"\xff", b"\xff\xfe", b"\xff\xfe\xfd", b"\xff#!/bin/sh\n", b"text"] {
            let blob = Blob::from_bytes(bytes);
            let json = serde_json::to_string(&blob).unwrap();
            let back: Blob = serde_json::from_str(&json).unwrap();
            assert_eq!(back.into_bytes("script").unwrap(), bytes, "{json}");
        }
        assert_eq!(encode(b"Man\xff"), "TWFu/w==");
        for bad in ["A", "====", "A===", "AA-="] {
            let blob = Blob::Base64 { base64: bad.into() };
            assert_eq!(blob.into_bytes("script").unwrap_err().field, "script", "{bad}");
        }
    }
}
