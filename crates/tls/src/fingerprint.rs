//! The authority's certificate in 64 characters, to know it by.

use crate::error::{TlsError, invalid};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a certificate's bytes, as `openssl x509 -fingerprint -sha256` prints it, in lower case and without
/// colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = TlsError;

    /// Takes upper case and colons too.
    fn from_str(text: &str) -> Result<Fingerprint, TlsError> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        let pairs = digits.chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            pair.bytes().all(|c| c.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
        });
        match pairs.collect::<Option<Vec<u8>>>() {
            Some(read) if read.len() == bytes.len() => bytes.copy_from_slice(&read),
            _ => return Err(invalid("fingerprint", "write the 64 hexadecimal digits of a SHA-256")),
        }
        Ok(Fingerprint(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_with_and_without_colons() {
        let one = Fingerprint::of(&CertificateDer::from(vec![1, 2, 3]));
        let text = one.to_string();
        assert_eq!(text, "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81");
        let pairs: Vec<&str> = (0..32).map(|at| &text[2 * at..2 * at + 2]).collect();
        assert_eq!(pairs.join(":").to_uppercase().parse::<Fingerprint>().ok(), Some(one));
        for bad in
            ["", "ab", &text[1..], &format!("{text}00"), &text.replace('0', "g"), &text.replace('0', "+")]
        {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
