//! The document against the router: every path of it is served, and answers have the shape it says.

use super::Bench;
use serde_json::Value;

/// Values for the parts of paths.
fn path_with(path: &str, job: &str) -> String {
    path.replace("{job}", job)
        .replace("{task}", "1")
        .replace("{server}", "1")
        .replace("{node}", "n1")
        .replace("{queue}", "default")
        .replace("{pool}", "default")
        .replace("{window}", "disks")
        .replace("{namespace}", "team-a")
        .replace("{backup}", "latest")
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

#[tokio::test]
async fn every_documented_path_is_served() {
    let bench = Bench::start().await;
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let operations = operations(&document);
    let ids: std::collections::BTreeSet<_> =
        operations.iter().map(|(_, _, o)| o["operationId"].as_str()).collect();
    assert_eq!((operations.len(), ids.len()), (54, 54), "each operation has a name of its own");
    for (method, path, _) in &operations {
        let response = bench.send(method, &path_with(path, "1"), None).await;
        assert_ne!(response.status(), 405, "{method} {path}");
        if response.status() == 404 {
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("no path"), "{method} {path}");
        }
    }
    let served = bench.get("/openapi.json").await;
    let open = super::super::exact::without_credentials(crate::openapi());
    assert_eq!(served, serde_json::to_value(open).unwrap(), "this server asks for no credentials");
    bench.stop().await;
}

#[tokio::test]
async fn answers_have_the_documented_shape() {
    let bench = Bench::with_node().await;
    let document = serde_json::to_value(crate::openapi()).unwrap();
    bench.until("the server is known", |state| state.server(1).is_some()).await;
    bench.submit(r#", "array": "1-6", "memory": "1GiB", "max_fails": 3"#).await;
    bench.plan().await;
    bench.finish(1, 0, 3).await;
    bench.call("PUT", "/v1/queues/spare", Some("{}")).await;
    bench.call("PUT", "/v1/pools/spare", Some(r#"{"nodes": "zone == b"}"#)).await;
    let disks = r#"{"until": "+1h", "nodes": "zone == b"}"#;
    bench.call("PUT", "/v1/maintenance/disks", Some(disks)).await;
    let mut checked = 0;
    for (method, path, operation) in operations(&document) {
        let body = match (method.as_str(), path.as_str()) {
            ("GET", "/v1/events" | "/metrics" | "/healthz" | "/readyz" | "/leaderz" | "/openapi.json") => {
                continue;
            }
            ("GET", path) if path.ends_with("/logs") => continue,
            // It needs a token to be there.
            ("POST", "/v1/tokens/{token}/revoke") => continue,
            // These need TLS.
            ("POST", "/v1/certificates") | ("DELETE", "/v1/nodes/{node}") => continue,
            ("POST", "/v1/tokens") => Some(r#"{"user": "ada", "grants": [{"role": "viewer"}]}"#),
            ("POST", "/v1/jobs" | "/v1/plan") => {
                Some(r#"{"spec": {"command": ["true"], "cpus": "64", "wait_for_nodes": true}}"#)
            }
            ("POST", "/v1/check") => Some(r#"{"jobs": [{"spec": {"command": ["true"]}}]}"#),
            ("POST", "/v1/cluster/servers") => {
                Some(r#"{"url": "http://127.0.0.1:1", "directory": "2a", "learner": true}"#)
            }
            ("POST", "/v1/cluster/transfer") => Some(r#"{"to": 1}"#),
            ("PATCH", "/v1/cluster/servers/{server}") => Some(r#"{"role": "voter"}"#),
            ("PATCH", _) => Some(r#"{"priority": 1}"#),
            ("POST", path) if path.ends_with("/retry") => Some(r#"{"failed_only": true}"#),
            ("PUT", "/v1/namespaces/{namespace}") => None,
            ("PUT", "/v1/maintenance/{window}") => Some(disks),
            ("PUT", "/v1/retention") => Some(r#"{"keep": "2d"}"#),
            ("PUT", "/v1/queues/{queue}") => Some(
                r#"{"policy": "multi-factor", "factors": {"age": 7}, "max_cpus": "4", "nodes": "zone == a"}"#,
            ),
            ("PUT", "/v1/shares") => {
                Some(r#"{"account": "none", "user": "ada", "weight": 3, "half_life": "2d"}"#)
            }
            ("PUT", _) => Some("{}"),
            _ => None,
        };
        // The one that was admitted above; the first cannot go, and neither can what is called default.
        let spare = || path.replace("{server}", "2").replace("{queue}", "spare").replace("{pool}", "spare");
        let path = if method == "DELETE" { spare() } else { path };
        let (status, json) = bench.call(&method, &path_with(&path, "1"), body).await;
        assert_eq!(status, 200, "{method} {path}: {json:#}");
        let content = operation["responses"]["200"]["content"].as_object().unwrap();
        let schema = content.get("application/json").or(content.get("application/x-ndjson")).unwrap();
        let schema = &schema["schema"];
        assert!(schema.is_object(), "{method} {path} documents no answer");
        matches(&document, schema, &json, &format!("{method} {path}"));
        checked += 1;
    }
    assert_eq!(checked, 44);
    let (_, error) = bench.call("GET", "/v1/jobs/99", None).await;
    let schema = &document["paths"]["/v1/jobs/{job}"]["get"]["responses"]["default"]["content"]["application/json"]
        ["schema"];
    matches(&document, schema, &error, "an error");
    bench.stop().await;
}

/// Checks kinds of values, required fields, and that no field is undocumented.
fn matches(document: &Value, schema: &Value, value: &Value, at: &str) {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    let mut kinds = Vec::new();
    let mut open = false;
    gather(document, schema, &mut properties, &mut required, &mut kinds, &mut open);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.is_empty() || kinds.iter().any(|k| k == kind), "{at}: {kind} instead of {kinds:?}");
    if let (Value::Array(items), Some(of)) = (value, schema.get("items")) {
        for (i, item) in items.iter().enumerate() {
            matches(document, of, item, &format!("{at}[{i}]"));
        }
    }
    let Value::Object(fields) = value else { return };
    for name in &required {
        assert!(fields.contains_key(name), "{at}: {name} is missing");
    }
    for (name, field) in fields.iter().filter(|_| !properties.is_empty()) {
        let of = properties.get(name);
        assert!(of.is_some() || open, "{at}: {name} is not documented");
        matches(document, of.unwrap_or(&Value::Null), field, &format!("{at}.{name}"));
    }
}

/// What a schema says about an object, through references and combinations.
fn gather(
    document: &Value,
    schema: &Value,
    properties: &mut serde_json::Map<String, Value>,
    required: &mut Vec<String>,
    kinds: &mut Vec<String>,
    open: &mut bool,
) {
    if let Some(target) = schema["$ref"].as_str() {
        let target =
            document.pointer(target.trim_start_matches('#')).unwrap_or_else(|| panic!("{target} is nowhere"));
        return gather(document, target, properties, required, kinds, open);
    }
    let texts = |v: &Value| match v {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    kinds.extend(texts(&schema["type"]));
    required.extend(texts(&schema["required"]));
    properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
    *open |= schema.get("additionalProperties").is_some_and(|a| *a != Value::Bool(false));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(document, part, properties, required, kinds, open);
    }
    // One of several: their kinds are all good, their fields are not told apart.
    for part in ["oneOf", "anyOf"].iter().flat_map(|key| schema[*key].as_array().into_iter().flatten()) {
        gather(document, part, properties, &mut Vec::new(), kinds, open);
        *open = true;
    }
}
