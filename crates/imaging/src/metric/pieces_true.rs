use super::list::{Better, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "pieces_true",
    description: "Connected pieces of the true mask, such as lesions.",
    unit: "pieces",
    better: Better::Neither,
    reference: "Carass et al., Longitudinal multiple sclerosis lesion segmentation: resource and challenge, NeuroImage, 2017.",
    value: |masks| masks.pieces.as_ref().map(|pieces| pieces.true_ as f64),
};
