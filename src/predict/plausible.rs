//! Whether a predicted mask can be right.

use crate::evaluate::volume_ml;
use crate::layout::RunFolder;
use crate::volume::{Structures, Volume};

/// A mask may be this many times larger or smaller than those that a run was validated on.
const MARGIN: f64 = 1.5;

/// The volumes that each structure has, in mL: of the true masks that a run was validated on; none where there are no
/// scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UsualVolumes(Vec<Option<[f64; 2]>>);

impl UsualVolumes {
    /// Of the run in `folder`.
    pub(super) fn of(folder: &RunFolder, structures: &Structures) -> Self {
        let cases = folder.read_cases().unwrap_or_default();
        let of_structure = |name: &str| {
            let key = match name {
                "" => "true_volume_ml".to_owned(),
                name => format!("true_volume_ml/{name}"),
            };
            let volumes = cases.iter().filter_map(|case| case.score(&key));
            let (least, most) = volumes
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), ml| {
                    (ml.min(least), ml.max(most))
                });
            (least <= most).then_some([least, most])
        };
        Self(structures.names().into_iter().map(of_structure).collect())
    }

    /// Takes in those of another run.
    pub(super) fn widen(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        }
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = match (*own, *other) {
                (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].max(b[1])]),
                (own, other) => own.or(other),
            };
        }
    }

    fn doubt(&self, structure: usize, name: &str, ml: f64) -> Option<String> {
        let [least, most] = self.0.get(structure).copied().flatten()?;
        let usual = (least / MARGIN..=most * MARGIN).contains(&ml);
        let what = match name {
            "" => "a brain",
            name => name,
        };
        (!usual).then(|| {
            format!(
                "{what} of {ml} mL is implausible: those that the run was validated on have {least} to {most} mL. Look \
                 at the mask",
                ml = rounded(ml, most),
                least = rounded(least, most),
                most = rounded(most, most),
            )
        })
    }
}

/// A volume with as many digits as tell volumes of this size apart.
fn rounded(ml: f64, size: f64) -> String {
    match size >= 10.0 {
        true => format!("{ml:.0}"),
        false => format!("{ml:.2}"),
    }
}

/// What is doubtful about a class map.
pub(super) fn doubts(
    mask: &Volume<u8>,
    structures: &Structures,
    usual: &UsualVolumes,
) -> Vec<String> {
    if mask.voxels.iter().all(|voxel| *voxel == 0) {
        return vec!["the mask is empty: nothing was found in the scan".into()];
    }
    let names = structures.names().into_iter().enumerate();
    names
        .filter_map(|(structure, name)| {
            let ml = match structures.is_mask() {
                true => volume_ml(mask),
                false => volume_ml(&structures.mask_of(structure, mask)),
            };
            usual.doubt(structure, name, ml)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Undeclared};
    use ndarray::Array3;

    /// So many mL of class 1.
    fn mask(ml: usize) -> Volume<u8> {
        Volume {
            voxels: Array3::from_shape_fn((4000, 1, 1), |(x, ..)| u8::from(x < ml)),
            affine: Affine::diagonal([10.0; 3], [0.0; 3]),
        }
    }

    #[test]
    fn only_volumes_far_from_the_usual_are_doubted() {
        let usual = UsualVolumes(vec![Some([1200.0, 1800.0])]);
        let doubts = |ml, usual: &UsualVolumes| doubts(&mask(ml), &Structures::Mask, usual);
        for ml in [810, 1500, 2690] {
            assert!(doubts(ml, &usual).is_empty(), "{ml}");
        }
        for ml in [790, 2802] {
            let why = doubts(ml, &usual).join("");
            assert!(why.contains("1200 to 1800 mL"), "{why}");
        }
        let unknown = UsualVolumes::default();
        assert!(doubts(2802, &unknown).is_empty());
        for usual in [&unknown, &usual] {
            assert!(doubts(0, usual)[0].contains("empty"));
        }
    }

    #[test]
    fn each_structure_is_held_against_its_own_volumes() {
        let named = [("head".to_owned(), vec![1]), ("tail".to_owned(), vec![2])];
        let labels = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let usual = UsualVolumes(vec![Some([1.0, 2.0]), Some([0.5, 1.0])]);
        let why = doubts(&mask(2), &labels, &usual);
        assert_eq!(why.len(), 1);
        assert!(
            why[0].starts_with("tail of 0.00 mL") && why[0].contains("0.50 to 1.00 mL"),
            "{why:?}"
        );
    }
}
