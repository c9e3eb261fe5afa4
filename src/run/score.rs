//! Scores of the validation cases, and the three that the report shows.

use ndarray::Array3;

use super::RunError;
use crate::dataset::Case;
use crate::evaluate::{EvaluateError, Segmented, evaluate_case, read_native};
use crate::layout::CaseScores;
use crate::metric::Evaluation;
use crate::predict::Predictor;
use crate::preprocess::cache::CachedCase;
use crate::report::Highlight;
use crate::volume::{Affine, Volume};

pub(super) struct Scored {
    pub scores: Vec<CaseScores>,
    /// The best, the median and the worst case by IoU, the mean over structures.
    pub highlights: Vec<Highlight>,
}

/// Scores `cases` by what a predictor makes of their prepared files.
pub(super) fn score(
    predictor: &Predictor,
    cases: &[(&Case, &CachedCase)],
    settings: &Evaluation,
) -> Result<Scored, RunError> {
    let (mut scores, mut masks) = (Vec::new(), Vec::new());
    for (case, files) in cases {
        let prepared = files.load_images().map_err(EvaluateError::from)?;
        let (scored, mask) = evaluate_case(predictor, case, &prepared, settings)?;
        scores.push(scored);
        masks.push(PackedMask::of(&mask));
    }
    let mut ranked: Vec<usize> = (0..scores.len()).collect();
    ranked.sort_by(|a, b| scores[*b].iou().total_cmp(&scores[*a].iou()));
    let last = ranked.len().saturating_sub(1);
    let mut highlights = Vec::new();
    for (rank, label) in [(0, "best"), (last / 2, "median"), (last, "worst")] {
        let Some(&at) = ranked.get(rank) else {
            continue;
        };
        let (image, truth) = read_native(cases[at].0)?;
        highlights.push(Highlight {
            label,
            scores: scores[at].clone(),
            segmented: Segmented {
                image,
                truth,
                prediction: masks[at].unpack(),
            },
        });
    }
    Ok(Scored { scores, highlights })
}

/// A class map in little memory: its runs of equal voxels, each with its class and length.
struct PackedMask {
    runs: Vec<(u8, usize)>,
    shape: [usize; 3],
    affine: Affine,
}

impl PackedMask {
    fn of(mask: &Volume<u8>) -> Self {
        let mut runs: Vec<(u8, usize)> = Vec::new();
        for &voxel in &mask.voxels {
            match runs.last_mut() {
                Some((class, length)) if *class == voxel => *length += 1,
                _ => runs.push((voxel, 1)),
            }
        }
        Self {
            runs,
            shape: mask.shape(),
            affine: mask.affine,
        }
    }

    fn unpack(&self) -> Volume<u8> {
        let runs = self.runs.iter();
        let mut voxels = runs.flat_map(|(class, length)| std::iter::repeat_n(*class, *length));
        Volume {
            voxels: Array3::from_shape_simple_fn(self.shape, || voxels.next().unwrap_or(0)),
            affine: self.affine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_packed_class_map_unpacks_to_itself(classes in prop::collection::vec(prop_oneof![0_u8..3, Just(255)], 60)) {
            let mask = Volume {
                voxels: Array3::from_shape_vec((3, 4, 5), classes).unwrap(),
                affine: Affine::identity(),
            };
            prop_assert_eq!(PackedMask::of(&mask).unpack(), mask);
        }
    }
}
