use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "iou_soft",
    description: "Intersection over union with probabilities in place of the predicted mask.",
    reference: "Iakubovskii, segmentation_models, 2019: iou_score.",
    value: |masks| masks.iou_soft,
    ..SHARE
};
