//! What is said when a configuration cannot be used: where, what, and what is allowed.

use thiserror::Error;

use crate::files::FileError;

/// A configuration cannot be used. The message names the file, the line and the key.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key or a value is wrong.
    #[error("{place}: {why}")]
    Invalid {
        /// `file:line (key)`, or the flag that set the value.
        place: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl ConfigError {
    pub(super) fn invalid(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            place: place.into(),
            why: why.into(),
        }
    }
}

/// Rewrites serde's "unknown field `x`, expected one of `a`, `b`" for people, with the nearest
/// allowed spelling.
pub(super) fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = ["unknown field", "unknown variant"]
        .iter()
        .any(|start| message.starts_with(start));
    let Some((wrong, allowed)) = quoted.split_first().filter(|_| unknown) else {
        return message.to_owned();
    };
    if allowed.is_empty() {
        return format!("unknown key `{wrong}`: no keys are allowed here");
    }
    let mut sorted = allowed.to_vec();
    sorted.sort_unstable();
    let suggestion = nearest(wrong, allowed)
        .map(|name| format!(" Did you mean `{name}`?"))
        .unwrap_or_default();
    let kind = if message.starts_with("unknown field") {
        "key"
    } else {
        "name"
    };
    format!(
        "unknown {kind} `{wrong}`.{suggestion} Allowed: {}",
        sorted.join(", ")
    )
}

/// The allowed name most like `wrong`, if any is like it at all.
pub fn nearest<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    allowed
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), *name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_gets_the_nearest_one() {
        let said = explain("unknown field `filtres`, expected one of `levels`, `filters`");
        assert_eq!(
            said,
            "unknown key `filtres`. Did you mean `filters`? Allowed: filters, levels"
        );
    }

    #[test]
    fn nothing_is_suggested_for_something_quite_different() {
        assert_eq!(nearest("zzz", &["filters", "levels"]), None);
    }
}
