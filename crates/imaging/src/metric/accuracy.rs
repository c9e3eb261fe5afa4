use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "accuracy",
    description: "Share of all voxels that are labelled right.",
    value: |masks| Some(masks.overlap.accuracy()),
    ..SHARE
};
