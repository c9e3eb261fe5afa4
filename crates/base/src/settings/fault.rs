//! One value that is wrong, as it is found: before anyone knows in which file it stands.

use std::error::Error;
use std::fmt;

/// Which part of an entry is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

/// A value that is wrong: which one, and what would be right.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The dotted path of the value, such as `unet.filters`; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Whether its key is wrong or its value.
    pub at: At,
}

impl Fault {
    /// A fault of the value at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            at: At::Value,
        }
    }

    /// A fault of the key at `path`.
    pub fn of_key(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: At::Key,
            ..Self::new(path, message)
        }
    }

    /// The first part of the path.
    pub fn section(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names_itself = self
            .message
            .strip_prefix(&self.path)
            .is_some_and(|rest| rest.starts_with(' '));
        if self.path.is_empty() || names_itself {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The faults of a part, as faults of the whole that has it at `path`.
pub fn within(path: &str, faults: Vec<Fault>) -> Vec<Fault> {
    let inside = |fault: Fault| Fault {
        path: child_key(path, &fault.path),
        ..fault
    };
    faults.into_iter().map(inside).collect()
}

/// The dotted path of `name` in the map or list at `parent`; either may be empty.
pub fn child_key(parent: &str, name: &str) -> String {
    match (parent, name) {
        ("", path) | (path, "") => path.to_owned(),
        (parent, name) => format!("{parent}.{name}"),
    }
}

/// Everything that is wrong with a value: at least one fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_a_part_are_faults_of_the_whole() {
        let faults = vec![Fault::new("levels", "too many"), Fault::of_key("", "no")];
        let faults = within("model.unet", faults);
        let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
        assert_eq!(paths, ["model.unet.levels", "model.unet"]);
        assert_eq!(
            Faults(faults).to_string(),
            "model.unet.levels: too many; model.unet: no"
        );
    }

    #[test]
    fn a_key_is_named_once() {
        let fault = Fault::new("weight", "weight must be at least 0");
        assert_eq!(fault.to_string(), "weight must be at least 0");
        let fault = Fault::new("weight", "weights are not read here");
        assert_eq!(fault.to_string(), "weight: weights are not read here");
    }
}
