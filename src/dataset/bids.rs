mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_folder, check_there, entries, files_below, nifti_stem};
use super::{ByName, Case, CaseSource, DatasetError, Description, empty_path};
use crate::files::{FileError, read_text};
use crate::layout::is_results;
use crate::preprocess::ImageFile;
use crate::settings::Fault;
use images::Wanted;

/// A dataset in BIDS (Brain Imaging Data Structure, bids.neuroimaging.io): raw scans
/// `sub-*/[ses-*/]anat/*_T1w.nii.gz`, and their masks somewhere below a derivatives folder.
///
/// A mask belongs to a scan if its name has all the scan's entities (`sub-01_ses-2_run-1`), none that belongs
/// to another scan (`acq-…`, `task-…`), and ends in `_mask`. Masks of other kinds of data (in a folder `func`,
/// `dwi`, …) or in another space (`space-…` other than the scan's own, or any `res-…`) do not count; of
/// several, the one with `desc-brain` does. All cases' masks must be of one kind: `desc` and `label` choose it, or
/// else must be the same in all names. A subject's row in `participants.tsv`, whose `participant_id` may lack
/// `sub-`, becomes the case's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bids {
    /// The dataset's folder, which holds the subjects' folders.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The folder below which masks are looked for; `null` for `derivatives` in `root`.
    #[schemars(extend("format" = "path"))]
    pub derivatives: Option<PathBuf>,
    /// The suffix of the scans, where a case has one image.
    pub suffix: String,
    /// The images of a case, where there are several: a name for each, and the end of its files' names, as in
    /// {t1: T1w, t1c: ce-gadolinium_T1w, flair: FLAIR}. Files of one subject and session (and run, where there are
    /// several) are a case; files with other entities are not taken. Masks are those of the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ByName<String>>,
    /// The suffix of the masks.
    pub mask: String,
    /// The masks' `desc-…`, such as brain or lesion; an empty text for masks without one, `null` for any.
    pub desc: Option<String>,
    /// The masks' `label-…`, such as WM; an empty text for masks without one, `null` for any.
    pub label: Option<String>,
    /// Whether scans without a mask are left out, instead of being an error.
    pub skip_without_mask: bool,
}

/// Entities that distinguish the scans of a session; the others describe what was made of a scan.
const OF_SCANS: [&str; 18] = [
    "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec", "dir",
    "run", "echo", "flip", "inv", "mt", "part",
];

/// Folders of other data than anatomical scans, whose masks lie on other grids.
const OTHER_DATA: [&str; 8] = ["func", "dwi", "fmap", "perf", "pet", "meg", "mrs", "micr"];

const NO_IMAGES: &str = "images must name at least one image, as in {t1: T1w, flair: FLAIR}";

const REMEDY: &str = "Set `root` to the dataset's folder, which holds the folders sub-…";

impl Default for Bids {
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            derivatives: None,
            suffix: "T1w".into(),
            images: None,
            mask: "mask".into(),
            desc: None,
            label: None,
            skip_without_mask: false,
        }
    }
}

