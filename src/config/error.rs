//! What is said when a configuration cannot be used: everything that is wrong, and where.

use thiserror::Error;

use super::mistake::Mistake;
use crate::files::FileError;

/// A configuration cannot be used. The message names the file, the line and the key.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys or values are wrong: all of them.
    #[error("{}", paragraphs(.0))]
    Invalid(Vec<Mistake>),
}

impl From<Mistake> for ConfigError {
    fn from(mistake: Mistake) -> Self {
        Self::Invalid(vec![mistake])
    }
}

fn paragraphs(mistakes: &[Mistake]) -> String {
    let mut said: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    if said.len() > 1 {
        said.push(format!("{} mistakes in all.", mistakes.len()));
    }
    said.join("\nerror: ")
}
