//! What the Rust types of the API do not say to the document: bounds, patterns, and which fields go together. Clients
//! are generated and tested from it, so what it allows should be taken, and what it does not should be refused. The
//! rules themselves are in `model` and `api`.

use serde_json::{Map, Value, json};
use taskyard_api::{JobState, TaskState};
use taskyard_model::limits;
use utoipa::openapi::OpenApi;

const NAME: &str = "^[a-z0-9._-]{1,128}$";
const DURATION: &str = "^[1-9][0-9]{0,3}(ms|s|m|h|d)$";
const LIMIT: &str = "^([1-9][0-9]{0,3}(s|m|h|d)|none)$";
const SIZE: &str = "^[1-9][0-9]{0,3}(KiB|MiB|GiB)$";
const INSTANT: &str = "^(\\+[1-9][0-9]{0,2}(s|m|h|d)|20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-][01][0-9]:[0-5][0-9]))$";
/// The end of a range has more digits than its begin, so that it is not before it.
const RANGES: &str = "^[0-9]{1,4}(-[1-9][0-9]{4,8})?(,[0-9]{1,4}(-[1-9][0-9]{4,8})?)*$";
const VISIBLE: &str = "^[!-~]{1,128}$";

/// The document with all that.
pub(super) fn exact(document: OpenApi) -> OpenApi {
    let Ok(mut whole) = serde_json::to_value(&document) else { return document };
    for operation in operations(&mut whole) {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(|one| parameter(&id, one));
        optional_body(operation);
        if matches!(id.as_str(), "hold_job" | "release_job") {
            whole_jobs_only(operation);
        }
    }
    for (schema, property, more) in properties() {
        merge(whole.pointer_mut(&format!("/components/schemas/{schema}/properties/{property}")), &more);
    }
    for (schema, more) in wholes() {
        merge(whole.pointer_mut(&format!("/components/schemas/{schema}")), &more);
    }
    serde_json::from_value(whole).unwrap_or(document)
}

/// The same for a server that asks for no credentials.
pub(super) fn without_credentials(document: OpenApi) -> OpenApi {
    let Ok(mut whole) = serde_json::to_value(&document) else { return document };
    for operation in operations(&mut whole) {
        operation.as_object_mut().map(|fields| fields.remove("security"));
    }
    if let Some(components) = whole.get_mut("components").and_then(Value::as_object_mut) {
        components.remove("securitySchemes");
    }
    serde_json::from_value(whole).unwrap_or(document)
}

fn operations(whole: &mut Value) -> impl Iterator<Item = &mut Value> {
    whole.get_mut("paths").into_iter().flat_map(objects).flat_map(objects)
}

fn objects(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut).filter(|value| value.is_object())
}

