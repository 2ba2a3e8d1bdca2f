//! Where backups are kept: `file:///path`, a plain path, or `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;
use taskyard_model::Invalid;

const FORMS: &str = "write a path, file:///path or s3://bucket/prefix";

/// A place for backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Dir(PathBuf),
    /// Part of a bucket.
    Bucket {
        bucket: String,
        /// What the names of all objects begin with, without a slash at either end; may be empty.
        prefix: String,
    },
}

impl Location {
    /// Reads a location. `field` is what it is called where it was written.
    pub fn parse(field: &str, text: &str) -> Result<Location, Invalid> {
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => dir(field, path),
            Some(("s3", rest)) => bucket(field, rest),
            Some(_) => Err(Invalid::new(field, shown(text), FORMS)),
            None => dir(field, text),
        }
    }
}

fn dir(field: &str, path: &str) -> Result<Location, Invalid> {
    match std::path::absolute(path) {
        Ok(path) => Ok(Location::Dir(path)),
        Err(_) => Err(Invalid::new(field, path, FORMS)),
    }
}

fn bucket(field: &str, text: &str) -> Result<Location, Invalid> {
    let refuse = |remedy: &str| Err(Invalid::new(field, shown(&format!("s3://{text}")), remedy));
    if text.contains(['@', '?', '#']) {
        return refuse(
            "keys do not belong in a location: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [backup.s3] in the configuration file",
        );
    }
    let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
        return refuse("a bucket's name has 3 to 63 characters of a-z, 0-9, . and -");
    }
    let prefix = prefix.trim_matches('/');
    if object_store::path::Path::parse(prefix).is_err() {
        return refuse("the prefix has an empty part, or one that is not allowed");
    }
    Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// What was written, without what may be a key.
fn shown(text: &str) -> String {
    match (text.rsplit_once('@'), text.split_once("://")) {
        (Some((_, host)), Some((scheme, _))) => format!("{scheme}://…@{host}"),
        _ => text.split(['?', '#']).next().unwrap_or_default().to_owned(),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Dir(path) => write!(f, "{}", path.display()),
            Location::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Location::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let check = |text: &str, shown: &str| {
            let found = Location::parse("to", text).map(|location| location.to_string());
            assert_eq!(found.unwrap_or_else(|e| e.to_string()), shown, "{text}");
        };
        check("/var/backups", "/var/backups");
        check("file:///var/backups", "/var/backups");
        check("s3://bucket", "s3://bucket");
        check("s3://my-bucket/a/b/", "s3://my-bucket/a/b");
        assert!(Location::parse("to", "b").unwrap().to_string().starts_with('/'), "a plain path is of here");
        for wrong in ["http://host/x", "file://x", "s3://", "s3://UP/x", "s3://bucket/a//b", ""] {
            assert!(Location::parse("to", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_in_a_location_are_refused_and_not_repeated() {
        for wrong in ["s3://id:hunter2@bucket/x", "s3://bucket/x?key=hunter2", "ftp://id:hunter2@host/"] {
            let error = Location::parse("to", wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
