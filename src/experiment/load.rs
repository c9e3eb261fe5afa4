//! How YAML files become an experiment.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::Experiment;
use crate::settings::{
    At, ConfigError, Diagnostic, Origins, anchor_paths, apply_file, check, locate, merge,
    parse_override, unfilled,
};

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
    let mut values = Mapping::new();
    let mut origins = Origins::new();
    apply_file(path, &mut Vec::new(), &mut values, &mut origins)?;
    for text in overrides {
        let (mut overlay, news) = parse_override(text)?;
        // Paths on the command line are relative to where it is given.
        anchor_paths(&mut overlay, Path::new(""));
        merge(&mut values, overlay, &mut origins, news);
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy());
    if let Some(name) = name.filter(|_| !values.contains_key("name")) {
        values.insert("name".into(), Value::String(name.into_owned()));
    }
    let experiment = parse(values, &origins).map_err(|mistakes| {
        let file = path.display().to_string();
        let place = |mistake: Diagnostic| mistake.placed(&file, |key| origins.get(key));
        let mut placed: Vec<Diagnostic> = mistakes.into_iter().map(place).collect();
        placed.sort_by(|a, b| a.order().cmp(b.order()));
        ConfigError::Invalid(placed)
    })?;
    Ok(Resolved {
        experiment,
        origins,
    })
}

/// The experiment that `values` describe, or all that is wrong with them.
fn parse(mut values: Mapping, origins: &Origins) -> Result<Experiment, Vec<Diagnostic>> {
    let whole = Value::Mapping(values.clone());
    let mut mistakes = unfilled(&whole);
    let schema = schemars::schema_for!(Experiment).to_value();
    mistakes.extend(check(&whole, &schema));
    // What is left may be wrong in ways that a schema cannot tell.
    let mut damaged: Vec<String> = mistakes.iter().map(Diagnostic::section).collect();
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
    match serde_yaml::from_value::<Experiment>(Value::Mapping(values)) {
        Ok(experiment) => {
            let invalid = experiment.validate().into_iter();
            let invalid = invalid.map(|(key, why)| locate(key, &why, origins));
            mistakes.extend(invalid.filter(|mistake| !damaged.contains(&mistake.section())));
            if mistakes.is_empty() {
                Ok(experiment)
            } else {
                Err(mistakes)
            }
        }
        Err(error) => {
            mistakes.push(Diagnostic::new("", At::Value, error.to_string()));
            Err(mistakes)
        }
    }
}
