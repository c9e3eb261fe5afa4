use super::list::{Better, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "pieces_false",
    description: "Pieces of the predicted mask without a voxel of the true one.",
    unit: "pieces",
    better: Better::Lower,
    reference: "Carass et al., Longitudinal multiple sclerosis lesion segmentation: resource and challenge, NeuroImage, 2017.",
    value: |masks| masks.pieces.as_ref().map(|pieces| pieces.false_ as f64),
};
