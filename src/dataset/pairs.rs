use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, paths_below};
use super::{Case, CaseSource, DatasetError, empty_path};
use crate::settings::Fault;

/// Scans and masks whose paths follow two patterns below a folder, such as `imagesTr/{id}_0000.nii.gz`
/// and `labelsTr/{id}.nii.gz`.
///
/// `{id}` stands for the case's id; `{subject}`, which may be left out, for whose head it is (the id
/// otherwise); `*` for anything. None of them crosses a `/`. A file that is another scan's mask is not a scan,
/// so `{id}.nii` and `{id}_mask.nii` may lie side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// The folder below which the files lie.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The scans' pattern.
    pub image: String,
    /// The masks' pattern.
    pub mask: String,
}

impl CaseSource for Pairs {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let files = paths_below(
            &self.root,
            "Set `root` to the folder that the patterns start at",
        )?;
        let images = self.matching(&self.image, &files)?;
        let masks = self.matching(&self.mask, &files)?;
        let mut by_id: BTreeMap<&str, Vec<&Match>> = BTreeMap::new();
        for mask in &masks {
            by_id.entry(&mask.id).or_default().push(mask);
        }
        let masks_of = |image: &Match| -> Vec<&Path> {
            let same_id = by_id.get(&*image.id).into_iter().flatten();
            let own = same_id.filter(|mask| mask.may_be_of(image));
            own.map(|mask| mask.path).collect()
        };
        let used: BTreeSet<&Path> = images.iter().flat_map(&masks_of).collect();

        let mut cases: BTreeMap<String, Case> = BTreeMap::new();
        for image in images.iter().filter(|image| !used.contains(image.path)) {
            let case = self.case(image, &masks_of(image))?;
            if let Some(first) = cases.get(&case.id) {
                return Err(DatasetError::DuplicateId {
                    id: case.id,
                    first: first.image.clone(),
                    second: case.image,
                    remedy: "Rename one of them, or make `image` match only one: `{id}` must distinguish all scans",
                });
            }
            cases.insert(case.id.clone(), case);
        }
        if cases.is_empty() {
            let listed: Vec<String> = files.iter().take(3).map(|path| self.inside(path)).collect();
            return Err(DatasetError::NoCases {
                root: self.root.clone(),
                wanted: format!("scans {}", self.image),
                found: match files.len() {
                    0 => "no files".into(),
                    n => format!("{n} other files, such as {}", listed.join(", ")),
                },
                remedy: "Set `root` and `image` so that they match the scans",
            });
        }
        Ok(cases.into_values().collect())
    }

    fn rules(&self) -> Vec<Fault> {
        let message = "root must name the folder below which the files lie";
        let mut faults = empty_path("root", &self.root, message);
        let (image, mask) = match (pattern(&self.image), pattern(&self.mask)) {
            (Ok(image), Ok(mask)) => (image, mask),
            (image, mask) => {
                let wrong = |key: &str, why: String| Fault::new(key, format!("{key} {why}"));
                faults.extend(image.err().map(|why| wrong("image", why)));
                faults.extend(mask.err().map(|why| wrong("mask", why)));
                return faults;
            }
        };
        let names = |regex: &Regex| {
            regex
                .capture_names()
                .flatten()
                .any(|name| name == "subject")
        };
        if names(&mask) && !names(&image) {
            let message = "image must have {subject} if mask has it";
            faults.push(Fault::new("image", message));
        }
        if self.image == self.mask {
            let message = format!("image and mask must differ, but both are `{}`", self.mask);
            faults.push(Fault::new("mask", message));
        }
        faults
    }
}

impl Pairs {
    fn case(&self, image: &Match, masks: &[&Path]) -> Result<Case, DatasetError> {
        let mask = match *masks {
            [mask] => mask,
            [] => {
                let expected = self.mask.replace("{id}", &image.id);
                let expected = expected.replace("{subject}", image.subject());
                return Err(DatasetError::NoMask {
                    image: image.path.to_owned(),
                    expected: self.root.join(expected),
                });
            }
            _ => {
                return Err(DatasetError::SeveralMasks {
                    image: image.path.to_owned(),
                    masks: masks.iter().map(|mask| (*mask).to_owned()).collect(),
                    remedy: "Make `mask` match only one of them",
                });
            }
        };
        check_there(image.path)?;
        check_there(mask)?;
        Ok(Case {
            id: image.id.clone(),
            subject: image.subject().to_owned(),
            image: image.path.to_owned(),
            mask: mask.to_owned(),
            region: None,
            columns: BTreeMap::new(),
        })
    }

    /// A file's path below the root, with `/` on every system.
    fn inside(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }

    fn matching<'a>(
        &self,
        wanted: &str,
        files: &'a [PathBuf],
    ) -> Result<Vec<Match<'a>>, DatasetError> {
        let regex = pattern(wanted).map_err(DatasetError::Pattern)?;
        let of = |path: &'a PathBuf| {
            let inside = self.inside(path);
            let parts = regex.captures(&inside)?;
            let part = |name| parts.name(name).map(|part| part.as_str().to_owned());
            Some(Match {
                path,
                id: part("id")?,
                subject: part("subject"),
            })
        };
        Ok(files.iter().filter_map(of).collect())
    }
}

/// A file that matches a pattern.
struct Match<'a> {
    path: &'a Path,
    id: String,
    subject: Option<String>,
}

impl Match<'_> {
    fn subject(&self) -> &str {
        self.subject.as_ref().unwrap_or(&self.id)
    }

    /// Whether this, a mask of the image's id, fits the image otherwise.
    fn may_be_of(&self, image: &Match) -> bool {
        let same_subject = self
            .subject
            .as_deref()
            .is_none_or(|name| name == image.subject());
        same_subject && self.path != image.path
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
