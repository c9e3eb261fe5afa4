//! Metrics of how far apart two masks' surfaces are.
//!
//! A mask's surface is its voxels that touch the background or the image's edge with a face: the mask
//! without its erosion by a 6-connected cross, as in MONAI and medpy. Distances are between voxels'
//! centres, in mm.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, Axis, Slice, Zip, s};

use crate::statistics::percentile_of_distances;
use crate::volume::distance::squared_distances_at;

/// Added to a tolerance, in mm: whether a voxel of 1 mm is within 1 mm is not for the rounding of a
/// header's float32 to decide.
const ROUNDING: f64 = 1e-5;

/// How far each voxel on one mask's surface is from the nearest on the other's, in mm. Where the other
/// mask is empty, that is infinite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SurfaceDistances {
    /// From the prediction's surface to the truth's.
    pub from_prediction: Vec<f64>,
    /// From the truth's surface to the prediction's.
    pub from_truth: Vec<f64>,
}

impl SurfaceDistances {
    /// Between two masks of one shape; whatever is not 0 is in the mask. `spacing` is the distance
    /// between neighbouring voxels along each axis in mm.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    pub fn between(
        prediction: ArrayView3<'_, u8>,
        truth: ArrayView3<'_, u8>,
        spacing: [f64; 3],
    ) -> Self {
        assert_eq!(prediction.dim(), truth.dim(), "masks must have one shape");
        // Distances are asked for and measured to within the box around both masks.
        let (predicted, true_) = rayon::join(|| extent(prediction), || extent(truth));
        let Some([x, y, z]) = union(predicted, true_) else {
            return Self {
                from_prediction: Vec::new(),
                from_truth: Vec::new(),
            };
        };
        let within = s![x, y, z];
        let (prediction, truth) = rayon::join(
            || surface(prediction.slice(within)),
            || surface(truth.slice(within)),
        );
        let directed = |from: &Array3<bool>, to: &Array3<bool>| {
            let squared = squared_distances_at(from.view(), to.view(), spacing);
            squared.into_iter().map(f64::sqrt).collect()
        };
        Self {
            from_prediction: directed(&prediction, &truth),
            from_truth: directed(&truth, &prediction),
        }
    }

    fn both(&self) -> impl Iterator<Item = f64> {
        self.from_prediction.iter().chain(&self.from_truth).copied()
    }

    /// The largest distance of either direction, in mm.
    pub fn hausdorff(&self) -> f64 {
        self.both().fold(0.0, f64::max)
    }

    /// The larger of both directions' 95th percentiles, in mm.
    pub fn hd95(&self) -> f64 {
        let percentile = |distances: &[f64]| percentile_of_distances(distances, 0.95);
        percentile(&self.from_prediction).max(percentile(&self.from_truth))
    }

    /// The mean of both directions' distances together, in mm.
    pub fn assd(&self) -> f64 {
        let count = self.from_prediction.len() + self.from_truth.len();
        self.both().sum::<f64>() / count.max(1) as f64
    }

    /// The share of both surfaces' voxels whose distance is at most `tolerance` mm.
    pub fn nsd(&self, tolerance: f64) -> f64 {
        let count = self.from_prediction.len() + self.from_truth.len();
        if count == 0 {
            return 1.0;
        }
        let limit = tolerance + ROUNDING;
        self.both().filter(|&distance| distance <= limit).count() as f64 / count as f64
    }
}

/// The smallest box that holds the mask; none where it is empty.
fn extent(mask: ArrayView3<'_, u8>) -> Option<[Range<usize>; 3]> {
    let mut found: Option<[Range<usize>; 3]> = None;
    for (x, plane) in mask.outer_iter().enumerate() {
        for (y, row) in plane.outer_iter().enumerate() {
            let used = |label: &u8| *label != 0;
            let ends = match row.as_slice() {
                // Rows are mostly all background, which is seen at once.
                Some(row) if row.iter().fold(0, |all, label| all | label) == 0 => None,
                _ => row.iter().position(used).zip(row.iter().rposition(used)),
            };
            if let Some((first, last)) = ends {
                found = union(found, Some([x..x + 1, y..y + 1, first..last + 1]));
            }
        }
    }
    found
}

/// The smallest box that holds both.
fn union(a: Option<[Range<usize>; 3]>, b: Option<[Range<usize>; 3]>) -> Option<[Range<usize>; 3]> {
    match (a, b) {
        (Some(a), Some(b)) => Some(std::array::from_fn(|axis| {
            a[axis].start.min(b[axis].start)..a[axis].end.max(b[axis].end)
        })),
        (a, b) => a.or(b),
    }
}

/// The mask without the voxels all of whose six neighbours are in it, too. What is outside the array
/// is background.
fn surface(mask: ArrayView3<'_, u8>) -> Array3<bool> {
    let mask = mask.mapv(|label| label != 0);
    let mut inner = mask.clone();
    for axis in [Axis(0), Axis(1), Axis(2)] {
        let (but_last, but_first) = (Slice::from(..-1), Slice::from(1..));
        let keep = |inner: &mut bool, neighbour: &bool| *inner &= neighbour;
        let mut later = inner.slice_axis_mut(axis, but_first);
        later.zip_mut_with(&mask.slice_axis(axis, but_last), keep);
        let mut earlier = inner.slice_axis_mut(axis, but_last);
        earlier.zip_mut_with(&mask.slice_axis(axis, but_first), keep);
        inner.index_axis_mut(axis, 0).fill(false);
        inner
            .index_axis_mut(axis, mask.len_of(axis) - 1)
            .fill(false);
    }
    Zip::from(&mut inner)
        .and(&mask)
        .for_each(|inner, &is| *inner = is & !*inner);
    inner
}
