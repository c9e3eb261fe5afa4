use super::list::{Metric, VOLUME};

pub(super) const METRIC: Metric = Metric {
    name: "volume_ml",
    description: "Volume of the predicted mask.",
    value: |masks| Some(masks.ml(masks.overlap.tp + masks.overlap.fp)),
    ..VOLUME
};
