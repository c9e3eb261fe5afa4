use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "iou",
    description: "Intersection over union (Jaccard index) of the masks.",
    reference: "Jaccard, The distribution of the flora in the alpine zone, New Phytologist, 1912.",
    value: |masks| Some(masks.overlap.iou()),
    ..SHARE
};
