use super::list::{Metric, SHARE};

pub(super) const METRIC: Metric = Metric {
    name: "nsd",
    description: "Normalised surface distance (surface Dice): share of both masks' surface voxels \
        that lie within evaluate.nsd_tolerance of the other's.",
    reference: "Nikolov et al., Clinically applicable segmentation of head and neck anatomy for \
        radiotherapy, JMIR, 2021; voxels are counted as by MONAI 1.6's compute_surface_dice.",
    value: |masks| Some(masks.surfaces.nsd(masks.nsd_tolerance)),
    ..SHARE
};