/// Sets what is given beside what is there.
fn merge(value: Option<&mut Value>, more: &Value) {
    debug_assert!(value.is_some(), "nothing to add {more} to");
    if let (Some(all), Some(more)) = (value.and_then(Value::as_object_mut), more.as_object()) {
        all.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// By its name: a name means the same on each path, but for states.
fn parameter(operation: &str, parameter: &mut Value) {
    let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
    let more = match name {
        "state" if operation == "list_jobs" => {
            json!({ "pattern": list_of(JobState::ALL.map(JobState::name)) })
        }
        "state" => json!({ "pattern": list_of(TaskState::ALL.map(TaskState::name)) }),
        "queue" | "pool" | "window" | "node" | "namespace" => json!({ "pattern": NAME }),
        "backup" => json!({ "pattern": "^[A-Za-z0-9._-]{1,128}$" }),
        "token" => json!({ "pattern": "^[0-9a-f]{12}$" }),
        "after" => json!({ "pattern": "^[1-9][0-9]{0,14}$" }),
        "ids" | "tasks" => json!({ "pattern": RANGES }),
        "limit" => json!({ "minimum": 1, "maximum": limits::PAGE_ROWS_MAX }),
        "wait_ms" => json!({ "maximum": 60_000 }),
        "by" => json!({ "enum": ["user", "account", "queue"] }),
        "since" => json!({ "pattern": DURATION }),
        "job" | "task" | "server" | "offset" | "tail" => json!({ "maximum": (1_u64 << 53) - 1 }),
        // None of them takes an empty text.
        _ if parameter.pointer("/schema/type") == Some(&json!("string")) => json!({ "minLength": 1 }),
        _ => return,
    };
    merge(parameter.get_mut("schema"), &more);
}

fn list_of<const N: usize>(words: [&str; N]) -> String {
    let one = words.join("|");
    format!("^({one})(,({one}))*$")
}

/// The body of these has fields that they share with acts on tasks.
fn whole_jobs_only(operation: &mut Value) {
    let schema = operation.pointer_mut("/requestBody/content/application~1json/schema");
    if let Some(schema) = schema {
        *schema = json!({ "type": "object", "additionalProperties": false });
    }
}

/// A body that may be missing is not one that may be `null`.
fn optional_body(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let only = body.pointer("/content/application~1json/schema/oneOf").and_then(Value::as_array);
    let only = only.and_then(|all| all.iter().find(|one| one.get("$ref").is_some())).cloned();
    if let (Some(only), Some(schema)) = (only, body.pointer_mut("/content/application~1json/schema")) {
        *schema = only;
        merge(Some(body), &json!({ "required": false }));
    }
}

/// Bounds of single fields of what is sent.
fn properties() -> Vec<(&'static str, &'static str, Value)> {
    [of_jobs(), of_settings()].concat()
}

fn of_jobs() -> Vec<(&'static str, &'static str, Value)> {
    let name = || json!({ "pattern": NAME });
    let duration = || json!({ "pattern": DURATION });
    let limit = || json!({ "pattern": LIMIT });
    let points = || json!({ "minimum": -1_000_000, "maximum": 1_000_000 });
    vec![
        ("JobSpec", "queue", name()),
        ("JobSpec", "namespace", name()),
        ("JobSpec", "account", name()),
        ("JobSpec", "priority", points()),
        ("JobSpec", "retries", json!({ "maximum": limits::RETRIES_MAX })),
        ("JobSpec", "max_running", json!({ "minimum": 1 })),
        ("JobSpec", "memory", json!({ "pattern": SIZE })),
        ("JobSpec", "time_limit", duration()),
        ("JobSpec", "estimate", duration()),
        ("JobSpec", "grace", duration()),
        ("JobSpec", "backoff", duration()),
        ("JobSpec", "begin", json!({ "pattern": INSTANT })),
        (
            "JobSpec",
            "array",
            json!({ "pattern": "^[0-9]{1,3}(-[1-9][0-9]{3}(:[1-9])?)?(%[1-9][0-9]{0,2})?$" }),
        ),
        ("NullSpec", "fail_per_mille", json!({ "maximum": 1_000 })),
        ("QueueSettings", "weight", json!({ "minimum": 1, "maximum": 1_000_000 })),
        ("ShareSettings", "weight", json!({ "minimum": 1, "maximum": 1_000_000 })),
        ("UpdateJob", "queue", name()),
        ("UpdateJob", "priority", points()),
        ("UpdateJob", "retries", json!({ "maximum": limits::RETRIES_MAX })),
        (
            "UpdateJob",
            "max_running",
            json!({ "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": ["string", "null"], "enum": ["none", null] }] }),
        ),
        ("UpdateJob", "time_limit", limit()),
        ("UpdateJob", "estimate", limit()),
        ("UpdateJob", "begin", json!({ "pattern": INSTANT })),
        ("ActRequest", "tasks", json!({ "pattern": RANGES })),
        ("RetryRequest", "tasks", json!({ "pattern": RANGES })),
        ("RetryRequest", "request_id", json!({ "pattern": "^[!-~]{1,64}$" })),
        ("SubmitRequest", "request_id", json!({ "pattern": "^[!-~]{1,64}$" })),
    ]
}

fn of_settings() -> Vec<(&'static str, &'static str, Value)> {
    let name = || json!({ "pattern": NAME });
    let duration = || json!({ "pattern": DURATION });
    let limit = || json!({ "pattern": LIMIT });
    vec![
        ("CreateToken", "user", json!({ "pattern": VISIBLE })),
        ("CreateToken", "kind", json!({ "enum": ["user", "agent", "server", null] })),
        ("CreateToken", "expires", json!({ "pattern": "^([1-9][0-9]{0,2}(m|h|d)|never)$" })),
        ("CreateToken", "uses", json!({ "minimum": 1, "maximum": limits::JOINS_PER_TOKEN_MAX })),
        (
            "CreateToken",
            "label",
            json!({ "maxLength": limits::TOKEN_LABEL_CHARS_MAX, "pattern": "^[ -~]*$" }),
        ),
        ("CreateToken", "grants", json!({ "maxItems": limits::GRANTS_PER_TOKEN_MAX })),
        ("Grant", "namespace", json!({ "pattern": "^([a-z0-9._-]{1,128}|\\*)$" })),
        ("Grant", "role", json!({ "enum": ["viewer", "submitter", "operator", "admin"] })),
        ("CertificateRequest", "kind", json!({ "enum": ["agent", "server"] })),
        ("CertificateRequest", "name", name()),
        ("JoinRequest", "directory", json!({ "pattern": "^[0-9a-f]{1,16}$" })),
        ("JoinRequest", "url", json!({ "pattern": "^https?://[A-Za-z0-9.-]+:[0-9]{1,5}$" })),
        ("MaintenanceSettings", "from", json!({ "pattern": INSTANT })),
        ("MaintenanceSettings", "until", json!({ "pattern": INSTANT })),
        ("QueueSettings", "pool", name()),
        ("QueueSettings", "aging", duration()),
        ("QueueSettings", "default_limit", limit()),
        ("QueueSettings", "max_limit", limit()),
        ("QueueSettings", "max_wait", limit()),
        ("QueueSettings", "max_memory", json!({ "pattern": "^([1-9][0-9]{0,3}(KiB|MiB|GiB)|none)$" })),
        ("RetentionSettings", "keep", json!({ "pattern": "^[1-9][0-9]{0,2}(m|h|d)$" })),
        ("RetentionSettings", "max_jobs", json!({ "minimum": 1, "maximum": limits::RETENTION_JOBS_MAX })),
        ("RetentionSettings", "max_tasks", json!({ "minimum": 1, "maximum": limits::RETENTION_TASKS_MAX })),
        ("RetentionSettings", "max_bytes", json!({ "pattern": "^[1-9][0-9]{0,3}GiB$" })),
        ("RetentionSettings", "state_bytes", json!({ "pattern": "^[1-9][0-9]{0,3}GiB$" })),
        ("ShareSettings", "account", name()),
        ("ShareSettings", "user", json!({ "pattern": VISIBLE })),
        ("ShareSettings", "half_life", json!({ "pattern": "^[1-9][0-9]{0,2}(m|h|d)$" })),
    ]
}

