//! Reading JSON that people wrote: fast when it is right; when it is wrong, the error names the field, its value and
//! the remedy.

use crate::json;
use crate::{
    ActRequest, BackupQuery, BackupRequest, CertificateRequest, CheckRequest, CreateToken, DrainRequest,
    JobSpec, JoinRequest, MaintenanceSettings, PoolSettings, QueueSettings, RetentionSettings, RetryRequest,
    ServerChange, ShareSettings, SubmitRequest, TransferRequest, UpdateJob,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use taskyard_model::{Invalid, limits, lookalike};

/// A body that users write. Its fields are those that serde reads.
pub trait RequestBody: DeserializeOwned {
    /// What the body is, for messages: `job`, `queue`.
    const WHAT: &'static str;
}

macro_rules! bodies {
    ($($body:ty => $what:literal),* $(,)?) => {
        $(impl RequestBody for $body {
            const WHAT: &'static str = $what;
        })*
    };
}

bodies! {
    JobSpec => "job",
    SubmitRequest => "submit",
    CheckRequest => "check",
    ActRequest => "request",
    DrainRequest => "drain",
    JoinRequest => "server",
    ServerChange => "server update",
    TransferRequest => "transfer",
    RetryRequest => "retry",
    UpdateJob => "job update",
    QueueSettings => "queue",
    ShareSettings => "share",
    MaintenanceSettings => "maintenance",
    PoolSettings => "pool",
    CreateToken => "token",
    CertificateRequest => "certificate",
    BackupRequest => "backup",
    BackupQuery => "backup",
    RetentionSettings => "retention",
}

/// Reads a request's body.
pub fn parse<T: RequestBody>(bytes: &[u8]) -> Result<T, Invalid> {
    if bytes.len() > limits::HTTP_BODY_BYTES_MAX {
        let remedy = format!(
            "at most {} bytes; put large input into a file on the nodes",
            limits::HTTP_BODY_BYTES_MAX
        );
        return Err(Invalid::new("body", format!("{} bytes", bytes.len()), remedy));
    }
    // Serde would read an array as the fields in order: never what a user means.
    if json::without_mark(bytes).trim_ascii_start().first() == Some(&b'[') {
        return Err(Invalid::new(T::WHAT, String::from_utf8_lossy(bytes), no_object::<T>()));
    }
    let value = json::read(bytes).map_err(|error| not_read(bytes, &error.to_string()))?;
    T::deserialize(&value).map_err(|_| diagnose::<T>(&value))
}

fn not_read(bytes: &[u8], error: &str) -> Invalid {
    let twice = error.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next());
    match twice {
        Some(key) => {
            let how = error.split_once("`: ").map_or(error, |(_, how)| how);
            Invalid::new(key, "", format!("{how}; leave one of them out"))
        }
        None => Invalid::new("body", String::from_utf8_lossy(bytes), format!("this is not JSON: {error}")),
    }
}

/// Reads a value that came from a job file of any syntax.
pub fn from_value<T: RequestBody>(value: Value) -> Result<T, Invalid> {
    if !value.is_object() {
        return Err(Invalid::new(T::WHAT, value, no_object::<T>()));
    }
    T::deserialize(&value).map_err(|_| diagnose::<T>(&value))
}

