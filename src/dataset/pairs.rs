use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, paths_below};
use super::pattern::{ID, Match, Pattern, SESSION, SUBJECT};
use super::{ByName, Case, CaseSource, DatasetError, Description, empty_path};
use crate::layout::is_prediction;
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// Scans and masks whose paths follow two patterns below a folder, such as `imagesTr/{id}_0000.nii.gz`
/// and `labelsTr/{id}.nii.gz`.
///
/// `{id}` stands for the case's id; `{subject}` for whose head it is (the id if it is left out), and all cases of a
/// subject stay on one side of a split; `{session}` for the visit, which becomes the column `session`; `*` for
/// anything. None of them crosses a `/`. A file that is another scan's mask is not a scan, so `{id}.nii` and
/// `{id}_mask.nii` may lie side by side.
///
/// A case of several images names each of them: `images: {t1: "{id}_0000.nii.gz", flair: "{id}_0001.nii.gz"}`. The
/// first one's files are the cases; each of the others must match one file of the same id.
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
    /// The scans' pattern, where a case has one image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The pattern of each image, by the image's name, where a case has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ByName<String>>,
    /// The masks' pattern.
    pub mask: String,
}

impl CaseSource for Pairs {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let files = paths_below(
            &self.root,
            "Set `root` to the folder that the patterns start at",
        )?;
        let patterns = self.patterns();
        let Some((first, others)) = patterns.split_first() else {
            return Err(DatasetError::Pattern(NO_IMAGE.into()));
        };
        let images = self.matching(first.1, &files)?;
        let masks = Partners::of(self.matching(&self.mask, &files)?);
        let others: Result<Vec<(&str, &str, Partners)>, DatasetError> = others
            .iter()
            .map(|(name, pattern)| {
                let found = self.matching(pattern, &files)?;
                Ok((*name, *pattern, Partners::of(found)))
            })
            .collect();
        let others = others?;
        let partners = || others.iter().map(|(.., found)| found).chain([&masks]);
        let used: BTreeSet<&Path> = images
            .iter()
            .flat_map(|image| partners().flat_map(|found| found.of_scan(image)))
            .collect();

        let mut cases: BTreeMap<String, Case> = BTreeMap::new();
        for image in images.iter().filter(|image| !used.contains(image.path)) {
            let mut case = self.case(first, image, &masks.of_scan(image))?;
            for (name, pattern, found) in &others {
                let path = self.other(image, name, pattern, &found.of_scan(image))?;
                case.images.push(ImageFile::new(name, path));
            }
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
        for (.., found) in &others {
            for one in found.0.values().flatten() {
                // A file that another pattern means as well need not be this image.
                let is_whole = masks.0.contains_key(&one.id) && !cases.contains_key(&one.id);
                if is_whole && !images.iter().any(|image| image.path == one.path) {
                    let first = first.0.to_owned();
                    return Err(DatasetError::NoOtherImage {
                        image: one.path.to_owned(),
                        name: first,
                        expected: self.expected(patterns[0].1, one).display().to_string(),
                    });
                }
            }
        }
        if cases.is_empty() {
            let listed: Vec<String> = files.iter().take(3).map(|path| self.inside(path)).collect();
            return Err(DatasetError::NoCases {
                root: self.root.clone(),
                wanted: format!("scans {}", first.1),
                found: match files.len() {
                    0 => "no files".into(),
                    n => format!("{n} other files, such as {}", listed.join(", ")),
                },
                remedy: "Set `root` and `image` so that they match the scans",
            });
        }
        Ok(cases.into_values().collect())
    }

    fn describe(&self) -> Result<Description, DatasetError> {
        let names = self.patterns().into_iter().map(|(name, _)| name);
        Ok(Description::of_images(names))
    }

    fn rules(&self) -> Vec<Fault> {
        let message = "root must name the folder below which the files lie";
        let mut faults = empty_path("root", &self.root, message);
        match (&self.image, &self.images) {
            (None, None) => faults.push(Fault::new("", NO_IMAGE)),
            (Some(_), Some(_)) => {
                let message = "image and images exclude each other: name all images in `images`";
                faults.push(Fault::new("image", message));
            }
            (None, Some(images)) if images.is_empty() => {
                faults.push(Fault::new("images", "images must name at least one image"));
            }
            _ => {}
        }
        let images = self.patterns().into_iter();
        let key = |name: &str| match &self.images {
            Some(_) => format!("images.{name}"),
            None => "image".to_owned(),
        };
        let keyed = images.map(|(name, text)| (key(name), text));
        let keyed: Vec<(String, &str)> = keyed.chain([("mask".to_owned(), &*self.mask)]).collect();
        let mut patterns: Vec<(&str, &str, Pattern)> = Vec::new();
        for (key, text) in &keyed {
            match Pattern::of(text) {
                Ok(pattern) => patterns.push((key, text, pattern)),
                Err(why) => faults.push(Fault::new(key, format!("{key} {why}"))),
            }
        }
        if patterns.len() < keyed.len() {
            return faults;
        }
        for (key, pattern, _) in &patterns {
            if is_prediction(Path::new(pattern)) {
                let message = format!(
                    "{key} names predictions of calvaria, which are never taken for data: give those that you have \
                     corrected other names, or list them in a `table`"
                );
                faults.push(Fault::new(*key, message));
            }
        }
        for (at, (key, text, pattern)) in patterns.iter().enumerate().skip(1) {
            let (first, _, scans) = &patterns[0];
            faults.extend(partner_rules((first, scans), (key, pattern)));
            if let Some((other, ..)) = patterns[..at].iter().find(|(_, other, _)| other == text) {
                let message = format!("{other} and {key} must differ, but both are `{text}`");
                faults.push(Fault::new(*key, message));
            }
        }
        faults
    }
}

