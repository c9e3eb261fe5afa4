use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "volume_similarity",
    description: "One minus the masks' difference in size over their sum.",
    value: |masks| Some(masks.overlap.volume_similarity()),
    ..SHARE
};
