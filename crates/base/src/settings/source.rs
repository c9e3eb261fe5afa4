//! One YAML file as written: its values, and the line on which each stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, YamlData};
use serde::de::IgnoredAny;
use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};
use thiserror::Error;

use super::diagnostic::{Diagnostic, Origin, Text};
use super::error::ConfigError;
use super::fault::{Fault, child_key};
use super::paths::anchor_paths;
use crate::files::{expand_home, read_text};

/// Dotted path of a value, such as `model.unet.filters` or `augment.1.gamma`, to where it was set.
pub type Origins = BTreeMap<String, Origin>;

/// A parsed file.
pub struct Source {
    /// The file's values, with environment variables filled in.
    pub values: Mapping,
    /// Where each value stands.
    pub origins: Origins,
    /// The files this one builds on, resolved against its folder, in order, and where it says so.
    pub extends: Vec<(PathBuf, Origin)>,
}

/// Reads one file. `${NAME}` and `${NAME:-default}` in text are filled in from the environment
/// where it has them (a file that extends this one may set the key to something else); what `schema` calls a
/// path is relative to the file's folder and becomes absolute.
///
/// # Errors
///
/// When the file cannot be read or parsed, or is not a map.
pub fn read(path: &Path, schema: &Schema) -> Result<Source, ConfigError> {
    let file = Arc::new(Text {
        name: display(path),
        text: read_text(path)?,
    });
    let mut value = parse_yaml(&file.text).map_err(|error| match error.character {
        Some(at) => Diagnostic::quoted(&file, at..at + 1, error.to_string()),
        None => Diagnostic::at(&file.name, error.to_string()),
    })?;
    let mut origins = origins(&file);
    fill_environment(&mut value);
    let mut values = match value {
        Value::Mapping(values) => values,
        Value::Null => Mapping::new(),
        _ => {
            let why = "an experiment is a map of keys; see the files in experiments/";
            return Err(Diagnostic::at(&file.name, why).into());
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let extends = take_extends(&mut values, &mut origins, &file)?
        .into_iter()
        .map(|(base, origin)| (folder.join(expand_home(Path::new(&base))), origin))
        .collect();
    anchor_paths(&mut values, schema, folder);
    Ok(Source {
        values,
        origins,
        extends,
    })
}

/// A text that is not YAML.
#[derive(Debug, Error)]
#[error("not valid YAML: {message}")]
pub struct NotYaml {
    message: String,
    /// Where, if that is known.
    character: Option<usize>,
}

/// Parses a text as YAML.
pub fn parse_yaml(text: &str) -> Result<Value, NotYaml> {
    serde_yaml::from_str(text).map_err(|error| NotYaml {
        message: message(&error),
        character: character(text, &error),
    })
}

/// What is wrong, without the place, which the error knows.
fn message(error: &serde_yaml::Error) -> String {
    let whole = error.to_string();
    let Some(at) = error.location() else {
        return whole;
    };
    let place = format!(" at line {} column {}", at.line(), at.column());
    match whole.split_once(&place) {
        Some((message, _)) => message.to_owned(),
        None => whole,
    }
}

fn character(text: &str, error: &serde_yaml::Error) -> Option<usize> {
    let is_well_formed = serde_yaml::from_str::<IgnoredAny>(text).is_ok();
    match MarkedYaml::load_from_str(text) {
        // A key stands twice: this parser points at the second, the other at the map.
        Err(error) if is_well_formed => Some(error.marker().index()),
        _ => {
            let before = text.get(..error.location()?.index())?;
            Some(before.chars().count())
        }
    }
}

/// The human-readable path: `experiments/../configs` reads `configs`.
fn display(path: &Path) -> String {
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

/// Takes the names of the files that `values` builds on out of it.
fn take_extends(
    values: &mut Mapping,
    origins: &mut Origins,
    file: &Text,
) -> Result<Vec<(String, Origin)>, ConfigError> {
    let names = match values.remove("extends") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Sequence(many)) => many,
        Some(one) => vec![one],
    };
    let mut found = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let key = format!("extends.{index}");
        // A single name stands right after its key.
        let origin = origins.get(&key).or_else(|| origins.get("extends"));
        match (name, origin) {
            (Value::String(name), Some(origin)) => found.push((name, origin.clone())),
            _ => {
                let fault = Fault::new(key, "extends must be a file name or a list of file names");
                let place = |key: &str| origins.get(key);
                return Err(ConfigError::new(vec![fault], &file.name, place));
            }
        }
    }
    origins.retain(|key, _| key.split('.').next() != Some("extends"));
    Ok(found)
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

/// Every value that still asks for an environment variable, and what to do.
pub fn unfilled(value: &Value) -> Vec<Fault> {
    let mut found = Vec::new();
    find_unfilled(value, "", &mut found);
    found
}

fn find_unfilled(value: &Value, key: &str, found: &mut Vec<Fault>) {
    match value {
        Value::String(text) => {
            let open = expand(text).err();
            found.extend(open.map(|message| Fault::new(key, message)));
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                find_unfilled(item, &child_key(key, &index.to_string()), found);
            }
        }
        Value::Mapping(entries) => {
            for (name, item) in entries {
                let name = name.as_str().unwrap_or_default();
                find_unfilled(item, &child_key(key, name), found);
            }
        }
        _ => {}
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

/// Where every key and list item stands; empty if the text cannot be parsed.
fn origins(file: &Arc<Text>) -> Origins {
    let mut found = Origins::new();
    if let Ok(documents) = MarkedYaml::load_from_str(&file.text) {
        for document in &documents {
            collect(document, "", file, &mut found);
        }
    }
    found
}

fn collect(node: &MarkedYaml<'_>, key: &str, file: &Arc<Text>, found: &mut Origins) {
    let characters =
        |node: &MarkedYaml<'_>| -> Range<usize> { node.span.start.index()..node.span.end.index() };
    let mut visit = |name: &str, at: &MarkedYaml<'_>, child: &MarkedYaml<'_>| {
        let path = child_key(key, name);
        let origin = Origin::File {
            file: Arc::clone(file),
            line: at.span.start.line(),
            key: characters(at),
            value: characters(child),
        };
        found.insert(path.clone(), origin);
        collect(child, &path, file, found);
    };
    match &node.data {
        YamlData::Mapping(entries) => {
            for (name, child) in entries {
                visit(name.data.as_str().unwrap_or_default(), name, child);
            }
        }
        YamlData::Sequence(items) => {
            for (index, child) in items.iter().enumerate() {
                visit(&index.to_string(), child, child);
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
        let text = "a: 1\nmodel:\n  unet:\n    filters: 8\naugment:\n  - flip\n  - gamma: {p: 1}\n";
        let file = Arc::new(Text {
            name: "x.yaml".into(),
            text: text.into(),
        });
        let found = origins(&file);
        assert_eq!(found["a"].to_string(), "x.yaml:1");
        assert_eq!(found["model.unet.filters"].to_string(), "x.yaml:4");
        assert_eq!(found["augment.1.gamma.p"].to_string(), "x.yaml:7");
        let Origin::File { key, value, .. } = &found["model.unet.filters"] else {
            panic!("not from a file");
        };
        assert_eq!((&text[key.clone()], &text[value.clone()]), ("filters", "8"));
    }

    #[test]
    fn paths_are_shown_without_detours() {
        assert_eq!(
            display(Path::new("experiments/../configs/base.yaml")),
            "configs/base.yaml"
        );
        assert_eq!(display(Path::new("../../a.yaml")), "../../a.yaml");
    }

    #[test]
    fn the_environment_is_filled_in_or_asked_for() {
        assert_eq!(expand("${CALVARIA_NEVER_SET:-x}/y").unwrap(), "x/y");
        assert_eq!(expand("plain").unwrap(), "plain");
        let why = expand("${CALVARIA_NEVER_SET}/y").unwrap_err();
        assert!(why.contains("export CALVARIA_NEVER_SET="), "{why}");
        assert!(expand("${OPEN").unwrap_err().contains("never closes"));
    }
}
