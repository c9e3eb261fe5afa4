//! What a case's files hold, and what is wrong with them.

use std::path::Path;

use super::Case;
use crate::preprocess::check_pair;
use crate::volume::VolumeError;
use crate::volume::nifti::{Scan, read_scan};
use crate::volume::orientation::AxisCodes;

/// What a case's files hold.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Of the scan; `None` if it cannot be read.
    pub scan: Option<ScanFacts>,
    /// Volume of what the mask marks, in mL; `None` if it cannot be read or is not a mask.
    pub mask_ml: Option<f64>,
    /// What a run would refuse, one sentence each; empty if nothing is.
    pub problems: Vec<String>,
    /// What is doubtful though it can be used, one sentence each.
    pub notes: Vec<String>,
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
        let scan = found.take(read_scan(case.image()));
        if let Some(scan) = &scan {
            found.scan = Some(ScanFacts {
                shape: scan.volume.shape(),
                spacing: scan.volume.spacing(),
                axes: AxisCodes::of(&scan.volume.affine),
            });
            found.notes.extend(scan.warnings());
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
        if let Some(mask) = found.take(read_scan(&case.mask)) {
            found.compare(case, scan.as_ref(), (&case.mask, &mask));
            if let Some(mask) = found.take(mask.into_mask(&case.mask, &case.mask_rule)) {
                let count = mask.voxels.iter().filter(|voxel| **voxel != 0).count();
                found.mask_ml = Some(count as f64 * mask.voxel_volume_ml());
            }
        }
        if let Some(path) = &case.region
            && let Some(region) = found.take(read_scan(path))
        {
            found.compare(case, scan.as_ref(), (path, &region));
            found.take(region.into_image(path));
        }
        found
    }

    /// What was read; what went wrong becomes a problem.
    fn take<T>(&mut self, read: Result<T, VolumeError>) -> Option<T> {
        read.map_err(|error| self.problems.push(error.to_string()))
            .ok()
    }

    fn compare(&mut self, case: &Case, scan: Option<&Scan>, (mask_path, mask): (&Path, &Scan)) {
        let Some(scan) = scan else { return };
        let scan = (case.image(), &scan.forms);
        match check_pair(scan, (mask_path, &mask.forms), case.grid_tolerance) {
            Ok(None) => {}
            Ok(Some(noted)) => {
                let path = mask_path.display();
                self.notes.push(format!("the mask {path}: {noted}"));
            }
            Err(error) => self.problems.push(error.to_string()),
        }
    }
}
