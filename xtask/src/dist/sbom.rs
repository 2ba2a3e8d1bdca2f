//! The bill of materials: every package that is linked in or runs at build time, as CycloneDX 1.5 in JSON.

use super::version;
use crate::metadata;
use anyhow::Result;
use serde_json::{Value, json};

/// The document.
pub fn cyclonedx() -> Result<String> {
    let packages = metadata::licences()?;
    Ok(serde_json::to_string_pretty(&document(&packages))?)
}

/// `packages` are names, versions and licence expressions.
fn document(packages: &[(String, String, String)]) -> Value {
    let component = |(name, version, licence): &(String, String, String)| {
        let purl = format!("pkg:cargo/{name}@{version}");
        let mut component =
            json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl});
        if !licence.is_empty() {
            // Older crates write a slash where SPDX has OR.
            component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
        }
        component
    };
    let purl = format!("pkg:cargo/taskyard@{}", version());
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": purl, "name": "taskyard", "version": version()}},
        "components": packages.iter().filter(|(name, ..)| name != "taskyard" && name != "xtask").map(component).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::document;

    #[test]
    fn each_package_is_a_component() {
        let package = |name: &str| (name.to_owned(), "1.2.3".to_owned(), "MIT/Apache-2.0".to_owned());
        let bom = document(&[package("taskyard"), package("serde"), package("xtask")]);
        let components = bom["components"].as_array().unwrap();
        assert_eq!(components.len(), 1);
        assert_eq!(components[0]["purl"], "pkg:cargo/serde@1.2.3");
        assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    }
}
