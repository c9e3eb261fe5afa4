//! What is said when a configuration cannot be used: everything that is wrong, and where.

use thiserror::Error;

use super::diagnostic::Diagnostic;
use crate::files::FileError;

/// A configuration cannot be used. The message names the file, the line and the key.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys or values are wrong: all of them.
    #[error("{}", paragraphs(.0))]
    Invalid(Vec<Diagnostic>),
}

impl From<Diagnostic> for ConfigError {
    fn from(mistake: Diagnostic) -> Self {
        Self::Invalid(vec![mistake])
    }
}

fn paragraphs(mistakes: &[Diagnostic]) -> String {
    let mut said: Vec<String> = mistakes.iter().map(Diagnostic::to_string).collect();
    if said.len() > 1 {
        said.push(format!("{} mistakes in all.", mistakes.len()));
    }
    said.join("\nerror: ")
}
