use super::list::{DISTANCE, Metric};

pub(super) const METRIC: Metric = Metric {
    name: "hausdorff",
    description: "Hausdorff distance: the largest distance from a surface voxel of one mask to the \
        nearest of the other's.",
    reference: "Huttenlocher, Klanderman & Rucklidge, Comparing images using the Hausdorff \
        distance, IEEE TPAMI, 1993.",
    value: |masks| Some(masks.surfaces.hausdorff()),
    ..DISTANCE
};
