//! How well a predicted mask agrees with the true one.
//!
//! Empty masks: where both are empty they agree, and every metric has its best value (1, or 0 mm).
//! Where one of them is, all that asks for common voxels or surface (IoU, Dice, precision, recall,
//! volume similarity, surface agreement) is 0 and every distance is infinite: a structure that was
//! not found is not a small error, and a mean that left it out would flatter. Specificity is 1 where
//! there is no background. This holds for each of several structures. If the distance of one
//! structure is infinite, the mean over the case's structures is infinite too.

#[macro_use]
mod list;
mod batch;
mod overlap;
mod structures;
mod surface;

use ndarray::{ArrayView3, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use batch::{BatchMetric, PlaneMetric, PlaneSums, SmDice, SmIou};
pub use list::{Better, Metric};
pub use overlap::{Overlap, iou_soft, smooth_iou};
pub use structures::{Probability, Values, by_structure, mean_of_structures, overlaps};
pub use surface::SurfaceDistances;

use crate::settings::{self, Faults};
use crate::volume::{Volume, pieces_met};

metrics! {
    iou,
    iou_soft,
    dice,
    accuracy,
    precision,
    recall,
    specificity,
    volume_similarity,
    hausdorff,
    hd95,
    assd,
    nsd,
    volume_ml,
    true_volume_ml,
    pieces_true,
    pieces_found,
    pieces_false,
}

/// How predicted masks are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Distance in mm up to which two surfaces agree, for `nsd`. The default is larger than the
    /// voxels of usual T1 scans: surfaces a voxel apart agree.
    #[schemars(range(min = 0.0))]
    pub nsd_tolerance: f64,
    /// Whether connected pieces are counted, such as lesions: those of the true mask, how many of them have a voxel of the
    /// predicted one, and predicted pieces without a true voxel. Voxels of a piece touch by a corner at least.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub pieces: bool,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            nsd_tolerance: 2.0,
            pieces: false,
        }
    }
}

impl Evaluation {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// The field that is out of range, and what is allowed.
    pub fn validate(&self) -> Result<(), Faults> {
        settings::validate(self, |_| Vec::new())
    }
}

/// What the metrics of two masks are computed from.
struct Comparison {
    overlap: Overlap,
    iou_soft: Option<f64>,
    surfaces: SurfaceDistances,
    voxel_ml: f64,
    nsd_tolerance: f64,
    /// Where they are counted.
    pieces: Option<Pieces>,
}

/// Connected pieces of two masks.
#[derive(Default)]
struct Pieces {
    true_: usize,
    /// True ones with a predicted voxel.
    found: usize,
    /// Predicted ones without a true voxel.
    false_: usize,
}

impl Pieces {
    fn of(prediction: ArrayView3<'_, u8>, truth: ArrayView3<'_, u8>) -> Self {
        let [true_, found] = pieces_met(truth, prediction);
        let [predicted, right] = pieces_met(prediction, truth);
        Self {
            true_,
            found,
            false_: predicted - right,
        }
    }
}

impl Comparison {
    fn ml(&self, voxels: u64) -> f64 {
        voxels as f64 * self.voxel_ml
    }
}

/// Name and value of every metric of a predicted mask, in the order of [`METRICS`]; `iou_soft` only
/// where there are probabilities, pieces only where they are to be counted. Distances take the voxels' axes to be perpendicular.
///
/// # Panics
///
/// When the shapes differ.
pub fn all(
    prediction: &Volume<u8>,
    truth: &Volume<u8>,
    probability: Option<&Volume<f32>>,
    settings: &Evaluation,
) -> Values {
    assert_eq!(
        prediction.shape(),
        truth.shape(),
        "masks must have one shape"
    );
    let axes = memory_order(truth);
    let spacing = axes.map(|axis| truth.spacing()[axis]);
    let (counted, surfaces) = rayon::join(
        || {
            let soft = probability.map(|probability| {
                assert_eq!(
                    probability.shape(),
                    truth.shape(),
                    "probabilities must have the masks' shape"
                );
                iou_soft(turned(probability, axes), turned(truth, axes))
            });
            (
                Overlap::of(turned(prediction, axes), turned(truth, axes)),
                soft,
            )
        },
        || SurfaceDistances::between(turned(prediction, axes), turned(truth, axes), spacing),
    );
    let (overlap, iou_soft) = counted;
    let comparison = Comparison {
        overlap,
        iou_soft,
        surfaces,
        voxel_ml: truth.voxel_volume_ml(),
        nsd_tolerance: settings.nsd_tolerance,
        pieces: (settings.pieces)
            .then(|| Pieces::of(turned(prediction, axes), turned(truth, axes))),
    };
    METRICS
        .iter()
        .filter_map(|metric| Some((metric.name, metric.of(&comparison)?)))
        .collect()
}

/// The axes as they lie in memory, neighbours last: no metric asks which axis is which.
fn memory_order(truth: &Volume<u8>) -> [usize; 3] {
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| std::cmp::Reverse(truth.voxels.stride_of(Axis(axis))));
    axes
}

fn turned<T>(volume: &Volume<T>, axes: [usize; 3]) -> ArrayView3<'_, T> {
    volume.voxels.view().permuted_axes(axes)
}
