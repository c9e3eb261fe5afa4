//! Files of other kinds than an experiment: one map of keys, which extends nothing.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::error::ConfigError;
use super::fault::Fault;
use super::{check, source};

/// Reads a file as a `T`. `rules` find what is wrong with it that its schema does not.
///
/// # Errors
///
/// Everything that is wrong, as for an experiment.
pub fn read_as<T: JsonSchema + DeserializeOwned>(
    path: &Path,
    rules: impl FnOnce(&T) -> Vec<Fault>,
) -> Result<T, ConfigError> {
    let schema = schemars::schema_for!(T).to_value();
    let source = source::read(path, &schema)?;
    let values = Value::Mapping(source.values);
    let mut faults = source::unfilled(&values);
    faults.extend(check(&values, &schema));
    if !source.extends.is_empty() {
        faults.push(Fault::of_key(
            "extends",
            "only experiments can extend others",
        ));
    }
    if faults.is_empty() {
        match serde_path_to_error::deserialize::<_, T>(values) {
            Ok(read) => {
                faults = rules(&read);
                if faults.is_empty() {
                    return Ok(read);
                }
            }
            Err(error) => {
                let path = error.path().to_string();
                faults.push(Fault::new(path, error.inner().to_string()));
            }
        }
    }
    let file = path.display().to_string();
    Err(ConfigError::new(faults, &file, |key| {
        source.origins.get(key)
    }))
}
