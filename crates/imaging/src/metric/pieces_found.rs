use super::list::{Better, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "pieces_found",
    description: "Pieces of the true mask that have a voxel of the predicted one.",
    unit: "pieces",
    better: Better::Higher,
    reference: "Carass et al., Longitudinal multiple sclerosis lesion segmentation: resource and challenge, NeuroImage, 2017.",
    value: |masks| masks.pieces.as_ref().map(|pieces| pieces.found as f64),
};
