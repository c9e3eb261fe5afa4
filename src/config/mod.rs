//! The experiment: its schema, how YAML files become it, and what is said when they cannot.

mod check;
mod describe;
mod document;
mod error;
mod experiment;
pub mod family;
mod merge;
mod mistake;
mod schema;
mod source;

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

pub use describe::{comment, describe};
pub use document::read_as;
pub use error::ConfigError;
pub use experiment::{EarlyStopping, Experiment, Prediction, Reporting, Training};
pub use mistake::{Mistake, Origin, nearest};
pub use schema::schema;
pub use source::Origins;

use self::mistake::At;

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
    lay_file(path, &mut Vec::new(), &mut values, &mut origins)?;
    for text in overrides {
        let (mut overlay, news) = merge::parse_override(text)?;
        // Paths on the command line are relative to where it is given.
        source::anchor_paths(&mut overlay, Path::new(""));
        merge::merge(&mut values, overlay, &mut origins, news);
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy());
    if let Some(name) = name.filter(|_| !values.contains_key("name")) {
        values.insert("name".into(), Value::String(name.into_owned()));
    }
    let experiment = understand(values, &origins).map_err(|mistakes| {
        let file = path.display().to_string();
        let place = |mistake: Mistake| mistake.placed(&file, |key| origins.get(key));
        let mut placed: Vec<Mistake> = mistakes.into_iter().map(place).collect();
        placed.sort_by(|a, b| a.order().cmp(b.order()));
        ConfigError::Invalid(placed)
    })?;
    Ok(Resolved {
        experiment,
        origins,
    })
}

/// The experiment that `values` describe, or all that is wrong with them.
fn understand(mut values: Mapping, origins: &Origins) -> Result<Experiment, Vec<Mistake>> {
    let whole = Value::Mapping(values.clone());
    let mut mistakes = source::unfilled(&whole);
    let schema = schemars::schema_for!(Experiment).to_value();
    mistakes.extend(check::check(&whole, &schema));
    // What is left may be wrong in ways that a schema cannot tell.
    let mut damaged: Vec<String> = mistakes.iter().map(Mistake::section).collect();
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
            let invalid = invalid.map(|(key, why)| sharpened(key, &why, origins));
            mistakes.extend(invalid.filter(|mistake| !damaged.contains(&mistake.section())));
            if mistakes.is_empty() {
                Ok(experiment)
            } else {
                Err(mistakes)
            }
        }
        Err(error) => {
            mistakes.push(Mistake::new("", At::Value, error.to_string()));
            Err(mistakes)
        }
    }
}

/// `unet: levels must …` about `model` is about `model.unet.levels`, where that was set.
fn sharpened(mut key: String, mut why: &str, origins: &Origins) -> Mistake {
    loop {
        let word = why.split([' ', ':']).next().unwrap_or_default();
        let deeper = format!("{key}.{word}");
        if !origins.contains_key(&deeper) {
            return Mistake::new(&key, At::Value, why);
        }
        key = deeper;
        let Some(rest) = why.strip_prefix(&format!("{word}: ")) else {
            return Mistake::new(&key, At::Value, why);
        };
        why = rest;
    }
}

fn lay_file(
    path: &Path,
    open: &mut Vec<PathBuf>,
    values: &mut Mapping,
    origins: &mut Origins,
) -> Result<(), ConfigError> {
    let source = source::read(path)?;
    let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    open.push(identity);
    for (base, said) in &source.extends {
        let wrong =
            |why: String| Mistake::new("extends", At::Value, why).placed("", |_| Some(said));
        if !base.is_file() {
            return Err(wrong(missing(base)).into());
        }
        if base.canonicalize().is_ok_and(|base| open.contains(&base)) {
            let why = format!(
                "{} extends itself, directly or through others",
                base.display()
            );
            return Err(wrong(why).into());
        }
        lay_file(base, open, values, origins)?;
    }
    open.pop();
    merge::merge(values, source.values, origins, source.origins);
    Ok(())
}

/// That there is no such file, and which was perhaps meant.
fn missing(file: &Path) -> String {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let beside = file
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let beside = beside.into_iter().flatten().flatten();
    let mut beside: Vec<String> = beside.filter_map(|entry| name(&entry.path())).collect();
    beside.sort();
    let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
    let suggestion = nearest(&name(file).unwrap_or_default(), &beside)
        .map(|name| format!(". Did you mean `{name}`?"))
        .unwrap_or_default();
    format!("there is no file {}{suggestion}", file.display())
}
