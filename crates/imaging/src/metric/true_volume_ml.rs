use super::list::{Metric, VOLUME};

pub(super) const METRIC: Metric = Metric {
    name: "true_volume_ml",
    description: "Volume of the true mask.",
    value: |masks| Some(masks.ml(masks.overlap.tp + masks.overlap.fn_)),
    ..VOLUME
};
