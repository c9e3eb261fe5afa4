//! Why a configuration cannot be used: everything that is wrong, and where.

use thiserror::Error;

use super::diagnostic::{Diagnostic, Origin};
use super::fault::Fault;
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

impl ConfigError {
    /// These faults in the order in which they stand, each with its place, which `origin` knows, or else
    /// with the file's name.
    pub fn new<'o>(
        faults: Vec<Fault>,
        file: &str,
        origin: impl Fn(&str) -> Option<&'o Origin>,
    ) -> Self {
        let place = |fault: Fault| Diagnostic::from(fault).with_location(file, &origin);
        let mut diagnostics: Vec<Diagnostic> = faults.into_iter().map(place).collect();
        diagnostics.sort_by(|a, b| a.order().cmp(b.order()));
        Self::Invalid(diagnostics)
    }
}

impl From<Diagnostic> for ConfigError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Invalid(vec![diagnostic])
    }
}

fn paragraphs(diagnostics: &[Diagnostic]) -> String {
    let mut messages: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    if messages.len() > 1 {
        messages.push(format!("{} mistakes in all.", messages.len()));
    }
    messages.join("\nerror: ")
}
