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
}

impl PredictionFiles {
    /// The files in `folder` that are called after the scan in `scan`, of which these structures are found.
    pub fn of(scan: &Path, folder: &Path, structures: &Structures) -> Self {
        let file = |kind: &str| {
            let mut name = stem(scan);
            name.push(format!("{MARK}{kind}.nii.gz"));
            folder.join(name)
        };
        match structures.is_mask() {
            true => Self {
                mask: file("mask"),
                brain: Some(file("brain")),
            },
            false => Self {
                mask: file("dseg"),
                brain: None,
            },
        }
    }

    /// All files.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.mask]
            .into_iter()
            .chain(&self.brain)
            .map(PathBuf::as_path)
    }
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
fn stem(scan: &Path) -> OsString {
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
