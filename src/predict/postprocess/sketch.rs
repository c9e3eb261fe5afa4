//! What is kept of a case while post-processing is chosen: enough to try every change without the network.

use ndarray::{Array3, Zip, s};

use crate::experiment::Postprocess;
use crate::metric::overlaps;
use crate::predict::Probabilities;
use crate::predict::clean::Cleaning;
use crate::predict::decide::most_probable;
use crate::volume::{PackedMask, Structures, Volume};

/// Thresholds that are tried.
const THRESHOLDS: [f64; 5] = [0.3, 0.4, 0.5, 0.6, 0.7];
/// Standard deviations that are tried, in voxels of a scan.
const SMOOTHING: [f64; 3] = [0.5, 1.0, 2.0];

/// The smoothing and the thresholds that are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketching {
    /// Standard deviations in mm; the first is that of the settings.
    pub(super) smooth_mm: Vec<f64>,
    /// The thresholds of each structure, rising; none where structures exclude each other.
    pub(super) thresholds: Vec<Vec<f64>>,
}

impl Sketching {
    /// What is tried beside the settings `start`, of scans whose voxels have edges of about `edge` mm.
    pub fn of(start: &Postprocess, structures: &Structures, edge: f64) -> Self {
        let mut smooth_mm = vec![start.smooth_mm];
        let others = SMOOTHING.map(|voxels| two_digits(voxels * edge));
        for std in [0.0].into_iter().chain(others) {
            if !smooth_mm.contains(&std) {
                smooth_mm.push(std);
            }
        }
        let with = |own: f64| {
            let mut all = Vec::from(THRESHOLDS);
            all.push(own);
            all.sort_by(f64::total_cmp);
            all.dedup();
            all
        };
        let thresholds = match structures.is_exclusive() {
            true => Vec::new(),
            false => (start.structures.iter())
                .map(|of| with(of.threshold))
                .collect(),
        };
        Self {
            smooth_mm,
            thresholds,
        }
    }
}

/// A positive number with two digits.
pub(super) fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// A case: what its network says, and the truth.
pub struct Sketch {
    /// For each smoothing: of labels the class map, else for each structure how many of its thresholds are reached.
    maps: Vec<Vec<PackedMask>>,
    truth: PackedMask,
    voxel_ml: f64,
    /// The true volume of each structure in mL.
    pub(super) true_ml: Vec<f64>,
}

impl Sketch {
    /// The sketch of a case's probabilities and of its true class map, both on its scan's grid.
    pub fn of(probabilities: &Probabilities, truth: &Volume<u8>, sketching: &Sketching) -> Self {
        let structures = &probabilities.structures;
        let maps = sketching.smooth_mm.iter().map(|std| {
            if structures.is_exclusive() {
                return vec![most_probable(probabilities, *std)];
            }
            let levels = |(structure, thresholds): (usize, &Vec<f64>)| {
                let probability = probabilities.smoothed(structure, *std);
                probability.voxels.mapv(|p| {
                    let reached = thresholds.iter().filter(|of| p >= **of as f32);
                    reached.count() as u8
                })
            };
            let thresholds = sketching.thresholds.iter().enumerate();
            thresholds.map(levels).collect::<Vec<Array3<u8>>>()
        });
        let maps: Vec<Vec<Array3<u8>>> = maps.collect();
        let extent = extent(maps.iter().flatten().chain([&truth.voxels]), truth.shape());
        let pack = |voxels: &Array3<u8>| {
            let [x, y, z] = extent.clone();
            PackedMask::of(&Volume {
                voxels: voxels.slice(s![x, y, z]).to_owned(),
                affine: truth.affine,
            })
        };
        let voxel_ml = truth.voxel_volume_ml();
        let counts = Structures::count_voxels(&truth.voxels);
        let true_ml = (0..structures.count()).map(|structure| {
            let classes = (0..=u8::MAX).filter(|class| structures.contains(structure, *class));
            let voxels: u64 = classes.map(|class| counts[usize::from(class)]).sum();
            voxels as f64 * voxel_ml
        });
        Self {
            true_ml: true_ml.collect(),
            maps: (maps.iter())
                .map(|of| of.iter().map(&pack).collect())
                .collect(),
            truth: pack(&truth.voxels),
            voxel_ml,
        }
    }

    /// The Dice of each structure with these settings, which are among those of `sketching`.
    pub(super) fn dice(
        &self,
        settings: &Postprocess,
        sketching: &Sketching,
        structures: &Structures,
    ) -> Vec<f64> {
        let place = |all: &[f64], value: f64| all.iter().position(|of| *of == value);
        let smoothing = place(&sketching.smooth_mm, settings.smooth_mm).unwrap_or(0);
        let maps = &self.maps[smoothing];
        let truth = self.truth.unpack();
        let cleaning = Cleaning {
            settings,
            structures,
            voxel_ml: self.voxel_ml,
        };
        let classes = match structures.is_exclusive() {
            true => {
                let mut classes = maps[0].unpack().voxels;
                cleaning.of_classes(&mut classes);
                classes
            }
            false => cleaning.of_masks(truth.shape(), |structure| {
                let own = settings.structures[structure].threshold;
                let thresholds = &sketching.thresholds[structure];
                let reached = place(thresholds, own).unwrap_or(0) as u8;
                maps[structure]
                    .unpack()
                    .voxels
                    .mapv(|of| u8::from(of > reached))
            }),
        };
        let overlaps = overlaps(classes.view(), truth.voxels.view(), structures);
        overlaps.iter().map(|overlap| overlap.dice()).collect()
    }
}

/// The box of all voxels that are not 0 in some map: beyond it there is background alone, so the pieces and the holes in it
/// are those of the whole.
fn extent<'a>(
    maps: impl Iterator<Item = &'a Array3<u8>>,
    shape: [usize; 3],
) -> [std::ops::Range<usize>; 3] {
    let mut ends = [(usize::MAX, 0); 3];
    for map in maps {
        Zip::indexed(map).for_each(|(x, y, z), voxel| {
            if *voxel != 0 {
                for ((first, last), at) in ends.iter_mut().zip([x, y, z]) {
                    (*first, *last) = ((*first).min(at), (*last).max(at));
                }
            }
        });
    }
    std::array::from_fn(|axis| match ends[axis] {
        (usize::MAX, _) => 0..shape[axis].min(1),
        (first, last) => first..last + 1,
    })
}
