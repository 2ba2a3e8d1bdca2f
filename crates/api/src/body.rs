//! Reading JSON that people wrote: fast when it is right; when it is wrong, the error names the field, its value and the remedy.

use crate::json;
use crate::{
    ActRequest, BackupQuery, BackupRequest, CertificateRequest, CreateToken, JobSpec, JoinRequest,
    MaintenanceSettings, PoolSettings, QueueSettings, RetentionSettings, RetryRequest, ServerChange,
    ShareSettings, SubmitRequest, TransferRequest, UpdateJob,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use taskyard_model::{Invalid, limits};

/// A body that users write, with the names of its fields.
pub trait Body: DeserializeOwned {
    /// What the body is, for messages: `job`, `queue`.
    const WHAT: &'static str;
    /// Every field it may have.
    const FIELDS: &'static [&'static str];

    /// Says what is wrong inside one field, for bodies that nest others.
    fn inner(_field: &str, _value: &Value) -> Option<Invalid> {
        None
    }
}

/// Reads a request's body.
pub fn parse<T: Body>(bytes: &[u8]) -> Result<T, Invalid> {
    if bytes.len() > limits::HTTP_BODY_BYTES_MAX {
        let remedy = format!(
            "at most {} bytes; put large input into a file on the nodes",
            limits::HTTP_BODY_BYTES_MAX
        );
        return Err(Invalid::new("body", format!("{} bytes", bytes.len()), remedy));
    }
    // Serde would read an array as the fields in order: never what a user means.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Invalid::new(T::WHAT, String::from_utf8_lossy(bytes), no_object::<T>()));
    }
    let value = json::read(bytes).map_err(|error| not_read(bytes, &error.to_string()))?;
    serde_json::from_slice(bytes).map_err(|error| diagnose::<T>(&value, &error.to_string()))
}

fn not_read(bytes: &[u8], error: &str) -> Invalid {
    let twice = error.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next());
    match twice {
        Some(key) => Invalid::new(key, "", format!("it is given twice: leave one of the two out ({error})")),
        None => Invalid::new("body", String::from_utf8_lossy(bytes), format!("this is not JSON: {error}")),
    }
}

/// Reads a value that came from a job file of any syntax.
pub fn from_value<T: Body>(value: Value) -> Result<T, Invalid> {
    if !value.is_object() {
        return Err(Invalid::new(T::WHAT, value, no_object::<T>()));
    }
    // Deserialising borrows nothing from the value, but takes it; the clone is for the message and as small as a job.
    serde_json::from_value(value.clone()).map_err(|error| diagnose::<T>(&value, &error.to_string()))
}

/// Finds the first field that is unknown or does not read, by trying each alone.
fn diagnose<T: Body>(value: &Value, whole: &str) -> Invalid {
    let Value::Object(map) = value else {
        return Invalid::new(T::WHAT, value, no_object::<T>());
    };
    for (key, value) in map {
        if !T::FIELDS.contains(&key.as_str()) {
            return unknown(key, T::WHAT, T::FIELDS);
        }
        if let Some(invalid) = T::inner(key, value) {
            return invalid;
        }
        let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<T>(alone) {
            let message = error.to_string();
            if !message.starts_with("missing field") {
                return Invalid::new(key, value, remedy(key, message));
            }
        }
    }
    let field = whole.split('`').nth(1).unwrap_or(T::WHAT);
    Invalid::new(field, "", whole)
}

fn no_object<T: Body>() -> String {
    format!("write an object with fields such as {}", T::FIELDS[0])
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
        _ => message,
    }
}

/// The complaint about a field nobody knows.
pub fn unknown(key: &str, what: &str, known: &[&str]) -> Invalid {
    let remedy = match near(key, known) {
        Some(other) => format!("a {what} has no field of this name; did you mean \"{other}\"?"),
        None => format!("a {what} has no field of this name; it has {}", known.join(", ")),
    };
    Invalid::new(key, "", remedy)
}

/// From a message of serde about a field that nobody knows: its name, and those that there are.
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
    let closest = known.iter().map(|k| (distance(&word, k), *k)).min()?;
    (closest.0 <= 1 + word.len() / 5).then_some(closest.1)
}

