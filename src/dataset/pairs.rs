use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};

use super::walk::{check_there, files_below};
use super::{Case, DatasetError};

/// Scans and masks whose paths follow two patterns below a folder, such as `imagesTr/{id}_0000.nii.gz`
/// and `labelsTr/{id}.nii.gz`.
///
/// `{id}` stands for the case's id; `{subject}`, which may be left out, for whose head it is (the id
/// otherwise); `*` for anything. None of them crosses a `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// The folder below which the files lie.
    pub root: PathBuf,
    /// The scans' pattern.
    pub image: String,
    /// The masks' pattern.
    pub mask: String,
}

impl Pairs {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.root.as_os_str().is_empty() {
            return Err("root must name the folder below which the files lie".into());
        }
        let image = pattern(&self.image).map_err(|why| format!("image {why}"))?;
        let mask = pattern(&self.mask).map_err(|why| format!("mask {why}"))?;
        let names = |regex: &Regex| {
            regex
                .capture_names()
                .flatten()
                .any(|name| name == "subject")
        };
        if names(&mask) && !names(&image) {
            return Err("image must have {subject} if mask has it".into());
        }
        Ok(())
    }

    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When nothing matches, a scan has no mask, or two files match one id.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let files = files_below(&self.root)?;
        let images = self.matching(&self.image, &files)?;
        let masks = self.matching(&self.mask, &files)?;
        if images.is_empty() {
            let shown = files.iter().take(3).map(|path| self.inside(path));
            let shown: Vec<String> = shown.collect();
            return Err(DatasetError::NothingFound {
                root: self.root.clone(),
                wanted: format!("scans {}", self.image),
                found: match files.len() {
                    0 => "no files".into(),
                    n => format!("{n} other files, such as {}", shown.join(", ")),
                },
            });
        }
        let mut cases = Vec::new();
        for (id, (subject, image)) in images {
            let subject = subject.unwrap_or_else(|| id.clone());
            let of_subject = |found: &&(Option<String>, PathBuf)| {
                found.0.as_ref().is_none_or(|other| *other == subject)
            };
            let Some((_, mask)) = masks.get(&id).filter(of_subject) else {
                let expected = self
                    .mask
                    .replace("{id}", &id)
                    .replace("{subject}", &subject);
                return Err(DatasetError::NoMask {
                    image,
                    expected: self.root.join(expected),
                });
            };
            check_there(&image)?;
            check_there(mask)?;
            cases.push(Case {
                id,
                subject,
                image,
                mask: mask.clone(),
                region: None,
                columns: BTreeMap::new(),
            });
        }
        Ok(cases)
    }

    /// A file's path below the root, with `/` on every system.
    fn inside(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }

    /// The files that match a pattern, by id, with their subject.
    fn matching(
        &self,
        wanted: &str,
        files: &[PathBuf],
    ) -> Result<BTreeMap<String, (Option<String>, PathBuf)>, DatasetError> {
        let regex = pattern(wanted).map_err(DatasetError::Pattern)?;
        let mut found = BTreeMap::new();
        for path in files {
            let inside = self.inside(path);
            let Some(captures) = regex.captures(&inside) else {
                continue;
            };
            let part =
                |captures: &Captures, name| captures.name(name).map(|m| m.as_str().to_owned());
            let Some(id) = part(&captures, "id") else {
                continue;
            };
            let entry = (part(&captures, "subject"), path.clone());
            if let Some((_, first)) = found.insert(id.clone(), entry) {
                return Err(DatasetError::DuplicateId {
                    id,
                    first,
                    second: path.clone(),
                });
            }
        }
        Ok(found)
    }
}

/// The regular expression of a pattern.
fn pattern(text: &str) -> Result<Regex, String> {
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!(
            "`{text}` must stay below root: no leading / and no .."
        ));
    }
    let mut expression = String::from("^");
    let mut rest = text;
    while let Some(at) = rest.find(['{', '*']) {
        expression += &regex::escape(&rest[..at]);
        rest = &rest[at..];
        let (length, group) = if rest.starts_with('*') {
            (1, "[^/]*")
        } else if rest.starts_with("{id}") {
            (4, "(?<id>[^/]+)")
        } else if rest.starts_with("{subject}") {
            (9, "(?<subject>[^/]+)")
        } else {
            return Err(format!(
                "`{text}` may hold {{id}}, {{subject}} and *, nothing else in braces"
            ));
        };
        expression += group;
        rest = &rest[length..];
    }
    expression += &regex::escape(rest);
    expression += "$";
    if !text.contains("{id}") {
        return Err(format!("`{text}` must hold {{id}}"));
    }
    Regex::new(&expression)
        .map_err(|_| format!("`{text}` may hold {{id}} and {{subject}} once each"))
}
