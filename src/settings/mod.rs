//! The settings engine: YAML files that build on each other become plain values, and what is wrong with them
//! becomes diagnostics with file, line, key and the nearest spelling. Knows nothing of segmentation.
//!
//! | module | what it holds |
//! |---|---|
//! | [`family`] | what makes losses, models, … pluggable |
//! | `source` | one file as written: its values, and where each of them stands |
//! | `merge` | values laid over values |
//! | `check` | values held against a JSON schema |
//! | `diagnostic` | one thing that is wrong, and where |
//! | `document` | whole files that extend nothing |
//! | `describe` | a family's members for people to read |

mod check;
mod describe;
mod diagnostic;
mod document;
mod error;
pub mod family;
mod merge;
mod source;
mod spelling;

use std::path::{Path, PathBuf};

use serde_yaml::Mapping;

pub use check::check;
pub use describe::{comment, describe};
pub use diagnostic::{At, Diagnostic, Origin};
pub use document::read_as;
pub use error::ConfigError;
pub use merge::{merge, parse_override};
pub use source::{Origins, anchor_paths, unfilled};
pub use spelling::nearest;

/// `unet: levels must …` about `model` is about `model.unet.levels`, where that was set.
pub fn locate(mut key: String, mut why: &str, origins: &Origins) -> Diagnostic {
    loop {
        let word = why.split([' ', ':']).next().unwrap_or_default();
        let deeper = format!("{key}.{word}");
        if !origins.contains_key(&deeper) {
            return Diagnostic::new(&key, At::Value, why);
        }
        key = deeper;
        let Some(rest) = why.strip_prefix(&format!("{word}: ")) else {
            return Diagnostic::new(&key, At::Value, why);
        };
        why = rest;
    }
}

/// Lays the file at `path`, and before it the files it extends, over `values`.
///
/// # Errors
///
/// When a file is missing, is not YAML, or extends itself.
pub fn apply_file(
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
            |why: String| Diagnostic::new("extends", At::Value, why).placed("", |_| Some(said));
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
        apply_file(base, open, values, origins)?;
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
