//! How YAML files become an experiment.

use std::path::Path;

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::Experiment;
use crate::settings::{ConfigError, Fault, Layers, Origins, check, unfilled};

/// An experiment as resolved, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The experiment.
    pub experiment: Experiment,
    /// Dotted key to where it was set; keys that are absent have their defaults.
    pub origins: Origins,
}

/// Loads an experiment: the files it extends, then itself, then `overrides` (`key=value`).
///
/// # Errors
///
/// Everything that is wrong, before any work starts: each mistake names the file, line and key, what
/// is allowed and the nearest spelling.
pub fn load(path: &Path, overrides: &[String]) -> Result<Resolved, ConfigError> {
    let schema = schemars::schema_for!(Experiment).to_value();
    let mut layers = Layers::new(&schema);
    layers.add_file(path)?;
    for flag in overrides {
        layers.add_flag(flag)?;
    }
    let Layers {
        mut values,
        origins,
        ..
    } = layers;
    let name = path.file_stem().map(|stem| stem.to_string_lossy());
    if let Some(name) = name.filter(|_| !values.contains_key("name")) {
        values.insert("name".into(), Value::String(name.into_owned()));
    }
    let experiment = parse(values, &schema).map_err(|faults| {
        let file = path.display().to_string();
        ConfigError::new(faults, &file, |key| origins.get(key))
    })?;
    Ok(Resolved {
        experiment,
        origins,
    })
}

/// The experiment that `values` describe, or all that is wrong with them.
fn parse(mut values: Mapping, schema: &Schema) -> Result<Experiment, Vec<Fault>> {
    let whole = Value::Mapping(values.clone());
    let mut faults = unfilled(&whole);
    faults.extend(check(&whole, schema));
    // What is left may be wrong in ways that a schema cannot express.
    let mut damaged: Vec<String> = faults
        .iter()
        .map(|fault| fault.section().to_owned())
        .collect();
    if !values.contains_key("data") {
        damaged.push("data".into());
    }
    for section in &damaged {
        values.remove(section.as_str());
    }
    for (key, stand_in) in [("name", "name"), ("data", "{table: {path: cases.csv}}")] {
        if !values.contains_key(key) {
            let stand_in = serde_yaml::from_str(stand_in).unwrap_or_default();
            values.insert(key.into(), stand_in);
        }
    }
    let chooses_loss = values.contains_key("loss");
    match serde_yaml::from_value::<Experiment>(Value::Mapping(values)) {
        Ok(mut experiment) => {
            if !chooses_loss {
                experiment.choose_loss();
            }
            let is_whole = |fault: &Fault| !damaged.iter().any(|key| key == fault.section());
            faults.extend(experiment.rules().into_iter().filter(is_whole));
            if faults.is_empty() {
                experiment.settle();
                Ok(experiment)
            } else {
                Err(faults)
            }
        }
        Err(error) => {
            faults.push(Fault::new("", error.to_string()));
            Err(faults)
        }
    }
}
