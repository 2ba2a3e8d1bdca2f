//! The text of a token: `tyt_ID_SECRET`. The id finds what is kept of it; the secret, 256 random bits, proves that it
//! is the holder's. Only a hash of the secret goes into the log. It needs no salt and no slowness: 2^256 values cannot
//! be tried. The last eight digits of a token that a server drew are a checksum of the rest, so that one that was
//! damaged or cut off is told from one that was revoked.

use super::Identity;
use minicbor::bytes::ByteArray;
use subtle::ConstantTimeEq;
use taskyard_api::Secret;
use taskyard_model::Invalid;
use taskyard_state::{State, Token};

/// So that people, and programs that search for leaked credentials, know one when they see it.
const PREFIX: &str = "tyt_";
/// Length of an id.
const ID_CHARS: usize = 12;
const SECRET_BYTES: usize = 32;
const CHECK_CHARS: usize = 8;

/// A token that was just drawn.
pub(crate) struct DrawnToken {
    pub(crate) id: String,
    pub(crate) hash: ByteArray<32>,
    pub(crate) text: Secret,
}

/// Draws a token from the system's source of randomness.
pub(crate) fn draw() -> std::io::Result<DrawnToken> {
    let mut random = [0; ID_CHARS / 2 + SECRET_BYTES];
    let mut filled = 0;
    while filled < random.len() {
        filled += rustix::rand::getrandom(&mut random[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    let (id, secret) = random.split_at(ID_CHARS / 2);
    let text = format!("{PREFIX}{}_{}", hex(id), hex(secret));
    let text = format!("{text}{}", check_digits(&text));
    let drawn = Secret::read("token", &text).map_err(std::io::Error::other)?;
    Ok(DrawnToken { id: hex(id), hash: hash(secret), text: drawn })
}

/// A text taken apart.
pub(crate) struct ParsedToken {
    pub(crate) id: String,
    pub(crate) hash: ByteArray<32>,
}

/// Takes a text apart; `None` if it is no token. The check digits may be left out of one that is made by hand.
pub(crate) fn parse(text: &str) -> Option<ParsedToken> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let secret = match secret.len().checked_sub(CHECK_CHARS) {
        Some(at) if at == 2 * SECRET_BYTES => {
            let (text, digits) = text.split_at_checked(text.len() - CHECK_CHARS)?;
            (check_digits(text) == digits).then(|| secret.split_at_checked(at))??.0
        }
        _ => secret,
    };
    let is_hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    if id.len() != ID_CHARS
        || secret.len() != 2 * SECRET_BYTES
        || !id.bytes().chain(secret.bytes()).all(is_hex)
    {
        return None;
    }
    let digit = |c: u8| if c.is_ascii_digit() { c - b'0' } else { c - b'a' + 10 };
    let bytes: Vec<u8> =
        secret.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    Some(ParsedToken { id: id.to_owned(), hash: hash(&bytes) })
}

/// The same for what an administrator wrote into a file.
pub(crate) fn parse_secret(source: &str, secret: &Secret) -> Result<ParsedToken, Invalid> {
    let remedy = "it is damaged, or not a token: write tyt_, 12 hexadecimal digits, _, and 64 random ones, or remove the file to create a token";
    parse(secret.expose()).ok_or_else(|| Invalid::new(source, "(not shown)", remedy))
}

/// What a token says about its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    Good(Identity),
    /// Its time is over. Said only to who knows its secret.
    Expired,
    /// It never was, or was revoked, or the secret is not its own: the caller is not told which.
    Bad,
}

/// Looks a token up. What is not there is compared too, so that it takes as long.
pub(crate) fn verify(state: &State, text: &str) -> TokenVerdict {
    let Some(parsed) = parse(text) else { return TokenVerdict::Bad };
    let token = state.token(&parsed.id);
    let kept = token.map_or([0; 32], |token| *token.hash);
    let proven = bool::from(kept.ct_eq(&*parsed.hash));
    match token.filter(|token| proven && !token.is_revoked()) {
        None => TokenVerdict::Bad,
        Some(token) if token.is_expired(state.now_ms()) => TokenVerdict::Expired,
        Some(token) => TokenVerdict::Good(Identity::of_token(token)),
    }
}

/// Whether a token that was good still is.
pub(crate) fn is_good(state: &State, id: &str) -> bool {
    let good = |token: &Token| !token.is_revoked() && !token.is_expired(state.now_ms());
    state.token(id).is_some_and(|token| good(token))
}

fn hash(secret: &[u8]) -> ByteArray<32> {
    (*blake3::hash(secret).as_bytes()).into()
}

fn check_digits(text: &str) -> String {
    format!("{:08x}", crc32c::crc32c(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_reads_back_and_differs() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        let parsed = parse(one.text.expose()).unwrap();
        assert_eq!((parsed.id.as_str(), parsed.hash), (one.id.as_str(), one.hash));
        assert_ne!((one.id, one.hash), (other.id, other.hash));
    }

    #[test]
    fn a_damaged_token_is_no_token() {
        let drawn = draw().unwrap();
        let text = drawn.text.expose();
        for bit in 0..text.len() * 8 {
            let mut harmed = text.as_bytes().to_vec();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert!(std::str::from_utf8(&harmed).ok().and_then(parse).is_none(), "bit {bit}");
        }
        for len in (0..text.len()).filter(|len| *len != text.len() - CHECK_CHARS) {
            assert!(parse(&text[..len]).is_none(), "{len} characters");
        }
    }

    #[test]
    fn only_tokens_are_tokens() {
        let good = format!("tyt_{}_{}", "0".repeat(12), "a".repeat(64));
        assert!(parse(&good).is_some());
        let bad = [
            String::new(),
            "tyt_".into(),
            good[1..].to_owned(),
            good.to_uppercase(),
            format!("{good}0"),
            good[..good.len() - 1].to_owned(),
            good.replace("_a", "_ä"),
            good.replace('0', "g"),
        ];
        for text in bad {
            assert!(parse(&text).is_none(), "{text}");
        }
    }
}
