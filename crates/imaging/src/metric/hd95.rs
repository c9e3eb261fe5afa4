use super::list::{DISTANCE, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "hd95",
    description: "Hausdorff distance with the 95th percentile in place of the largest distance: the \
        larger of the two directions' percentiles, not that of both together.",
    reference: "MONAI 1.6, compute_hausdorff_distance with percentile=95.",
    value: |masks| Some(masks.surfaces.hd95()),
    ..DISTANCE
};
