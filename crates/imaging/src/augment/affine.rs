use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranges::rising;
use super::spatial::{Map, Spatial};
use super::{Augmentation, Change, MOVES_ALL, PerAxis, uniform};
use crate::settings::Fault;
use crate::volume;

/// Scales image and mask along each axis, shears, turns and then moves them, about the middle of the
/// grid: a point p mm from there goes to `R H S p + t`. S is diagonal, H upper triangular with ones on
/// its diagonal, R turns about x, then y, then z, counter-clockwise as seen from the axis' positive end.
/// Every linear map that does not mirror is one of these.
///
/// Reference: Pérez-García et al., "TorchIO", Computer Methods and Programs in Biomedicine, 2021
/// (`RandomAffine`), with shears as in MONAI's `RandAffine` and log-uniform factors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Largest angle about each axis, either way, in degrees; one number or three. Angles are uniform.
    #[schemars(extend("minimum" = 0.0, "maximum" = 180.0))]
    pub rotate: PerAxis,
    /// Smallest and largest factor of length. Its logarithm is uniform between theirs: halving is as likely
    /// as doubling.
    #[schemars(inner(range(min = 0.1, max = 10.0)))]
    pub scale: [f64; 2],
    /// Whether all three axes are scaled by one factor, not each by its own.
    pub isotropic: bool,
    /// Largest angle by which one axis leans over to another (y and z to x, z to y), either way, in
    /// degrees. Angles are uniform.
    #[schemars(range(min = 0.0, max = 60.0))]
    pub shear: f64,
    /// Largest movement along each axis, either way, in mm; one number or three. Movements are uniform.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1000.0))]
    pub translate: PerAxis,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            rotate: PerAxis::All(10.0),
            scale: [0.9, 1.1],
            isotropic: false,
            shear: 0.0,
            translate: PerAxis::All(5.0),
            p: 0.5,
        }
    }
}

impl Augmentation for Affine {
    type Params = AffineParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some(MOVES_ALL)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<AffineParams> {
        let mut either_way = |most: f64| uniform(-most, most, rng);
        let degrees = self.rotate.get().map(&mut either_way);
        let shear = [self.shear; 3].map(&mut either_way);
        let translation = self.translate.get().map(&mut either_way);
        let [low, high] = self.scale.map(f64::ln);
        let mut scale = [(); 3].map(|()| uniform(low, high, rng).exp());
        if self.isotropic {
            scale = [scale[0]; 3];
        }
        Some(AffineParams {
            degrees,
            scale,
            shear,
            translation,
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("scale", self.scale)
    }
}

/// What [`Affine`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AffineParams {
    /// Angles about x, y and z in degrees.
    pub degrees: [f64; 3],
    /// Factors along x, y and z.
    pub scale: [f64; 3],
    /// Angles in degrees by which y leans over to x, z to x and z to y.
    pub shear: [f64; 3],
    /// Movement along x, y and z in mm.
    pub translation: [f64; 3],
}

impl AffineParams {
    /// Where a point goes, in mm from the middle of the grid.
    fn forward(&self) -> volume::Affine {
        let linear = |rows: [[f64; 3]; 3], offset: [f64; 3]| {
            let row = |r: usize| [rows[r][0], rows[r][1], rows[r][2], offset[r]];
            volume::Affine([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
        };
        let [(sx, cx), (sy, cy), (sz, cz)] = self.degrees.map(|angle| angle.to_radians().sin_cos());
        let about_x = [[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]];
        let about_y = [[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]];
        let about_z = [[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]];
        let [xy, xz, yz] = self.shear.map(|angle| angle.to_radians().tan());
        let shear = [[1.0, xy, xz], [0.0, 1.0, yz], [0.0, 0.0, 1.0]];
        let still = [0.0; 3];
        linear(about_z, self.translation)
            .mul(&linear(about_y, still))
            .mul(&linear(about_x, still))
            .mul(&linear(shear, still))
            .mul(&volume::Affine::diagonal(self.scale, still))
    }
}

impl Spatial for AffineParams {
    fn compose(&self, map: &mut Map) {
        // Only parameters that were not drawn can have no inverse: a factor of 0.
        let Some(back) = self.forward().inverse() else {
            return;
        };
        let spacing = map.grid().affine.spacing();
        let centre = map.grid().shape.map(|n| (n as f64 - 1.0) / 2.0);
        let mut voxels = volume::Affine::identity();
        for row in 0..3 {
            let mut moved = 0.0;
            for column in 0..3 {
                let step = back.0[row][column] * spacing[column] / spacing[row];
                voxels.0[row][column] = step;
                moved += step * centre[column];
            }
            voxels.0[row][3] = centre[row] - moved + back.0[row][3] / spacing[row];
        }
        map.affine(voxels);
    }
}

impl Change for AffineParams {
    fn spatial(&self) -> Option<&dyn Spatial> {
        Some(self)
    }
}
