//! What a case's files hold, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ndarray::Array3;

use super::Case;
use crate::preprocess::{ImageFile, check_pair};
use crate::volume::nifti::{Scan, read_scan};
use crate::volume::orientation::AxisCodes;
use crate::volume::{MaskRule, Structures};

/// What a case's files hold.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Of the scan, or of its first image; `None` if it cannot be read.
    pub scan: Option<ScanFacts>,
    /// Of every image with its name, where there are several or it has a name; those that cannot be read are missing.
    pub images: Vec<(String, ScanFacts)>,
    /// Volume of what the mask marks, in mL; `None` if it cannot be read or is not a mask.
    pub mask_ml: Option<f64>,
    /// Which labels the mask has, in order; empty for a mask of one structure.
    pub labels: Vec<LabelFound>,
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

impl From<&Scan> for ScanFacts {
    fn from(scan: &Scan) -> Self {
        Self {
            shape: scan.volume.shape(),
            spacing: scan.volume.spacing(),
            axes: AxisCodes::of(&scan.volume.affine),
        }
    }
}

/// A label that occurs in a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFound {
    /// The label.
    pub label: i64,
    /// What it stands for: structures, `ignored`, or `undeclared`.
    pub meaning: Vec<String>,
    /// How many voxels have it.
    pub voxels: u64,
}

/// As in `2 posterior 999`; structures that share a label are joined by `+`.
impl fmt::Display for LabelFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = self.meaning.join("+");
        write!(f, "{} {meaning} {}", self.label, self.voxels)
    }
}

impl Inspection {
    /// Whether the mask has a voxel of this structure.
    pub fn has(&self, structure: &str) -> bool {
        let mut meanings = self.labels.iter().flat_map(|found| &found.meaning);
        meanings.any(|name| name == structure)
    }

    /// Reads a case's files. What cannot be read is a problem, not an error.
    pub fn of(case: &Case) -> Self {
        let mut found = Self::default();
        let is_named = |image: &ImageFile| image.name != ImageFile::ONLY;
        let scan = match &case.images[..] {
            [image] => {
                let scans = found.take(case.inputs().read_images());
                let scan = scans.and_then(|mut scans| scans.pop());
                if let Some(scan) = &scan {
                    found.notes.extend(scan.warnings());
                    found.look_at(scan, "");
                    let facts = is_named(image).then(|| (image.name.clone(), scan.into()));
                    found.images.extend(facts);
                }
                scan
            }
            images => return found.several(case, images),
        };
        found.scan = scan.as_ref().map(ScanFacts::from);
        if let Some(mask) = found.take(read_scan(&case.mask)) {
            found.compare(case, scan.as_ref(), (&case.mask, &mask));
            found.count(case, mask);
        }
        if let Some(path) = &case.region
            && let Some(region) = found.take(read_scan(path))
        {
            found.compare(case, scan.as_ref(), (path, &region));
            found.take(region.into_image(path));
        }
        found
    }

    /// A case of several images: whether they are placed together is for their reader to say.
    fn several(mut self, case: &Case, images: &[ImageFile]) -> Self {
        let inputs = case.inputs();
        if let Some(scans) = self.take(inputs.read_images()) {
            for (image, scan) in images.iter().zip(&scans) {
                self.images.push((image.name.clone(), scan.into()));
                self.look_at(scan, &format!(" of the image `{}`", image.name));
            }
            self.scan = self.images.first().map(|(_, facts)| *facts);
            if let Some(loaded) = self.take(inputs.place(scans)) {
                self.notes.extend(loaded.warnings);
            }
        }
        if let Ok(mask) = read_scan(&case.mask) {
            // What is wrong with it is told already.
            let problems = self.problems.clone();
            self.count(case, mask);
            self.problems = problems;
        }
        self
    }

    /// What is wrong with an image's voxels. `of` says which image it is, where there are several.
    fn look_at(&mut self, scan: &Scan, of: &str) {
        let values = || scan.volume.voxels.iter();
        let broken = values().filter(|value| !value.is_finite()).count();
        if broken > 0 {
            self.problems.push(format!(
                "{broken} voxels{of} are infinite or not a number: begin preprocessing with \
                 `nan_to_zero`"
            ));
        }
        if values().all(|value| Some(value) == scan.volume.voxels.first()) {
            let of = if of.is_empty() { " of the scan" } else { of };
            self.problems.push(format!("all voxels{of} are equal"));
        }
    }

    /// What a mask marks, and how much of it.
    fn count(&mut self, case: &Case, mask: Scan) {
        let inputs = case.inputs();
        if let Some(structures) = inputs.structures() {
            self.labels = labels_of(&mask.volume.voxels, structures, &case.mask_rule);
        }
        if let Some(mask) = self.take(mask.into_mask(&case.mask, &case.mask_rule)) {
            let is_marked = |class: &&u8| ![0, Structures::IGNORED].contains(*class);
            let count = mask.voxels.iter().filter(is_marked).count();
            self.mask_ml = Some(count as f64 * mask.voxel_volume_ml());
        }
    }

    /// What was read; what went wrong becomes a problem.
    fn take<T, E: fmt::Display>(&mut self, read: Result<T, E>) -> Option<T> {
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

/// Most different values that are listed: a scan that stands in a mask's place has more.
const MOST: usize = 1000;

/// The labels in a map of labels, background left out; none if it is not one.
fn labels_of(voxels: &Array3<f32>, structures: &Structures, rule: &MaskRule) -> Vec<LabelFound> {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for value in voxels {
        *counts.entry(value.round() as i64).or_default() += 1;
        if counts.len() > MOST {
            return Vec::new();
        }
    }
    let lenient = MaskRule {
        allow_empty: true,
        ..rule.clone()
    };
    let meaning = |label: i64| {
        // Beside background: a map of ignored voxels alone is refused.
        let values = Array3::from_shape_fn((2, 1, 1), |(x, ..)| match x {
            0 => label as f32,
            _ => 0.0,
        });
        let class = lenient.apply(&values);
        let class = class.ok().and_then(|class| class.first().copied());
        match class {
            None | Some(0) => vec!["undeclared".to_owned()],
            Some(Structures::IGNORED) => vec!["ignored".to_owned()],
            Some(class) => {
                let names = structures.names().into_iter().enumerate();
                let names = names.filter(|(structure, _)| structures.contains(*structure, class));
                names.map(|(_, name)| name.to_owned()).collect()
            }
        }
    };
    let labels = counts.into_iter().filter(|(label, _)| *label != 0);
    labels
        .map(|(label, voxels)| LabelFound {
            label,
            meaning: meaning(label),
            voxels,
        })
        .collect()
}
