use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "recall",
    description: "Share of the true mask that is predicted (sensitivity).",
    value: |masks| Some(masks.overlap.recall()),
    ..SHARE
};
