//! What a user gets of a segmented scan: its mask, and the brain cut out of it.

use std::path::{Path, PathBuf};

use super::{PredictError, Predicted, Predictor};
use crate::preprocess::LoadedCase;
use crate::volume::Volume;
use crate::volume::nifti::{write_image, write_mask};

/// Where the results of a scan go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFiles {
    /// NAME_brainmask.nii.gz: ones where there is brain.
    pub mask: PathBuf,
    /// NAME_brain.nii.gz: the scan where there is brain, zeros elsewhere.
    pub brain: PathBuf,
}

impl OutputFiles {
    /// The files in `folder` that are called after the scan in `scan`.
    pub fn of(scan: &Path, folder: &Path) -> Self {
        let name = stem(scan);
        Self {
            mask: folder.join(format!("{name}_brainmask.nii.gz")),
            brain: folder.join(format!("{name}_brain.nii.gz")),
        }
    }
}

impl Predictor {
    /// Segments a raw scan and writes its mask and its brain, on the scan's own grid and the brain with the
    /// scan's own type of numbers.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, the device fails, or a file cannot be written.
    pub fn segment(
        &self,
        scan: LoadedCase,
        files: &OutputFiles,
    ) -> Result<Predicted, PredictError> {
        let mut image = scan.case.image.clone();
        let predicted = self.predict(scan.case)?;
        cut_out(&mut image, &predicted.mask);
        write_mask(&files.mask, &predicted.mask)?;
        write_image(&files.brain, &image, scan.encoding)?;
        Ok(predicted)
    }
}

/// Sets the voxels of `image` outside `mask` to 0.
pub fn cut_out(image: &mut Volume<f32>, mask: &Volume<u8>) {
    for (voxel, inside) in image.voxels.iter_mut().zip(&mask.voxels) {
        if *inside == 0 {
            *voxel = 0.0;
        }
    }
}

fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let endings = [".nii", ".hdr", ".img"];
    let stem = endings.iter().find_map(|end| name.strip_suffix(end));
    stem.unwrap_or(name).to_owned()
}
