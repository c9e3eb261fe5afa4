//! The experiment: its schema, how YAML files become it, and what is said when they cannot.

mod describe;
mod error;
mod experiment;
pub mod family;
mod merge;
mod schema;
mod source;

use std::path::{Path, PathBuf};

use serde_path_to_error::Segment;
use serde_yaml::{Mapping, Value};

pub use describe::{comment, describe};
pub use error::{ConfigError, nearest};
pub use experiment::{EarlyStopping, Experiment, Prediction, Reporting, Training};
pub use schema::schema;
pub use source::Origins;

/// An experiment as resolved, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The experiment.
    pub experiment: Experiment,
    /// Dotted key to `file:line` or `--set …`; keys that are absent have their defaults.
    pub origins: Origins,
}

/// Loads an experiment: the files it extends, then itself, then `overrides` (`key=value`).
///
/// # Errors
///
/// Anything that is wrong, before any work starts: the message names the file, line and key, what
/// is allowed and the nearest spelling.
pub fn load(path: &Path, overrides: &[String]) -> Result<Resolved, ConfigError> {
    let mut values = Mapping::new();
    let mut origins = Origins::new();
    lay_file(path, &mut Vec::new(), &mut values, &mut origins)?;
    for text in overrides {
        let (overlay, news) = merge::parse_override(text)?;
        merge::merge(&mut values, overlay, &mut origins, news);
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy());
    if let Some(name) = name.filter(|_| !values.contains_key("name")) {
        values.insert("name".into(), Value::String(name.into_owned()));
    }
    let values = Value::Mapping(values);
    if let Some((key, why)) = source::unfilled(&values, "") {
        return Err(ConfigError::invalid(place(&key, path, &origins), why));
    }
    let experiment: Experiment = serde_path_to_error::deserialize(values).map_err(|error| {
        let key = dotted(error.path());
        let why = error::explain(&error.inner().to_string());
        ConfigError::invalid(place(&key, path, &origins), why)
    })?;
    experiment
        .validate()
        .map_err(|(key, why)| ConfigError::invalid(place(key, path, &origins), why))?;
    Ok(Resolved {
        experiment,
        origins,
    })
}

fn lay_file(
    path: &Path,
    open: &mut Vec<PathBuf>,
    values: &mut Mapping,
    origins: &mut Origins,
) -> Result<(), ConfigError> {
    let source = source::read(path)?;
    let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if open.contains(&identity) {
        return Err(ConfigError::invalid(
            path.display().to_string(),
            "extends itself, directly or through the files it extends",
        ));
    }
    open.push(identity);
    for base in &source.extends {
        lay_file(base, open, values, origins)?;
    }
    open.pop();
    merge::merge(values, source.values, origins, source.origins);
    Ok(())
}

fn dotted(path: &serde_path_to_error::Path) -> String {
    let parts: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect();
    parts.join(".")
}

/// `file:line (key)` of the nearest enclosing key that has an origin.
fn place(key: &str, file: &Path, origins: &Origins) -> String {
    let mut prefix = key;
    loop {
        if let Some(origin) = origins.get(prefix) {
            return format!("{origin} ({key})");
        }
        match prefix.rsplit_once('.') {
            Some((shorter, _)) => prefix = shorter,
            None if key.is_empty() => return file.display().to_string(),
            None => return format!("{} ({key})", file.display()),
        }
    }
}
