//! What a case's files hold, and what is wrong with them.

use std::path::Path;

use super::Case;
use crate::preprocess::{GRID_TOLERANCE, check_pair};
use crate::volume::nifti::{Scan, read_scan};
use crate::volume::orientation::AxisCodes;

/// What a case's files hold.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Of the scan; `None` if it cannot be read.
    pub scan: Option<ScanFacts>,
    /// Volume of what the mask marks, in mL; `None` if it cannot be read.
    pub mask_ml: Option<f64>,
    /// What is wrong or doubtful, one sentence each; empty if nothing is.
    pub problems: Vec<String>,
}

/// What a scan's header contains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanFacts {
    /// Voxels along each axis.
    pub shape: [usize; 3],
    /// Distance between voxels along each axis, in mm.
    pub spacing: [f64; 3],
    /// Which way the axes run.
    pub axes: AxisCodes,
}

impl Inspection {
    /// Reads a case's files. What cannot be read is a problem, not an error.
    pub fn of(case: &Case) -> Self {
        let mut found = Self::default();
        let scan = found.read(&case.image);
        if let Some(scan) = &scan {
            found.scan = Some(ScanFacts {
                shape: scan.volume.shape(),
                spacing: scan.volume.spacing(),
                axes: AxisCodes::of(&scan.volume.affine),
            });
            found.problems.extend(scan.warnings());
            let values = || scan.volume.voxels.iter();
            let broken = values().filter(|value| !value.is_finite()).count();
            if broken > 0 {
                found.problems.push(format!(
                    "{broken} voxels are infinite or not a number: begin preprocessing with \
                     `nan_to_zero`"
                ));
            }
            if values().all(|value| Some(value) == scan.volume.voxels.first()) {
                found
                    .problems
                    .push("all voxels of the scan are equal".into());
            }
        }
        if let Some(mask) = found.read(&case.mask) {
            found.look_at_mask(&case.mask, &mask);
            found.compare((&case.image, scan.as_ref()), (&case.mask, &mask));
        }
        if let Some(path) = &case.region
            && let Some(region) = found.read(path)
        {
            found.compare((&case.image, scan.as_ref()), (path, &region));
        }
        found
    }

    fn read(&mut self, path: &Path) -> Option<Scan> {
        match read_scan(path) {
            Ok(scan) => Some(scan),
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }

    fn look_at_mask(&mut self, path: &Path, mask: &Scan) {
        let marked = || mask.volume.voxels.iter().filter(|value| **value != 0.0);
        let count = marked().count();
        self.mask_ml = Some(count as f64 * mask.volume.voxel_volume_ml());
        let label = marked().next();
        let path = path.display();
        if count == 0 {
            self.problems.push(format!("the mask {path} is empty"));
        } else if marked().any(|value| !value.is_finite()) {
            let problem = format!("the mask {path} has voxels that are not a number");
            self.problems.push(problem);
        } else if marked().any(|value| Some(value) != label) {
            self.problems.push(format!(
                "the mask {path} has several values besides 0: all of them are taken as 1"
            ));
        }
    }

    fn compare(
        &mut self,
        (image_path, image): (&Path, Option<&Scan>),
        (mask_path, mask): (&Path, &Scan),
    ) {
        let Some(image) = image else { return };
        match check_pair((image_path, &image.forms), (mask_path, &mask.forms), GRID_TOLERANCE) {
            Ok(None) => {}
            Ok(Some(noted)) => {
                let path = mask_path.display();
                self.problems.push(format!("the mask {path}: {noted}"));
            }
            Err(error) => self.problems.push(error.to_string()),
        }
    }
}
