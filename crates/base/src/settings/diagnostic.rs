//! A fault of a configuration, and where it stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::fault::{At, Fault};

/// A file as read, to quote from.
#[derive(Debug, PartialEq)]
pub struct Text {
    /// Its human-readable name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// In a file: its key and its value, in characters.
    File {
        /// The file.
        file: Arc<Text>,
        /// Counted from 1.
        line: usize,
        /// The characters of its key (of an item of a list: the item).
        key: Range<usize>,
        /// The characters of its value.
        value: Range<usize>,
    },
    /// On the command line, as this `key=value`.
    Flag(String),
}

impl fmt::Display for Origin {
    /// `file:line`, or the flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.name),
            Self::Flag(flag) => write!(f, "--set {flag}"),
        }
    }
}

/// A fault, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// What is wrong.
    pub fault: Fault,
    /// `file:line:column (key)`, and the line with a caret under the place.
    place: String,
    quote: String,
    /// What set the value on the command line, if that did.
    flag: Option<String>,
    /// File and character.
    order: (String, usize),
}

impl From<Fault> for Diagnostic {
    /// The fault before its place is known.
    fn from(fault: Fault) -> Self {
        Self {
            place: fault.path.clone(),
            fault,
            quote: String::new(),
            flag: None,
            order: Default::default(),
        }
    }
}

impl Diagnostic {
    /// A fault at a place that is named rather than found in a file.
    pub fn at(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            ..Fault::of_key("", message).into()
        }
    }

    /// A fault at these characters of a file.
    pub fn quoted(file: &Text, characters: Range<usize>, message: impl Into<String>) -> Self {
        let mut diagnostic = Self::at("", message);
        diagnostic.quote(file, characters);
        diagnostic
    }

    /// The fault with its place, looked up by `origin` for its key or the nearest one around it.
    pub fn with_location<'o>(
        mut self,
        file: &str,
        origin: impl Fn(&str) -> Option<&'o Origin>,
    ) -> Self {
        let key = self.fault.path.clone();
        let mut around = key.as_str();
        let found = loop {
            if let Some(origin) = origin(around) {
                break Some(origin);
            }
            match around.rsplit_once('.') {
                Some((shorter, _)) => around = shorter,
                None => break None,
            }
        };
        match found {
            Some(Origin::Flag(flag)) => {
                self.place = format!("{} ({key})", Origin::Flag(flag.clone()));
                self.flag = Some(flag.clone());
            }
            Some(Origin::File {
                file,
                key: of_key,
                value,
                ..
            }) => {
                let exact = around == key;
                let here = if exact && self.fault.at == At::Value {
                    value
                } else {
                    of_key
                };
                self.quote(file, here.clone());
                self.place = format!("{} ({key})", self.place);
            }
            None if key.is_empty() => self.place = file.to_owned(),
            None => self.place = format!("{file} ({key})"),
        }
        self
    }

    /// What is wrong with a value that was set on the command line, named by its `key=value` alone.
    pub fn of_flag(&self) -> Option<String> {
        let flag = self.flag.as_ref()?;
        Some(format!("{flag} ({}): {}", self.fault.path, self.sentence()))
    }

    /// What sorts diagnostics in the order in which they stand.
    pub fn order(&self) -> &(String, usize) {
        &self.order
    }

    fn sentence(&self) -> String {
        let message = &self.fault.message;
        let stop = if message.ends_with(['.', '?', '!']) {
            ""
        } else {
            "."
        };
        format!("{message}{stop}")
    }

    fn quote(&mut self, file: &Text, characters: Range<usize>) {
        self.order = (file.name.clone(), characters.start);
        let before: String = file.text.chars().take(characters.start).collect();
        let number = before.matches('\n').count() + 1;
        let start = before.rsplit('\n').next().map_or(0, |s| s.chars().count());
        self.place = format!("{}:{number}:{}", file.name, start + 1);
        let Some(line) = file.text.lines().nth(number - 1) else {
            return;
        };
        let room = line.trim_end().chars().count().saturating_sub(start);
        let carets = "^".repeat(characters.len().min(room).max(1));
        // The caret is in the right place only if the text before it has the same width.
        let indent: String = line
            .chars()
            .take(start)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let gutter = " ".repeat(number.to_string().len());
        self.quote = format!(
            "\n  {number} | {}\n  {gutter} | {indent}{carets}",
            line.trim_end()
        );
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.place, self.sentence(), self.quote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let file = Text {
            name: "a.yaml".into(),
            text: "näme: x\nmodel: {unet: {filtres: 2}}\n".into(),
        };
        let diagnostic = Diagnostic::quoted(&file, 23..30, "unknown key `filtres`");
        assert_eq!(
            diagnostic.to_string(),
            "a.yaml:2:16: unknown key `filtres`.\n  \
             2 | model: {unet: {filtres: 2}}\n    \
               |                ^^^^^^^"
        );
    }
}
