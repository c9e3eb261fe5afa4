//! One YAML file as written: its values, and the line on which each stands.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use saphyr::{LoadableYamlNode, MarkedYaml, YamlData};
use serde_yaml::{Mapping, Value};

use super::error::ConfigError;
use crate::files::read_text;

/// Dotted path of a value, such as `model.unet.filters` or `augment.1.gamma`, to where it was set.
pub type Origins = BTreeMap<String, String>;

/// A parsed file.
pub struct Source {
    /// The file's values, with environment variables filled in.
    pub values: Mapping,
    /// Where each value stands, as `file:line`.
    pub origins: Origins,
    /// The files this one builds on, resolved against its folder, in order.
    pub extends: Vec<PathBuf>,
}

/// Reads one file. `${NAME}` and `${NAME:-default}` in text are filled in from the environment
/// where it has them (whoever extends the file may set the key to something else); paths of the data
/// source, the split and preprocessing steps, which are relative to the file's folder, become absolute.
///
/// # Errors
///
/// When the file cannot be read or parsed, or is not a map.
pub fn read(path: &Path) -> Result<Source, ConfigError> {
    let text = read_text(path)?;
    let file = shown(path);
    let mut value: Value = serde_yaml::from_str(&text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        ConfigError::invalid(format!("{file}:{line}"), format!("not valid YAML: {error}"))
    })?;
    let origins = lines(&text)
        .into_iter()
        .filter(|(key, _)| key.split('.').next() != Some("extends"))
        .map(|(key, line)| (key, format!("{file}:{line}")))
        .collect();
    fill_environment(&mut value);
    let mut values = match value {
        Value::Mapping(values) => values,
        Value::Null => Mapping::new(),
        _ => {
            return Err(ConfigError::invalid(
                file,
                "an experiment is a map of keys; see the files in experiments/",
            ));
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let extends = take_extends(&mut values, &file)?
        .into_iter()
        .map(|base| folder.join(base))
        .collect();
    anchor_paths(&mut values, folder);
    Ok(Source {
        values,
        origins,
        extends,
    })
}

/// The path for people: `experiments/../configs` reads `configs`.
fn shown(path: &Path) -> String {
    let mut short = PathBuf::new();
    for part in path.components() {
        let follows_a_folder = matches!(short.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && follows_a_folder {
            short.pop();
        } else {
            short.push(part);
        }
    }
    short.display().to_string()
}

fn take_extends(values: &mut Mapping, file: &str) -> Result<Vec<String>, ConfigError> {
    let wrong = || {
        ConfigError::invalid(
            format!("{file} (extends)"),
            "must be a file name or a list of file names",
        )
    };
    match values.remove("extends") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Sequence(many)) => many
            .into_iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// The keys of sources, splits and preprocessing steps that are paths.
const PATH_KEYS: [&str; 4] = ["root", "path", "derivatives", "onto"];

fn anchor_paths(values: &mut Mapping, folder: &Path) {
    for key in ["data", "split"] {
        if let Some(member) = values.get_mut(key) {
            anchor_member(member, folder);
        }
    }
    if let Some(Value::Sequence(steps)) = values.get_mut("preprocess") {
        for step in steps {
            anchor_member(step, folder);
        }
    }
}

/// Makes the paths of a family's member absolute, so that a run's own config.yaml means the same
/// place. A path that cannot be made absolute is left for others to report.
fn anchor_member(member: &mut Value, folder: &Path) {
    let Value::Mapping(member) = member else {
        return;
    };
    for fields in member.values_mut().filter_map(Value::as_mapping_mut) {
        for key in PATH_KEYS {
            if let Some(Value::String(path)) = fields.get_mut(key)
                && !path.contains("${")
            {
                let anchored = folder.join(&*path);
                *path = std::path::absolute(&anchored)
                    .unwrap_or(anchored)
                    .display()
                    .to_string();
            }
        }
    }
}

/// Fills in every `${NAME}` that the environment has; [`unfilled`] finds the others.
pub fn fill_environment(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Ok(filled) = expand(text) {
                *text = filled;
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(fill_environment),
        Value::Mapping(entries) => entries.values_mut().for_each(fill_environment),
        _ => {}
    }
}

/// The first value that still asks for an environment variable: its dotted key and what to do.
pub fn unfilled(value: &Value, key: &str) -> Option<(String, String)> {
    let below = |name: &str| {
        if key.is_empty() {
            name.to_owned()
        } else {
            format!("{key}.{name}")
        }
    };
    match value {
        Value::String(text) => Some((key.to_owned(), expand(text).err()?)),
        Value::Sequence(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| unfilled(item, &below(&index.to_string()))),
        Value::Mapping(entries) => entries
            .iter()
            .find_map(|(name, item)| unfilled(item, &below(name.as_str().unwrap_or_default()))),
        _ => None,
    }
}

fn expand(text: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, tail) = after
            .split_once('}')
            .ok_or_else(|| format!("`{text}` opens `${{` but never closes it"))?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .or_else(|| default.map(str::to_owned))
            .ok_or_else(|| {
                format!(
                    "the environment variable {name} is not set. Set it, for example \
                     `export {name}=/path/to/data`, or override this key with --set"
                )
            })?;
        filled.push_str(before);
        filled.push_str(&value);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The line of every key and list item in `text`; empty if the text cannot be parsed.
fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    if let Ok(documents) = MarkedYaml::load_from_str(text) {
        for document in &documents {
            collect(document, "", &mut found);
        }
    }
    found
}

fn collect(node: &MarkedYaml<'_>, key: &str, found: &mut BTreeMap<String, usize>) {
    let mut visit = |name: &str, line: usize, child: &MarkedYaml<'_>| {
        let path = if key.is_empty() {
            name.to_owned()
        } else {
            format!("{key}.{name}")
        };
        found.insert(path.clone(), line);
        collect(child, &path, found);
    };
    match &node.data {
        YamlData::Mapping(entries) => {
            for (name, child) in entries {
                visit(
                    name.data.as_str().unwrap_or_default(),
                    name.span.start.line(),
                    child,
                );
            }
        }
        YamlData::Sequence(items) => {
            for (index, child) in items.iter().enumerate() {
                visit(&index.to_string(), child.span.start.line(), child);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let found =
            lines("a: 1\nmodel:\n  unet:\n    filters: 8\naugment:\n  - flip\n  - gamma: {p: 1}\n");
        assert_eq!(found["a"], 1);
        assert_eq!(found["model.unet.filters"], 4);
        assert_eq!(found["augment.1.gamma.p"], 7);
    }

    #[test]
    fn paths_are_shown_without_detours() {
        assert_eq!(
            shown(Path::new("experiments/../configs/base.yaml")),
            "configs/base.yaml"
        );
        assert_eq!(shown(Path::new("../../a.yaml")), "../../a.yaml");
    }

    #[test]
    fn the_environment_is_filled_in_or_asked_for() {
        assert_eq!(expand("${CALVARIA_SURELY_UNSET:-x}/y").unwrap(), "x/y");
        assert_eq!(expand("plain").unwrap(), "plain");
        let why = expand("${CALVARIA_SURELY_UNSET}/y").unwrap_err();
        assert!(why.contains("export CALVARIA_SURELY_UNSET="), "{why}");
        assert!(expand("${OPEN").unwrap_err().contains("never closes"));
    }
}