impl CaseSource for Bids {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let derivatives = match &self.derivatives {
            Some(folder) => folder.clone(),
            None => self.root.join("derivatives"),
        };
        check_folder(&self.root, REMEDY)?;
        let raw = self.anatomical()?;
        let wanted = Wanted::of(self);
        let Some((first_wanted, others)) = wanted.split_first() else {
            return Err(DatasetError::Description(NO_IMAGES.into()));
        };
        let files: Vec<Name> = raw.iter().filter_map(|path| Name::of(path)).collect();
        let images = files.iter().filter(|name| first_wanted.is(name));
        let masks = files_below(
            &derivatives,
            "Set `derivatives` to the folder that holds the masks",
        )?;
        let masks: Vec<Name> = masks
            .iter()
            .filter(|path| !is_of_other_data(path))
            .filter_map(|path| Name::of(path))
            .filter(|name| name.suffix == self.mask)
            .collect();
        let participants = participants(&self.root.join("participants.tsv"))?;
        let mut cases: BTreeMap<String, Case> = BTreeMap::new();
        let mut kinds: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
        let mut found = 0;
        for image in images {
            found += 1;
            let Some(mask) = self.mask_of(image, &masks, &derivatives)? else {
                continue;
            };
            check_there(image.path)?;
            check_there(mask.path)?;
            let id = image.entities.join("_");
            if let Some(first) = cases.get(&id) {
                return Err(DatasetError::DuplicateId {
                    id,
                    first: first.image().to_owned(),
                    second: image.path.to_owned(),
                    remedy: "Remove one of them, or rename it: a case is known by its scan's file name",
                });
            }
            let subject = image.entities[0].clone();
            kinds
                .entry(mask.kind())
                .or_default()
                .insert(subject.clone());
            let columns = participants.get(without_prefix(&subject));
            let mut images = vec![ImageFile::new(first_wanted.name, image.path)];
            for other in others {
                let path = other.beside(image, &files)?;
                images.push(ImageFile::new(other.name, path));
            }
            let case = Case {
                columns: columns.cloned().unwrap_or_default(),
                subject,
                ..Case::of_files(&id, images, mask.path)
            };
            cases.insert(id, case);
        }
        if cases.is_empty() {
            return Err(DatasetError::NoCases {
                root: self.root.clone(),
                wanted: format!("scans sub-*/[ses-*/]anat/*_{}.nii.gz", first_wanted.text()),
                found: match (found, raw.len()) {
                    (0, 0) => "no files in such folders".into(),
                    (0, others) => format!("{others} other files in such folders"),
                    _ => format!("{found} scans, all without a mask"),
                },
                remedy: match found {
                    0 => REMEDY,
                    _ => "Set `derivatives` to the folder that holds their masks",
                },
            });
        }
        if kinds.len() > 1 {
            return Err(DatasetError::MixedMasks {
                root: self.root.clone(),
                kinds: in_words(&kinds),
            });
        }
        Ok(cases.into_values().collect())
    }

    fn describe(&self) -> Result<Description, DatasetError> {
        let names = Wanted::of(self).into_iter().map(|image| image.name);
        Ok(Description::of_images(names))
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = empty_path("root", &self.root, "root must name the dataset's folder");
        if let Some(images) = &self.images {
            if images.is_empty() {
                faults.push(Fault::new("images", NO_IMAGES));
            }
            faults.extend(
                images
                    .iter()
                    .filter_map(|(name, text)| Wanted::rules(name, text)),
            );
            if self.suffix != Self::default().suffix {
                let message = "suffix and images exclude each other: name all images in `images`";
                faults.push(Fault::new("suffix", message));
            }
        }
        let word = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
        for (key, value) in [("suffix", &self.suffix), ("mask", &self.mask)] {
            if !word(value) {
                let message = format!("{key} must be a word of letters and digits, such as T1w");
                faults.push(Fault::new(key, message));
            }
        }
        for (key, value) in [("desc", &self.desc), ("label", &self.label)] {
            if let Some(value) = value
                && !value.is_empty()
                && !word(value)
            {
                let message = format!(
                    "{key} must be the letters and digits after `{key}-` in the masks' names, such as brain"
                );
                faults.push(Fault::new(key, message));
            }
        }
        faults
    }
}

impl Bids {
    /// The files in the subjects' `anat` folders, in order of their path.
    fn anatomical(&self) -> Result<Vec<PathBuf>, FileError> {
        let mut files = Vec::new();
        for subject in folders(&self.root, "sub-")? {
            let mut parents = folders(&subject, "ses-")?;
            parents.push(subject);
            for parent in parents {
                let anat = folders(&parent, "anat")?;
                for anat in anat.iter().filter(|folder| folder.ends_with("anat")) {
                    files.extend(entries(anat)?.into_iter().filter(|path| !path.is_dir()));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The mask of a scan; `None` if it is to be left out.
    fn mask_of<'m, 'a>(
        &self,
        image: &Name,
        masks: &'m [Name<'a>],
        derivatives: &Path,
    ) -> Result<Option<&'m Name<'a>>, DatasetError> {
        let of_image = |mask: &&Name| {
            let mut extra = mask.entities.iter();
            image.entities.iter().all(|one| mask.entities.contains(one))
                && extra.all(|one| image.entities.contains(one) || !tells_scans_apart(one))
        };
        let belonging: Vec<&'m Name<'a>> = masks.iter().filter(of_image).collect();
        let fits = |mask: &&Name| {
            mask.value("res").is_none() && self.is_own(mask.value("space")) && self.is_chosen(mask)
        };
        let mut fitting: Vec<&'m Name<'a>> = belonging.iter().copied().filter(fits).collect();
        if fitting.len() > 1 {
            let brain = |mask: &&Name| mask.value("desc") == Some("brain");
            let brains: Vec<&'m Name<'a>> = fitting.iter().copied().filter(brain).collect();
            if !brains.is_empty() {
                fitting = brains;
            }
        }
        match fitting[..] {
            [mask] => Ok(Some(mask)),
            [] if self.skip_without_mask => Ok(None),
            [] => Err(DatasetError::NoMaskBelow {
                image: image.path.to_owned(),
                folder: derivatives.to_owned(),
                name: format!(
                    "{}_[…]_{}{}.nii.gz",
                    image.entities.join("_"),
                    self.chosen(),
                    self.mask
                ),
                elsewhere: belonging.len(),
            }),
            _ => Err(DatasetError::SeveralMasks {
                image: image.path.to_owned(),
                masks: fitting.iter().map(|mask| mask.path.to_owned()).collect(),
                remedy: "Choose by `desc` or `label`, set `derivatives` to the folder of one pipeline, or `mask` to the suffix of the one to use",
            }),
        }
    }

    /// Whether a mask is of the kind that `desc` and `label` choose.
    fn is_chosen(&self, mask: &Name) -> bool {
        [("desc", &self.desc), ("label", &self.label)]
            .into_iter()
            .all(|(key, chosen)| {
                let wanted = chosen.as_deref();
                wanted.is_none_or(|wanted| mask.value(key).unwrap_or("") == wanted)
            })
    }

    /// What is chosen, as in a mask's name.
    fn chosen(&self) -> String {
        [("label", &self.label), ("desc", &self.desc)]
            .into_iter()
            .filter_map(|(key, chosen)| {
                Some((key, chosen.as_deref().filter(|one| !one.is_empty())?))
            })
            .map(|(key, chosen)| format!("{key}-{chosen}_"))
            .collect()
    }

    /// Whether a mask of this space lies on the raw scan.
    fn is_own(&self, space: Option<&str>) -> bool {
        space.is_none_or(|space| space == "orig" || space == "T1w" || space == self.suffix)
    }
}

/// The folders in a folder whose names start with `start`. A broken link is an error.
fn folders(parent: &Path, start: &str) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for path in entries(parent)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(start) {
            if path.is_dir() {
                if !is_results(&path) {
                    found.push(path);
                }
            } else {
                check_there(&path)?;
            }
        }
    }
    Ok(found)
}

fn is_of_other_data(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name);
    folder.is_some_and(|name| OTHER_DATA.iter().any(|other| name == *other))
}

