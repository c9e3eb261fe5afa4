use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spatial::{Map, Spatial};
use super::{Augmentation, Change, MOVES_ALL, uniform};
use crate::volume::Affine;

/// Moves image and mask along all three axes, by whole voxels, so that nothing is blurred. Where
/// there was nothing the image's lowest value enters: air, also after a z-score.
///
/// Reference: Pérez-García et al., "TorchIO", Computer Methods and Programs in Biomedicine, 2021 (the
/// translation of `RandomAffine`, here in whole voxels).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shift {
    /// Largest movement along each axis, either way, in mm.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Shift {
    fn default() -> Self {
        Self { max: 10.0, p: 0.5 }
    }
}

impl Augmentation for Shift {
    type Params = ShiftParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some(MOVES_ALL)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<ShiftParams> {
        Some(ShiftParams {
            offset: [(); 3].map(|()| uniform(-self.max, self.max, rng)),
        })
    }
}

/// What [`Shift`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftParams {
    /// Movement along each axis in mm, rounded to whole voxels when applied.
    pub offset: [f64; 3],
}

impl Spatial for ShiftParams {
    fn compose(&self, map: &mut Map) {
        let spacing = map.grid().affine.spacing();
        // Beyond any grid, and still exact.
        let voxels = |a: usize| (self.offset[a] / spacing[a]).round().clamp(-1e6, 1e6);
        map.affine(Affine::diagonal([1.0; 3], [0, 1, 2].map(|a| -voxels(a))));
    }
}

impl Change for ShiftParams {
    fn spatial(&self) -> Option<&dyn Spatial> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Drawn, Sample};
    use super::*;
    use ndarray::Array3;

    fn moved(offset: [f64; 3]) -> Vec<(usize, usize, usize)> {
        let mut sample = Sample::of_mask(
            Array3::zeros((6, 7, 8)),
            Array3::zeros((6, 7, 8)),
            Affine::diagonal([1.0, 2.0, 0.5], [0.0; 3]),
        );
        sample.images[0][[2, 3, 4]] = 5.0;
        sample.mask[[2, 3, 4]] = 1;
        Drawn::Shift(ShiftParams { offset }).apply(&mut sample);
        assert_eq!(
            sample.images[0],
            sample.mask.mapv(|label| 5.0 * f32::from(label))
        );
        let inside = sample.mask.indexed_iter().filter(|(_, label)| **label == 1);
        inside.map(|(position, _)| position).collect()
    }

    #[test]
    fn voxels_move_by_the_millimetres_asked_for() {
        assert_eq!(moved([1.0, 2.0, 0.5]), [(3, 4, 5)]);
        assert_eq!(moved([-2.0, -6.0, -2.0]), [(0, 0, 0)]);
        assert_eq!(moved([0.0, 6.0, 1.5]), [(2, 6, 7)]);
        assert_eq!(moved([0.4, 0.9, 0.3]), [(2, 3, 5)], "the nearest voxel");
    }

    #[test]
    fn air_enters_where_there_was_nothing() {
        let mut sample = Sample::of_mask(
            Array3::from_elem((3, 1, 1), 2.0),
            Array3::from_elem((3, 1, 1), 1),
            Affine::identity(),
        );
        sample.images[0][[2, 0, 0]] = -1.5;
        let offset = [1.0, 0.0, 0.0];
        Drawn::Shift(ShiftParams { offset }).apply(&mut sample);
        let image = sample.images.remove(0);
        assert_eq!(image.into_raw_vec_and_offset().0, [-1.5, 2.0, 2.0]);
        assert_eq!(sample.mask.into_raw_vec_and_offset().0, [0, 1, 1]);
    }

    #[test]
    fn what_leaves_the_grid_does_not_come_back_on_the_other_side() {
        for offset in [[4.0, 0.0, 0.0], [0.0, -8.0, 0.0], [0.0, 0.0, 1e9]] {
            assert_eq!(moved(offset), []);
        }
    }
}
