use super::list::{DISTANCE, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "assd",
    description: "Average symmetric surface distance: the mean over both masks' surface voxels \
        together of the distance to the other's nearest.",
    reference: "Heimann et al., Comparison and evaluation of methods for liver segmentation from CT \
        datasets, IEEE TMI, 2009.",
    value: |masks| Some(masks.surfaces.assd()),
    ..DISTANCE
};
