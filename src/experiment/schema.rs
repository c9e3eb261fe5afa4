//! The JSON schema of experiment files, for editors.

use schemars::{Schema, json_schema, schema_for};
use serde_json::{Value, json};

use super::Experiment;

/// What an experiment file, or a building block that one extends, may contain: every key, its meaning, its
/// range and its default, after JSON Schema 2020-12.
pub fn schema() -> Schema {
    let mut schema = schema_for!(Experiment);
    // A file contains only what differs: no key is required, and `extends` is allowed.
    schema.remove("required");
    schema.insert("title".into(), json!("A calvaria experiment"));
    let extends = json_schema!({
        "description": "Files that this one builds on, relative to it: later ones win over earlier \
            ones, and this file over all of them.",
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
        ],
    });
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("extends".into(), extends.to_value());
    }
    schema
}