/// Finds what of a value does not read, and where it stands.
fn diagnose<T: RequestBody>(value: &Value) -> Invalid {
    let Err(error) = serde_path_to_error::deserialize::<_, T>(value) else {
        return Invalid::new(T::WHAT, value, "this value is invalid");
    };
    let path = error.path().to_string();
    // The job of a submit is what the user wrote; the rest is the request around it.
    let field = path.strip_prefix("spec.").unwrap_or(&path);
    let message = error.inner().to_string();
    // Serde quotes the word that it does not know first, then those that it does.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    if message.starts_with("unknown field") {
        // An object within the body goes by its path: what it is called alone says nothing (`null` is one).
        let outer = field.rsplit_once('.').map(|(outer, _)| format!("\"{outer}\""));
        let what = outer.unwrap_or_else(|| format!("a {}", T::WHAT));
        let given = at(value, &path).map_or_else(String::new, |given| match given {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        return Invalid { value: Invalid::new("", given, "").value, ..unknown(first, &what, &known) }
            .in_field(lookalike::visible(field));
    }
    if message.starts_with("missing field") {
        return Invalid::new(first, "", &*message);
    }
    let top = field.split(['.', '[']).next().unwrap_or_default();
    let remedy = match message.starts_with("unknown variant") {
        true => format!("write {}", known.join(" or ")),
        false => remedy(top, message),
    };
    match at(value, &path) {
        Some(wrong) if !wrong.is_string() => Invalid::new(field, wrong, remedy),
        wrong => Invalid::new(field, wrong.and_then(Value::as_str).unwrap_or_default(), remedy),
    }
}

/// What stands at a path such as `spec.command[1]`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    steps.try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => value.get(step),
    })
}

fn no_object<T: RequestBody>() -> String {
    format!("write an object with the fields of a {}, as in {{\"FIELD\": VALUE}}", T::WHAT)
}

/// What to write instead, where the type alone does not tell.
fn remedy(field: &str, message: String) -> String {
    match field {
        "command" | "args" => {
            "write a list, one string for each argument, as in [\"sleep\", \"10\"]: no shell splits it".into()
        }
        "env" => "write names with string values, as in {\"THREADS\": \"4\"}".into(),
        "resources" => "write names with whole numbers, as in {\"licence\": 1}".into(),
        "after" => "write a list, as in [\"ok:12\", \"any:13\"]".into(),
        "array" => "write a string, as in \"1-1000\"".into(),
        // Serde names the type of the field, which says nothing to who writes it.
        _ if message.ends_with("expected u32") || message.ends_with("expected u64") => {
            "write a whole number, 0 or more".into()
        }
        _ if message.ends_with("expected i32") => "write a whole number".into(),
        _ => message,
    }
}

/// The complaint about a field that does not exist: in what, and what it may have instead.
pub fn unknown(key: &str, what: &str, known: &[&str]) -> Invalid {
    let remedy = match (lookalike::find(key), near(key, known)) {
        (Some(found), _) => format!("there is no such field in {what}: {found}"),
        (None, Some(other)) => format!("there is no such field in {what}; did you mean \"{other}\"?"),
        (None, None) => format!("there is no such field in {what}; expected {}", known.join(", ")),
    };
    Invalid::new(lookalike::visible(key), "", remedy)
}

/// From a message of serde about a field that does not exist: its name, and those that there are.
pub fn unknown_in(message: &str) -> Option<(&str, Vec<&str>)> {
    let (_, named) = message.split_once("unknown field `")?;
    let (key, rest) = named.split_once('`')?;
    Some((key, rest.split('`').skip(1).step_by(2).collect()))
}

/// The known word that `word` was most likely meant to be: a known alias, or few letters away.
pub fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const ALIASES: [(&str, &str); 16] = [
        ("mem", "memory"),
        ("cpu", "cpus"),
        ("gpu", "gpus"),
        ("timeout", "time_limit"),
        ("time", "time_limit"),
        ("cmd", "command"),
        ("dir", "cwd"),
        ("workdir", "cwd"),
        ("chdir", "cwd"),
        ("output", "stdout"),
        ("error", "stderr"),
        ("input", "stdin"),
        ("environment", "env"),
        ("retry", "retries"),
        ("resource", "resources"),
        ("requeue", "retries"),
    ];
    let word = word.to_lowercase().replace('-', "_");
    let alias = ALIASES.iter().find(|(a, _)| *a == word).map(|(_, k)| *k);
    if let Some(found) = known.iter().find(|k| Some(**k) == alias || **k == word) {
        return Some(found);
    }
    let closest = known.iter().map(|k| (strsim::osa_distance(&word, k), *k)).min()?;
    (closest.0 <= 1 + word.len() / 5).then_some(closest.1)
}