fn tells_scans_apart(entity: &str) -> bool {
    let key = entity.split_once('-').map_or(entity, |(key, _)| key);
    OF_SCANS.contains(&key)
}

/// `desc` and `label` of a mask's name.
type Kind = [Option<String>; 2];

/// Each kind of masks with the subjects that have it, such as `desc-brain (sub-01, sub-02)`.
fn in_words(kinds: &BTreeMap<Kind, BTreeSet<String>>) -> String {
    const NAMED: usize = 5;
    let each = kinds.iter().map(|([desc, label], subjects)| {
        let named = [("desc", desc), ("label", label)];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}-{}", value.as_ref()?)));
        let named: Vec<String> = named.collect();
        let kind = match named.is_empty() {
            true => "neither desc nor label".to_owned(),
            false => named.join("_"),
        };
        let mut some: Vec<&str> = subjects.iter().map(String::as_str).take(NAMED).collect();
        let more = format!("and {} more", subjects.len() - some.len());
        if subjects.len() > NAMED {
            some.push(&more);
        }
        format!("{kind} ({})", some.join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// A BIDS file name: `sub-01_ses-2_desc-brain_mask.nii.gz` has three entities and a suffix.
struct Name<'a> {
    path: &'a Path,
    entities: Vec<String>,
    suffix: String,
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let (stem, _) = nifti_stem(path)?;
        let (entities, suffix) = stem.rsplit_once('_')?;
        let entities: Vec<String> = entities.split('_').map(str::to_owned).collect();
        entities[0].starts_with("sub-").then(|| Self {
            path,
            entities,
            suffix: suffix.to_owned(),
        })
    }

    /// What tells masks of different things apart.
    fn kind(&self) -> Kind {
        ["desc", "label"].map(|key| self.value(key).map(str::to_owned))
    }

    fn value(&self, key: &str) -> Option<&str> {
        let mut pairs = self.entities.iter().filter_map(|one| one.split_once('-'));
        pairs.find_map(|(name, value)| (name == key).then_some(value))
    }
}

/// A subject's label: `01` of `sub-01`, and of `01`.
fn without_prefix(subject: &str) -> &str {
    subject.strip_prefix("sub-").unwrap_or(subject)
}

/// The columns of each subject in `participants.tsv`, by its label; nothing where there is no such file.
fn participants(path: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, DatasetError> {
    if path.symlink_metadata().is_err() {
        return Ok(BTreeMap::new());
    }
    let text = read_text(path)?;
    let mut rows = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap_or_default();
    let Some(key) = header.iter().position(|name| *name == "participant_id") else {
        return Ok(BTreeMap::new());
    };
    let mut facts = BTreeMap::new();
    for (index, row) in rows.enumerate() {
        let Some(name) = row.get(key).map(|name| name.trim()) else {
            continue;
        };
        let cells = header.iter().zip(&row).enumerate();
        let known = cells.filter(|(i, (_, value))| *i != key && !["", "n/a"].contains(value));
        let columns = known.map(|(_, (name, value))| ((*name).to_owned(), (*value).to_owned()));
        let earlier = facts.insert(without_prefix(name).to_owned(), columns.collect());
        if earlier.is_some() {
            return Err(DatasetError::Table {
                path: path.to_owned(),
                line: index + 2,
                why: format!("{name} has a row already. Keep one for each participant."),
            });
        }
    }
    Ok(facts)
}
