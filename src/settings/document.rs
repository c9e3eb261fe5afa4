//! Files of other kinds than an experiment: one map of keys, which extends nothing.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::diagnostic::{At, Diagnostic};
use super::error::ConfigError;
use super::spelling::nearest;
use super::{check, locate, source};

/// Reads a file as a `T`. `validate` says what is wrong with it that neither its schema nor its types tell:
/// the key and why.
///
/// # Errors
///
/// Everything that is wrong, as for an experiment.
pub fn read_as<T: JsonSchema + DeserializeOwned>(
    path: &Path,
    validate: impl FnOnce(&T) -> Result<(), (&'static str, String)>,
) -> Result<T, ConfigError> {
    let source = source::read(path)?;
    let values = Value::Mapping(source.values);
    let mut mistakes = source::unfilled(&values);
    mistakes.extend(check(&values, &schemars::schema_for!(T).to_value()));
    if !source.extends.is_empty() {
        let why = "only experiments can extend others";
        mistakes.push(Diagnostic::new("extends", At::Key, why));
    }
    if mistakes.is_empty() {
        match serde_path_to_error::deserialize::<_, T>(values) {
            Ok(read) => match validate(&read) {
                Ok(()) => return Ok(read),
                Err((key, why)) => mistakes.push(locate(key.into(), &why, &source.origins)),
            },
            Err(error) => {
                let key = error.path().to_string();
                let why = said(&error.inner().to_string());
                mistakes.push(Diagnostic::new(&key, At::Value, why));
            }
        }
    }
    let file = path.display().to_string();
    let placed = mistakes
        .into_iter()
        .map(|mistake| mistake.placed(&file, |key| source.origins.get(key)));
    let mut placed: Vec<Diagnostic> = placed.collect();
    placed.sort_by(|a, b| a.order().cmp(b.order()));
    Err(ConfigError::Invalid(placed))
}

/// What serde says, with the nearest spelling of a key that it does not know.
fn said(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((wrong, allowed)) = quoted.split_first() else {
        return message.to_owned();
    };
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let hint = nearest(wrong, allowed).map(|name| format!(" Did you mean `{name}`?"));
    let (hint, allowed) = (hint.unwrap_or_default(), allowed.join(", "));
    format!("unknown key `{wrong}`.{hint} Allowed: {allowed}")
}
