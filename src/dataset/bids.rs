use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::walk::{check_there, files_below, nifti_stem};
use super::{Case, DatasetError};
use crate::files::read_text;

/// A dataset in BIDS (Brain Imaging Data Structure, bids.neuroimaging.io): raw scans
/// `sub-*/[ses-*/]anat/*_T1w.nii.gz`, and their masks somewhere below a derivatives folder.
///
/// A mask belongs to a scan if its name has all the scan's entities (`sub-01_ses-2_run-1`) and ends in
/// `_mask`. Masks in another space (`space-…` other than the scan's own, or any `res-…`) do not count;
/// of several, the one with `desc-brain` does. A subject's row in `participants.tsv` becomes the
/// case's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bids {
    /// The dataset's folder, which holds the subjects' folders.
    pub root: PathBuf,
    /// The folder below which masks are looked for; `null` for `derivatives` in `root`.
    pub derivatives: Option<PathBuf>,
    /// The suffix of the scans.
    pub suffix: String,
    /// The suffix of the masks.
    pub mask: String,
    /// Whether scans without a mask are left out, instead of being an error.
    pub skip_without_mask: bool,
}

impl Default for Bids {
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            derivatives: None,
            suffix: "T1w".into(),
            mask: "mask".into(),
            skip_without_mask: false,
        }
    }
}

impl Bids {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.root.as_os_str().is_empty() {
            return Err("root must name the dataset's folder".into());
        }
        let word = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
        if word(&self.suffix) && word(&self.mask) {
            Ok(())
        } else {
            Err("suffix and mask must be words of letters and digits, such as T1w".into())
        }
    }

    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When a folder is missing, there is no scan, or a scan has no mask or several.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let derivatives = match &self.derivatives {
            Some(folder) => folder.clone(),
            None => self.root.join("derivatives"),
        };
        let raw = files_below(&self.root)?;
        let images = raw.iter().filter_map(|path| {
            let inside = path.strip_prefix(&self.root).ok()?;
            let name = Name::of(path)?;
            (is_raw(inside) && name.suffix == self.suffix).then_some(name)
        });
        let masks = files_below(&derivatives)?;
        let masks: Vec<Name> = masks
            .iter()
            .filter_map(|path| Name::of(path))
            .filter(|name| name.suffix == self.mask)
            .collect();
        let participants = participants(&self.root.join("participants.tsv"))?;
        let mut cases = Vec::new();
        let mut found = 0;
        for image in images {
            found += 1;
            let Some(mask) = self.mask_of(&image, &masks, &derivatives)? else {
                continue;
            };
            check_there(image.path)?;
            check_there(mask)?;
            let subject = image.subject();
            cases.push(Case {
                id: image.entities.join("_"),
                columns: participants.get(&subject).cloned().unwrap_or_default(),
                subject,
                image: image.path.to_owned(),
                mask: mask.to_owned(),
                region: None,
            });
        }
        if cases.is_empty() {
            return Err(DatasetError::NothingFound {
                root: self.root.clone(),
                wanted: format!("scans sub-*/[ses-*/]anat/*_{}.nii.gz", self.suffix),
                found: match found {
                    0 => format!("{} other files", raw.len()),
                    _ => format!("{found} scans, all without a mask"),
                },
            });
        }
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(cases)
    }

    /// The mask of a scan; `None` if it is to be left out.
    fn mask_of<'a>(
        &self,
        image: &Name,
        masks: &[Name<'a>],
        derivatives: &Path,
    ) -> Result<Option<&'a Path>, DatasetError> {
        let of_image = |mask: &&Name| image.entities.iter().all(|one| mask.entities.contains(one));
        let belonging: Vec<&Name> = masks.iter().filter(of_image).collect();
        let own_space =
            |mask: &&&Name| mask.value("res").is_none() && self.is_own(mask.value("space"));
        let mut fitting: Vec<&&Name> = belonging.iter().filter(own_space).collect();
        if fitting.len() > 1 {
            let brain = |mask: &&&Name| mask.value("desc") == Some("brain");
            let brains: Vec<&&Name> = fitting.iter().copied().filter(brain).collect();
            if !brains.is_empty() {
                fitting = brains;
            }
        }
        match fitting[..] {
            [mask] => Ok(Some(mask.path)),
            [] if self.skip_without_mask => Ok(None),
            [] => Err(DatasetError::NoMaskBelow {
                image: image.path.to_owned(),
                folder: derivatives.to_owned(),
                name: format!("{}_[…]_{}.nii.gz", image.entities.join("_"), self.mask),
                elsewhere: belonging.len(),
            }),
            _ => Err(DatasetError::SeveralMasks {
                image: image.path.to_owned(),
                masks: fitting.iter().map(|mask| mask.path.to_owned()).collect(),
            }),
        }
    }

    /// Whether a mask of this space lies on the raw scan.
    fn is_own(&self, space: Option<&str>) -> bool {
        space.is_none_or(|space| space == "orig" || space == "T1w" || space == self.suffix)
    }
}

/// Whether a path below the dataset's folder is one of a raw anatomical scan.
fn is_raw(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match &parts[..] {
        [subject, anat, _] => subject.starts_with("sub-") && anat == "anat",
        [subject, session, anat, _] => {
            subject.starts_with("sub-") && session.starts_with("ses-") && anat == "anat"
        }
        _ => false,
    }
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

    fn subject(&self) -> String {
        self.entities[0].clone()
    }

    fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.entities.iter().filter_map(|one| one.split_once('-'));
        pairs
            .into_iter()
            .find_map(|(k, value)| (k == key).then_some(value))
    }
}

/// The columns of each subject in `participants.tsv`; nothing where there is no such file.
fn participants(path: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, DatasetError> {
    if !path.is_file() {
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
    let facts = rows.filter_map(|row| {
        let subject = (*row.get(key)?).to_owned();
        let cells = header.iter().zip(&row).enumerate();
        let known = cells.filter(|(i, (_, value))| *i != key && !["", "n/a"].contains(value));
        let columns = known.map(|(_, (name, value))| ((*name).to_owned(), (*value).to_owned()));
        Some((subject, columns.collect()))
    });
    Ok(facts.collect())
}
