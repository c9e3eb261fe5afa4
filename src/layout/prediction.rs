//! The names of what `predict` writes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::volume::Structures;

/// What the names of all predictions have, and no name of a scan or of a drawn mask. It is an entity as in BIDS.
const MARK: &str = "_desc-calvaria_";

/// Where the results of a scan go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictionFiles {
    /// NAME_desc-calvaria_mask.nii.gz: ones where there is brain. Of several structures
    /// NAME_desc-calvaria_dseg.nii.gz: their labels.
    pub mask: PathBuf,
    /// NAME_desc-calvaria_brain.nii.gz: the scan where there is brain, zeros elsewhere. Not of several structures.
    pub brain: Option<PathBuf>,
    /// NAME_desc-calvaria_probseg.nii.gz, the probability; of several structures one file for each,
    /// NAME_label-STRUCTURE_desc-calvaria_probseg.nii.gz. None unless it is wanted.
    pub probabilities: Vec<PathBuf>,
    /// NAME_desc-calvaria_entropy.nii.gz, where it is wanted.
    pub entropy: Option<PathBuf>,
    /// NAME_desc-calvaria_disagreement.nii.gz, where it is wanted.
    pub disagreement: Option<PathBuf>,
}

/// Which maps are written beside a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedMaps {
    /// The probability of each structure.
    pub probabilities: bool,
    /// How sure the networks are.
    pub entropy: bool,
    /// How much of that comes of different opinions.
    pub disagreement: bool,
}

impl PredictionFiles {
    /// The files in `folder` that are called after the scan in `scan`, of which these structures are found.
    pub fn of(scan: &Path, folder: &Path, structures: &Structures) -> Self {
        Self::with_maps(scan, folder, structures, WantedMaps::default())
    }

    /// As [`Self::of`], with maps.
    pub fn with_maps(
        scan: &Path,
        folder: &Path,
        structures: &Structures,
        maps: WantedMaps,
    ) -> Self {
        let file = |before: &str, kind: &str| {
            let mut name = stem(scan);
            name.push(format!("{before}{MARK}{kind}.nii.gz"));
            folder.join(name)
        };
        let is_mask = structures.is_mask();
        let labels = match is_mask {
            true => vec![String::new()],
            false => labels(&structures.names()),
        };
        let labels = labels.iter().filter(|_| maps.probabilities);
        Self {
            mask: file("", if is_mask { "mask" } else { "dseg" }),
            brain: is_mask.then(|| file("", "brain")),
            probabilities: labels.map(|label| file(label, "probseg")).collect(),
            entropy: maps.entropy.then(|| file("", "entropy")),
            disagreement: maps.disagreement.then(|| file("", "disagreement")),
        }
    }

    /// All files.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.mask]
            .into_iter()
            .chain(&self.brain)
            .chain(&self.probabilities)
            .chain(&self.entropy)
            .chain(&self.disagreement)
            .map(PathBuf::as_path)
    }
}

/// The structures called `names` as files of probabilities name them (`leftHippocampus`); a mask's name, which is empty,
/// stays.
pub fn probability_labels(names: &[&str]) -> Vec<String> {
    let labels = labels(names).into_iter().zip(names);
    labels
        .map(|(label, name)| match name.is_empty() {
            true => String::new(),
            false => label.trim_start_matches("_label-").to_owned(),
        })
        .collect()
}

/// The name of the scan that a file of probabilities belongs to, and the structure as it is named there, if it is;
/// none of other files.
pub fn probability_name(path: &Path) -> Option<(String, Option<String>)> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix("_probseg.nii.gz")?;
    let name = name
        .strip_suffix(MARK.trim_end_matches('_'))
        .unwrap_or(name);
    Some(match name.rsplit_once("_label-") {
        Some((scan, label)) => (scan.to_owned(), Some(label.to_owned())),
        None => (name.to_owned(), None),
    })
}

/// The structures as entities of BIDS, whose values are letters and digits: `_label-leftHippocampus`.
pub(super) fn labels(names: &[&str]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        let label = format!("_label-{plain}");
        match plain.is_empty() || labels.contains(&label) {
            true => labels.push(format!("{label}{}", at + 1)),
            false => labels.push(label),
        }
    }
    labels
}

/// Whether a file's name is that of a prediction: no data source takes it for a scan or a mask.
pub fn is_prediction(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().contains(MARK)
}

/// The name of the scan that a prediction was made from, and whether it is a mask or a map of labels; none of other files.
pub fn predicted_name(path: &Path) -> Option<(String, bool)> {
    let name = path.file_name()?.to_str()?;
    let (scan, kind) = name.rsplit_once(MARK)?;
    let is_mask = ["mask.nii.gz", "dseg.nii.gz"].contains(&kind);
    Some((scan.to_owned(), is_mask))
}

/// A scan's name without `.nii.gz` and the like; names need not be text.
pub(super) fn stem(scan: &Path) -> OsString {
    let is = |path: &Path, extensions: &[&str]| {
        let extension = path.extension().unwrap_or_default();
        extensions
            .iter()
            .any(|one| extension.eq_ignore_ascii_case(one))
    };
    let mut name = PathBuf::from(scan.file_name().unwrap_or_default());
    for extensions in [&["gz"][..], &["nii", "hdr", "img"]] {
        if is(&name, extensions) {
            name.set_extension("");
        }
    }
    name.into_os_string()
}
