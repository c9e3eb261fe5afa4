use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "dice",
    description: "Twice the intersection over the sum of both masks' sizes (F1 score).",
    reference: "Dice, Measures of the amount of ecologic association between species, Ecology, \
        1945.",
    value: |masks| Some(masks.overlap.dice()),
    ..SHARE
};