/// Letters to insert, delete or change to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Body for JobSpec {
    const WHAT: &'static str = "job";
    const FIELDS: &'static [&'static str] = &[
        "name",
        "queue",
        "namespace",
        "account",
        "priority",
        "command",
        "script",
        "args",
        "env",
        "cwd",
        "stdin",
        "stdin_data",
        "stdout",
        "stderr",
        "array",
        "entries",
        "max_running",
        "cpus",
        "memory",
        "gpus",
        "resources",
        "constraint",
        "prefer",
        "exclusive",
        "apart",
        "apart_by",
        "broadcast",
        "locality",
        "wait_for_nodes",
        "time_limit",
        "estimate",
        "grace",
        "retries",
        "backoff",
        "max_fails",
        "after",
        "begin",
        "hold",
        "on_agent_lost",
        "driver",
        "null",
    ];

    fn inner(field: &str, value: &Value) -> Option<Invalid> {
        const NULL: &[&str] = &["fail_per_mille", "run_ms"];
        let fields = value.as_object().filter(|_| field == "null")?;
        let stranger = fields.keys().find(|k| !NULL.contains(&k.as_str()))?;
        Some(unknown(stranger, "null driver", NULL).in_field(format!("null.{stranger}")))
    }
}

impl Body for SubmitRequest {
    const WHAT: &'static str = "submit";
    const FIELDS: &'static [&'static str] = &["spec", "request_id"];

    fn inner(field: &str, value: &Value) -> Option<Invalid> {
        if field != "spec" {
            return None;
        }
        from_value::<JobSpec>(value.clone()).err()
    }
}

impl Body for ActRequest {
    const WHAT: &'static str = "request";
    const FIELDS: &'static [&'static str] = &["tasks"];
}

impl Body for JoinRequest {
    const WHAT: &'static str = "server";
    const FIELDS: &'static [&'static str] = &["url", "directory", "learner"];
}

impl Body for ServerChange {
    const WHAT: &'static str = "server update";
    const FIELDS: &'static [&'static str] = &["role"];
}

impl Body for TransferRequest {
    const WHAT: &'static str = "transfer";
    const FIELDS: &'static [&'static str] = &["to"];
}

impl Body for RetryRequest {
    const WHAT: &'static str = "retry";
    const FIELDS: &'static [&'static str] = &["tasks", "failed_only", "request_id"];
}

impl Body for UpdateJob {
    const WHAT: &'static str = "job update";
    const FIELDS: &'static [&'static str] =
        &["priority", "queue", "time_limit", "estimate", "max_running", "retries", "begin"];
}

impl Body for QueueSettings {
    const WHAT: &'static str = "queue";
    const FIELDS: &'static [&'static str] = &[
        "policy",
        "tier",
        "weight",
        "aging",
        "max_wait",
        "factors",
        "pool",
        "default_limit",
        "max_limit",
        "max_cpus",
        "max_memory",
        "max_gpus",
        "max_tasks",
        "nodes",
    ];

    fn inner(field: &str, value: &Value) -> Option<Invalid> {
        const FACTORS: &[&str] = &["age", "priority", "size", "fair_share"];
        let fields = value.as_object().filter(|_| field == "factors")?;
        let stranger = fields.keys().find(|k| !FACTORS.contains(&k.as_str()))?;
        Some(unknown(stranger, "multi-factor policy", FACTORS).in_field(format!("factors.{stranger}")))
    }
}

impl Body for ShareSettings {
    const WHAT: &'static str = "share";
    const FIELDS: &'static [&'static str] = &["account", "user", "weight", "half_life"];
}

impl Body for MaintenanceSettings {
    const WHAT: &'static str = "maintenance";
    const FIELDS: &'static [&'static str] = &["from", "until", "nodes"];
}

impl Body for PoolSettings {
    const WHAT: &'static str = "pool";
    const FIELDS: &'static [&'static str] = &["discipline", "placement", "spread", "nodes", "reserve_after"];
}

impl Body for CreateToken {
    const WHAT: &'static str = "token";
    const FIELDS: &'static [&'static str] = &["user", "kind", "label", "grants", "expires", "join", "uses"];
}

impl Body for CertificateRequest {
    const WHAT: &'static str = "certificate";
    const FIELDS: &'static [&'static str] = &["kind", "name", "request"];
}

impl Body for BackupRequest {
    const WHAT: &'static str = "backup";
    const FIELDS: &'static [&'static str] = &["to"];
}

impl Body for BackupQuery {
    const WHAT: &'static str = "backup";
    const FIELDS: &'static [&'static str] = &["from"];
}

impl Body for RetentionSettings {
    const WHAT: &'static str = "retention";
    const FIELDS: &'static [&'static str] = &["keep", "max_jobs", "max_tasks", "max_bytes", "state_bytes"];
}