/// Which fields go together.
fn wholes() -> Vec<(&'static str, Value)> {
    let some = json!({ "minProperties": 1 });
    let given = |field: &str, kind: Value| json!({ "required": [field], "properties": { (field): kind } });
    let command = given("command", json!({ "type": "array", "minItems": 1 }));
    let script = given("script", json!({ "not": { "type": "null" } }));
    let of_a_user = json!({
        "required": ["grants"],
        "properties": {
            "kind": { "enum": ["user", null] },
            "grants": { "minItems": 1 },
            "join": { "const": false },
            "uses": { "type": "null" },
        },
    });
    let machines = json!({ "kind": { "enum": ["agent", "server"] }, "grants": { "maxItems": 0 } });
    let of_a_machine = json!({ "required": ["kind"], "properties": machines });
    vec![
        ("JobSpec", json!({ "anyOf": [command, script] })),
        ("UpdateJob", some.clone()),
        ("RetentionSettings", some.clone()),
        ("ShareSettings", some),
        ("CreateToken", json!({ "required": ["user"], "anyOf": [of_a_user, of_a_machine] })),
        ("MaintenanceSettings", json!({ "required": ["until"] })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_api::{JobsQuery, QueueSettings, SubmitRequest, body};

    #[test]
    fn the_document_has_the_bounds_and_no_credentials_where_none_are_asked_for() {
        let whole = serde_json::to_value(super::super::openapi()).unwrap();
        let at = |path: &str| whole.pointer(path).unwrap_or_else(|| panic!("{path}")).clone();
        for (schema, property, more) in properties() {
            let found = at(&format!("/components/schemas/{schema}/properties/{property}"));
            for (key, value) in more.as_object().unwrap() {
                assert_eq!(&found[key], value, "{schema}.{property}");
            }
        }
        let body = at("/paths/~1v1~1jobs~1{job}~1cancel/post/requestBody");
        assert_eq!(body["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/ActRequest");
        assert_ne!(body["required"], true);
        assert!(whole.to_string().contains("\"security\""));
        let open = serde_json::to_string(&without_credentials(super::super::openapi())).unwrap();
        assert!(!open.contains("\"security\"") && !open.contains("securitySchemes"));
    }

    #[test]
    fn what_the_bounds_allow_is_taken() {
        let job = |more: Value| {
            let mut spec = json!({ "command": ["true"] });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let text = json!({ "spec": spec }).to_string();
            let request: SubmitRequest = body::parse(text.as_bytes()).unwrap();
            taskyard_model::JobSpec::try_from(request.spec)
        };
        for (field, value) in [
            ("time_limit", json!("9999d")),
            ("grace", json!("1ms")),
            ("memory", json!("9999GiB")),
            ("priority", json!(-1_000_000)),
            ("retries", json!(limits::RETRIES_MAX)),
            ("array", json!("999-9999:9%999")),
            ("begin", json!("2026-11-24T18:00:00+01:00")),
            ("queue", json!("a._-9")),
        ] {
            assert!(job(json!({ (field): value })).is_ok(), "{field}: {value}");
        }
        let queue: QueueSettings = body::parse(br#"{"max_memory": "none", "max_wait": "9999d"}"#).unwrap();
        assert!(queue.max_memory.is_some());
        assert_eq!(JobsQuery::default().limit, None);
    }
}
