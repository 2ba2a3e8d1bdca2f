//! The published JSON schema of a job file, taken from the same types that read it.

use crate::JobSpec;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A JSON Schema (2020-12) document for job files.
pub fn job_file() -> Value {
    let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
    JobSpec::schemas(&mut parts);
    let mut schema = serde_json::to_value(JobSpec::schema()).unwrap_or_default();
    let defs: serde_json::Map<_, _> =
        parts.into_iter().map(|(name, s)| (name, serde_json::to_value(s).unwrap_or_default())).collect();
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".into(), json!("Taskyard job"));
        map.insert("$defs".into(), Value::Object(defs));
    }
    repoint(&mut schema);
    schema
}

/// References point into the OpenAPI document; in a schema of its own they point to `$defs`.
fn repoint(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            map.values_mut().for_each(repoint);
        }
        Value::Array(items) => items.iter_mut().for_each(repoint),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job.schema.json");
        let text = format!("{:#}\n", job_file());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "UPDATE_GOLDEN=1 writes it");
    }

    #[test]
    fn holds_every_field_of_a_job() {
        let schema = job_file();
        // Serde lists the fields that it reads when it meets one that it does not.
        let error = serde_json::from_value::<JobSpec>(json!({"no such field": 1})).unwrap_err().to_string();
        let mut known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        known.sort_unstable();
        let mut fields: Vec<_> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, known);
        assert!(fields.len() > 30);
        assert_eq!(schema["additionalProperties"], false);
        let text = schema.to_string();
        assert!(!text.contains("#/components"), "{text}");
        assert!(schema["$defs"]["NullSpec"].is_object(), "{schema:#}");
    }
}