const NO_IMAGE: &str =
    "the scans' pattern is missing: write `image`, or `images` where a case has several";

/// What is wrong with a pattern of files that belong to scans.
fn partner_rules((first, scans): (&str, &Pattern), (key, pattern): (&str, &Pattern)) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in [SUBJECT, SESSION] {
        if pattern.holds(name) && !scans.holds(name) {
            let message = format!("{first} must have {{{name}}} if {key} has it");
            faults.push(Fault::new(first, message));
        }
        if !pattern.holds(ID) && scans.holds(name) && !pattern.holds(name) {
            let message = format!("{key} must have {{id}}, or {{{name}}} as {first} has it");
            faults.push(Fault::new(key, message));
        }
    }
    if scans.holds(ID) && !pattern.holds(ID) {
        let message = format!("{key} must have {{id}} if {first} has it");
        faults.push(Fault::new(key, message));
    }
    faults
}

/// Files that belong to scans, by id.
struct Partners<'a>(BTreeMap<String, Vec<Match<'a>>>);

impl<'a> Partners<'a> {
    fn of(found: Vec<Match<'a>>) -> Self {
        let mut by_id: BTreeMap<String, Vec<Match>> = BTreeMap::new();
        for one in found {
            by_id.entry(one.id.clone()).or_default().push(one);
        }
        Self(by_id)
    }

    fn of_scan(&self, scan: &Match) -> Vec<&'a Path> {
        let same_id = self.0.get(&scan.id).into_iter().flatten();
        let own = same_id.filter(|one| one.may_be_of(scan));
        own.map(|one| one.path).collect()
    }
}

impl Pairs {
    /// The pattern of each image, by its name.
    fn patterns(&self) -> Vec<(&str, &str)> {
        match (&self.image, &self.images) {
            (_, Some(images)) => images
                .iter()
                .map(|(name, text)| (&**name, &**text))
                .collect(),
            (Some(image), None) => vec![(ImageFile::ONLY, image)],
            (None, None) => Vec::new(),
        }
    }

    fn case(
        &self,
        (name, pattern): &(&str, &str),
        image: &Match,
        masks: &[&Path],
    ) -> Result<Case, DatasetError> {
        if let Some(readings) = &image.ambiguity {
            return Err(DatasetError::Pattern(format!(
                "`{pattern}` can be read in several ways in {}: {readings}. Write what all names have in common into \
                 the pattern, or list the cases in a `table`",
                self.inside(image.path),
            )));
        }
        let mask = match *masks {
            [mask] => mask,
            [] => {
                return Err(DatasetError::NoMask {
                    image: image.path.to_owned(),
                    expected: self.expected(&self.mask, image),
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
        let images = vec![ImageFile::new(name, image.path)];
        let session = image.session.clone().into_iter();
        Ok(Case {
            subject: image.subject().to_owned(),
            columns: session.map(|value| (SESSION.to_owned(), value)).collect(),
            ..Case::of_files(&image.id, images, mask)
        })
    }

    /// Another image of the case that `first` is an image of.
    fn other<'a>(
        &self,
        first: &Match,
        name: &str,
        pattern: &str,
        found: &[&'a Path],
    ) -> Result<&'a Path, DatasetError> {
        match *found {
            [path] => {
                check_there(path)?;
                Ok(path)
            }
            [] => Err(DatasetError::NoOtherImage {
                image: first.path.to_owned(),
                name: name.to_owned(),
                expected: self.expected(pattern, first).display().to_string(),
            }),
            _ => Err(DatasetError::SeveralImages {
                image: first.path.to_owned(),
                name: name.to_owned(),
                files: found.iter().map(|path| (*path).to_owned()).collect(),
                remedy: "Make its pattern match only one of them",
            }),
        }
    }

    /// The file that a pattern would match for a scan.
    fn expected(&self, pattern: &str, image: &Match) -> PathBuf {
        let values = [
            (ID, Some(&image.id)),
            (SUBJECT, image.subject.as_ref()),
            (SESSION, image.session.as_ref()),
        ];
        let values = values.into_iter();
        let path = values.fold(pattern.to_owned(), |path, (name, value)| {
            let value = value.map_or("", String::as_str);
            path.replace(&format!("{{{name}}}"), value)
        });
        self.root.join(path)
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
