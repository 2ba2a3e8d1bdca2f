//! Values of options that are amounts: a negative one, or an option where a value should be, is told in words that
//! help.
//!
//! Options that use these have `allow_hyphen_values`: without it `--cpus -1` would be taken for an unknown option `-1`.

use std::fmt::Display;
use std::str::FromStr;

/// An amount that is read later, with its unit.
pub fn amount(text: &str) -> Result<String, String> {
    refuse_hyphen(text)?;
    Ok(text.to_owned())
}

/// A whole number from 0.
pub fn count<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    refuse_hyphen(text)?;
    text.parse().map_err(|error| format!("write a whole number, 0 or more, as in 5 ({error})"))
}

/// A whole number that may be negative.
pub fn number(text: &str) -> Result<i32, String> {
    if text.starts_with("--") {
        refuse_hyphen(text)?;
    }
    text.parse().map_err(|error| format!("write a whole number, as in 5 or -5 ({error})"))
}

fn refuse_hyphen(text: &str) -> Result<(), String> {
    let is_number =
        text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
    if is_number {
        return Err("it cannot be negative; write it without the minus sign".into());
    }
    if text.starts_with('-') {
        return Err("the value is missing; write it between this option and the next".into());
    }
    Ok(())
}
