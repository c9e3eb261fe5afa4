//! One thing that is wrong with a configuration, and where it stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A file as read, to quote from.
#[derive(Debug, PartialEq)]
pub struct Text {
    /// Its name for people.
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
    /// On the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    /// `file:line`, or the flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Which part of an entry is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The dotted key that it is about.
    pub key: String,
    /// What is wrong and what would be right.
    pub why: String,
    at: At,
    /// `file:line:column (key)`, and the line with a caret under the place.
    place: String,
    quote: String,
    /// File and character.
    order: (String, usize),
}

impl Diagnostic {
    /// A mistake at `key`.
    pub fn new(key: &str, at: At, why: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            why: why.into(),
            at,
            place: key.to_owned(),
            quote: String::new(),
            order: Default::default(),
        }
    }

    /// A mistake of which nothing better than its place is known.
    pub fn at(place: impl Into<String>, why: impl Into<String>) -> Self {
        let mut mistake = Self::new("", At::Key, why);
        mistake.place = place.into();
        mistake
    }

    /// A mistake at these characters of a file.
    pub fn quoted(file: &Text, characters: Range<usize>, why: impl Into<String>) -> Self {
        let mut mistake = Self::new("", At::Key, why);
        mistake.quote(file, characters);
        mistake
    }

    /// The mistake with its place, looked up by `origin` for its key or the nearest one around it.
    pub fn placed<'o>(mut self, file: &str, origin: impl Fn(&str) -> Option<&'o Origin>) -> Self {
        let mut around = self.key.as_str();
        let found = loop {
            if let Some(origin) = origin(around) {
                break Some((origin.clone(), around == self.key));
            }
            match around.rsplit_once('.') {
                Some((shorter, _)) => around = shorter,
                None => break None,
            }
        };
        match found {
            Some((Origin::Flag(flag), _)) => self.place = format!("{flag} ({})", self.key),
            Some((
                Origin::File {
                    file, key, value, ..
                },
                exact,
            )) => {
                let here = if exact && self.at == At::Value {
                    value
                } else {
                    key
                };
                self.quote(&file, here);
                self.place = format!("{} ({})", self.place, self.key);
            }
            None if self.key.is_empty() => self.place = file.to_owned(),
            None => self.place = format!("{file} ({})", self.key),
        }
        self
    }

    /// The first part of the key.
    pub fn section(&self) -> String {
        self.key.split('.').next().unwrap_or_default().to_owned()
    }

    /// By what mistakes are told in the order in which they stand.
    pub fn order(&self) -> &(String, usize) {
        &self.order
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
        // The caret stands right only if what is before it is as wide.
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
        let stop = if self.why.ends_with(['.', '?', '!']) {
            ""
        } else {
            "."
        };
        write!(f, "{}: {}{stop}{}", self.place, self.why, self.quote)
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
        let mistake = Diagnostic::quoted(&file, 23..30, "unknown key `filtres`");
        assert_eq!(
            mistake.to_string(),
            "a.yaml:2:16: unknown key `filtres`.\n  \
             2 | model: {unet: {filtres: 2}}\n    \
               |                ^^^^^^^"
        );
    }
}
