//! Every metric: what it is called, what it says, and where it is defined.

use super::Comparison;

/// A number that says how well two masks agree, or how large they are.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as in the tables' columns.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Its unit; empty for a share, which lies between 0 and 1.
    pub unit: &'static str,
    /// Which values are good.
    pub better: Better,
    /// Who defined it, or which program's number it is.
    pub reference: &'static str,
    value: fn(&Comparison) -> Option<f64>,
}

impl Metric {
    pub(super) fn of(&self, masks: &Comparison) -> Option<f64> {
        (self.value)(masks)
    }
}

/// Which values of a metric are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The higher ones.
    Higher,
    /// The lower ones.
    Lower,
    /// Neither: the number describes and does not judge.
    Neither,
}

const TAHA_HANBURY: &str = "Taha & Hanbury, Metrics for evaluating 3D medical image segmentation: \
    analysis, selection, and tool, BMC Medical Imaging, 2015.";

/// Every metric, in the order of the tables' columns.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "iou",
        description: "Intersection over union (Jaccard index) of the masks.",
        reference: "Jaccard, The distribution of the flora in the alpine zone, New Phytologist, 1912.",
        value: |masks| Some(masks.overlap.iou()),
        ..SHARE
    },
    Metric {
        name: "iou_soft",
        description: "Intersection over union with probabilities in place of the predicted mask.",
        reference: "Iakubovskii, segmentation_models, 2019: iou_score.",
        value: |masks| masks.iou_soft,
        ..SHARE
    },
    Metric {
        name: "dice",
        description: "Twice the intersection over the sum of both masks' sizes (F1 score).",
        reference: "Dice, Measures of the amount of ecologic association between species, Ecology, \
            1945.",
        value: |masks| Some(masks.overlap.dice()),
        ..SHARE
    },
    Metric {
        name: "accuracy",
        description: "Share of all voxels that are labelled right.",
        value: |masks| Some(masks.overlap.accuracy()),
        ..SHARE
    },
    Metric {
        name: "precision",
        description: "Share of the predicted mask that is true.",
        value: |masks| Some(masks.overlap.precision()),
        ..SHARE
    },
    Metric {
        name: "recall",
        description: "Share of the true mask that is predicted (sensitivity).",
        value: |masks| Some(masks.overlap.recall()),
        ..SHARE
    },
    Metric {
        name: "specificity",
        description: "Share of the true background that is predicted as such.",
        value: |masks| Some(masks.overlap.specificity()),
        ..SHARE
    },
    Metric {
        name: "volume_similarity",
        description: "One minus the masks' difference in size over their sum.",
        value: |masks| Some(masks.overlap.volume_similarity()),
        ..SHARE
    },
    Metric {
        name: "hausdorff",
        description: "Hausdorff distance: the largest distance from a surface voxel of one mask to the \
            nearest of the other's.",
        reference: "Huttenlocher, Klanderman & Rucklidge, Comparing images using the Hausdorff \
            distance, IEEE TPAMI, 1993.",
        value: |masks| Some(masks.surfaces.hausdorff()),
        ..DISTANCE
    },
    Metric {
        name: "hd95",
        description: "Hausdorff distance with the 95th percentile in place of the largest distance: the \
            larger of the two directions' percentiles, not that of both together.",
        reference: "MONAI 1.6, compute_hausdorff_distance with percentile=95.",
        value: |masks| Some(masks.surfaces.hd95()),
        ..DISTANCE
    },
    Metric {
        name: "assd",
        description: "Average symmetric surface distance: the mean over both masks' surface voxels \
            together of the distance to the other's nearest.",
        reference: "Heimann et al., Comparison and evaluation of methods for liver segmentation from CT \
            datasets, IEEE TMI, 2009.",
        value: |masks| Some(masks.surfaces.assd()),
        ..DISTANCE
    },
    Metric {
        name: "nsd",
        description: "Normalised surface distance (surface Dice): share of both masks' surface voxels \
            that lie within evaluate.nsd_tolerance of the other's.",
        reference: "Nikolov et al., Clinically applicable segmentation of head and neck anatomy for \
            radiotherapy, JMIR, 2021; voxels are counted as by MONAI 1.6's compute_surface_dice.",
        value: |masks| Some(masks.surfaces.nsd(masks.nsd_tolerance)),
        ..SHARE
    },
    Metric {
        name: "volume_ml",
        description: "Volume of the predicted mask.",
        value: |masks| Some(masks.ml(masks.overlap.tp + masks.overlap.fp)),
        ..VOLUME
    },
    Metric {
        name: "true_volume_ml",
        description: "Volume of the true mask.",
        value: |masks| Some(masks.ml(masks.overlap.tp + masks.overlap.fn_)),
        ..VOLUME
    },
];

/// What most shares have in common; they are defined in one review.
const SHARE: Metric = Metric {
    name: "",
    description: "",
    unit: "",
    better: Better::Higher,
    reference: TAHA_HANBURY,
    value: |_| None,
};

const DISTANCE: Metric = Metric {
    unit: "mm",
    better: Better::Lower,
    ..SHARE
};

const VOLUME: Metric = Metric {
    unit: "mL",
    better: Better::Neither,
    ..SHARE
};
