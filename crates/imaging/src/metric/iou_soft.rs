use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "iou_soft",
    description: "Intersection over union with probabilities in place of the predicted mask.",
    reference: "Solovyev, segmentation_models_3D, 2021: iou_score of one sample. segmentation_models' \
        own (Iakubovskii, 2019) takes a volume's planes for samples, and is the mean over them.",
    value: |masks| masks.iou_soft,
    ..SHARE
};
