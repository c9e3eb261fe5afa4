use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, paths_below};
use super::{Case, CaseSource, DatasetError, empty_path};
use crate::layout::is_prediction;
use crate::preprocess::{GRID_TOLERANCE, ImageFile};
use crate::settings::{Fault, nearest};
use crate::volume::MaskRule;

/// Scans and masks whose paths follow two patterns below a folder, such as `imagesTr/{id}_0000.nii.gz`
/// and `labelsTr/{id}.nii.gz`.
///
/// `{id}` stands for the case's id; `{subject}` for whose head it is (the id if it is left out), and all cases of a
/// subject stay on one side of a split; `{session}` for the visit, which becomes the column `session`; `*` for
/// anything. None of them crosses a `/`. A file that is another scan's mask is not a scan, so `{id}.nii` and
/// `{id}_mask.nii` may lie side by side.
///
/// Without `{id}` subject and session make up the id, joined by `_`, as in `{subject}_{session}_T1.nii.gz`. A name
/// that can be read in several ways (`a_b_c_T1.nii.gz`) is then refused: write what all names have in common into
/// the pattern, or use a `table`.
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
                    id: case.id.clone(),
                    first: first.image().to_owned(),
                    second: case.image().to_owned(),
                    remedy: "Rename one of them, or make `image` match only one: `{id}`, or `{subject}` and `{session}`, must distinguish all scans",
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
        let (image, mask) = match (Pattern::of(&self.image), Pattern::of(&self.mask)) {
            (Ok(image), Ok(mask)) => (image, mask),
            (image, mask) => {
                let wrong = |key: &str, why: String| Fault::new(key, format!("{key} {why}"));
                faults.extend(image.err().map(|why| wrong("image", why)));
                faults.extend(mask.err().map(|why| wrong("mask", why)));
                return faults;
            }
        };
        for (key, pattern) in [("image", &self.image), ("mask", &self.mask)] {
            if is_prediction(Path::new(pattern)) {
                let message = format!(
                    "{key} names predictions of calvaria, which are never taken for data: give those that you have \
                     corrected other names, or list them in a `table`"
                );
                faults.push(Fault::new(key, message));
            }
        }
        for name in [SUBJECT, SESSION] {
            if mask.holds(name) && !image.holds(name) {
                let message = format!("image must have {{{name}}} if mask has it");
                faults.push(Fault::new("image", message));
            }
            if !mask.holds(ID) && image.holds(name) && !mask.holds(name) {
                let message = format!("mask must have {{id}}, or {{{name}}} as image has it");
                faults.push(Fault::new("mask", message));
            }
        }
        if image.holds(ID) && !mask.holds(ID) {
            let message = "mask must have {id} if image has it";
            faults.push(Fault::new("mask", message));
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
        if let Some(readings) = &image.ambiguity {
            return Err(DatasetError::Pattern(format!(
                "`{}` can be read in several ways in {}: {readings}. Write what all names have in common into \
                 the pattern, or list the cases in a `table`",
                self.image,
                self.inside(image.path),
            )));
        }
        let mask = match *masks {
            [mask] => mask,
            [] => {
                let values = [
                    (ID, Some(&image.id)),
                    (SUBJECT, image.subject.as_ref()),
                    (SESSION, image.session.as_ref()),
                ];
                let expected = values
                    .into_iter()
                    .fold(self.mask.clone(), |path, (name, value)| {
                        let value = value.map_or("", String::as_str);
                        path.replace(&format!("{{{name}}}"), value)
                    });
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
        let session = image.session.clone().into_iter();
        Ok(Case {
            id: image.id.clone(),
            subject: image.subject().to_owned(),
            images: vec![ImageFile::only(image.path)],
            onto: None,
            mask: mask.to_owned(),
            mask_rule: MaskRule::STRICT,
            grid_tolerance: GRID_TOLERANCE,
            region: None,
            columns: session.map(|value| (SESSION.to_owned(), value)).collect(),
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
        let pattern = Pattern::of(wanted).map_err(DatasetError::Pattern)?;
        let of = |path: &'a PathBuf| pattern.read(path, &self.inside(path));
        Ok(files.iter().filter_map(of).collect())
    }
}

const ID: &str = "id";
const SUBJECT: &str = "subject";
const SESSION: &str = "session";

/// What a pattern may hold in braces, in the order in which an id is made of them.
const NAMES: [&str; 3] = [ID, SUBJECT, SESSION];

/// A file that matches a pattern.
struct Match<'a> {
    path: &'a Path,
    id: String,
    subject: Option<String>,
    session: Option<String>,
    /// How else subject and session, which make up the id, could be read.
    ambiguity: Option<String>,
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
        let same_session = self.session.is_none() || self.session == image.session;
        // Whichever way it is read, the joined id is the same.
        let fits = self.ambiguity.is_some() || same_subject && same_session;
        fits && self.path != image.path
    }
}

/// A pattern of paths, as regular expressions.
struct Pattern {
    /// The earlier a part, the longer.
    longest: Regex,
    /// The earlier a part, the shorter: where the two read different things, a path is ambiguous.
    shortest: Regex,
}

impl Pattern {
    /// Parses a pattern; what is wrong with it is the end of a sentence.
    fn of(text: &str) -> Result<Self, String> {
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(format!(
                "`{text}` must stay below root: no leading / and no .."
            ));
        }
        let (mut longest, mut shortest) = (String::from("^"), String::from("^"));
        let mut rest = text;
        while let Some(at) = rest.find(['{', '*']) {
            let (constant, special) = rest.split_at(at);
            let length = match special.find('}') {
                _ if special.starts_with('*') => 1,
                Some(end) => end + 1,
                None => return Err(format!("`{text}` opens a {{ but never closes it")),
            };
            let (special, after) = special.split_at(length);
            let start = match special {
                "*" => "([^/]*".to_owned(),
                _ => format!("(?<{}>[^/]+", known(text, special)?),
            };
            for (expression, end) in [(&mut longest, ")"), (&mut shortest, "?)")] {
                *expression += &regex::escape(constant);
                *expression += &start;
                *expression += end;
            }
            rest = after;
        }
        for expression in [&mut longest, &mut shortest] {
            *expression += &regex::escape(rest);
            *expression += "$";
        }
        let twice = |_| format!("`{text}` may hold {{id}}, {{subject}} and {{session}} once each");
        let pattern = Self {
            longest: Regex::new(&longest).map_err(twice)?,
            shortest: Regex::new(&shortest).map_err(twice)?,
        };
        if !pattern.holds(ID) && !pattern.holds(SUBJECT) {
            return Err(format!("`{text}` must hold {{id}} or {{subject}}"));
        }
        Ok(pattern)
    }

    fn holds(&self, name: &str) -> bool {
        let mut names = self.longest.capture_names().flatten();
        names.any(|held| held == name)
    }

    /// What the pattern reads in the path of a file, if it matches.
    fn read<'a>(&self, path: &'a Path, inside: &str) -> Option<Match<'a>> {
        let read = |regex: &Regex| {
            let parts = regex.captures(inside)?;
            Some(NAMES.map(|name| parts.name(name).map(|part| part.as_str().to_owned())))
        };
        let (parts, others) = (read(&self.longest)?, read(&self.shortest)?);
        let is_ambiguous = parts[0].is_none() && parts != others;
        let ambiguity =
            is_ambiguous.then(|| format!("{} or {}", in_words(&others), in_words(&parts)));
        let [id, subject, session] = parts;
        let joined: Vec<&str> = [&subject, &session]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .collect();
        Some(Match {
            path,
            id: id.unwrap_or_else(|| joined.join("_")),
            subject,
            session,
            ambiguity,
        })
    }
}

/// What was read in a path, such as `subject a, session b`.
fn in_words(parts: &[Option<String>; 3]) -> String {
    let named = NAMES.iter().zip(parts);
    let named = named.filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    named.collect::<Vec<_>>().join(", ")
}

/// The name in braces, or what it should be.
fn known<'a>(text: &str, braces: &'a str) -> Result<&'a str, String> {
    let name = braces.trim_start_matches('{').trim_end_matches('}');
    if NAMES.contains(&name) {
        return Ok(name);
    }
    let meant = match name.to_lowercase().as_str() {
        "visit" | "ses" | "timepoint" | "time" | "tp" => Some(SESSION),
        "sub" | "patient" | "participant" | "pat" => Some(SUBJECT),
        "case" | "name" | "case_id" => Some(ID),
        other => nearest(other, &NAMES),
    };
    let meant = meant.map_or(String::new(), |name| format!(" Did you mean {{{name}}}?"));
    Err(format!(
        "`{text}` may hold {{id}}, {{subject}}, {{session}} and *, nothing else in braces.{meant}"
    ))
}
