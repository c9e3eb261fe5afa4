use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "precision",
    description: "Share of the predicted mask that is true.",
    value: |masks| Some(masks.overlap.precision()),
    ..SHARE
};
