use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "specificity",
    description: "Share of the true background that is predicted as such.",
    value: |masks| Some(masks.overlap.specificity()),
    ..SHARE
};
