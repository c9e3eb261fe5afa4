//! Files of other kinds than an experiment: one map of keys, which extends nothing.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::error::ConfigError;
use super::fault::Fault;
use super::{check, source};

/// Reads a `T` from YAML that the program wrote itself.
///
/// By way of plain values, from which settings are read anyway: the code that reads a type straight from text would
/// be compiled besides.
///
/// # Errors
///
/// What is wrong with the text, or with its values.
pub fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str::<Value>(text).and_then(serde_yaml::from_value)
}

/// A value as YAML; by way of plain values, as in [`from_yaml`].
///
/// # Errors
///
/// If the value has no form in YAML.
pub fn to_yaml<T: Serialize>(value: &T) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&serde_yaml::to_value(value)?)
}

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
