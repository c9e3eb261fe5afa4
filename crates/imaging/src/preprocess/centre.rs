//! What a grid is centred on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::otsu;
use crate::volume::Volume;

/// What a grid of a given shape is centred on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Centre {
    /// The world's origin, as in the published pipeline: the same grid for every scan.
    #[default]
    World,
    /// The centre of the image, for scans whose header puts the origin anywhere.
    Image,
    /// The centre of the head: of the box that holds, along each axis of the image, all but 0.5 % at
    /// either end of the voxels above Otsu's threshold.
    Head,
}

/// The part of the bright voxels that is left out at either end of the head's box: more than
/// vessels and noise make up, less than an ear.
const LEFT_OUT: f64 = 0.005;

impl Centre {
    /// Where it is, in mm.
    pub(super) fn of(self, image: &Volume<f32>) -> [f64; 3] {
        match self {
            Self::World => [0.0; 3],
            Self::Image => image.grid().centre(),
            Self::Head => image.affine.apply(head(image)),
        }
    }
}

/// The head's centre, in voxels.
fn head(image: &Volume<f32>) -> [f64; 3] {
    let in_order = image.voxels.as_standard_layout();
    // Cannot fail: the line above sees to it.
    let threshold = otsu::threshold(in_order.as_slice().expect("standard layout"));
    let mut profiles = image.shape().map(|n| vec![0usize; n]);
    for ((x, y, z), value) in image.voxels.indexed_iter() {
        if f64::from(*value) > threshold {
            profiles[0][x] += 1;
            profiles[1][y] += 1;
            profiles[2][z] += 1;
        }
    }
    profiles.map(|profile| {
        let total: usize = profile.iter().sum();
        let most = (total as f64 * LEFT_OUT) as usize;
        let end = |counts: &mut dyn Iterator<Item = &usize>| {
            let mut passed = 0;
            let outside = |count: &&usize| {
                passed += **count;
                passed <= most
            };
            counts.take_while(outside).count()
        };
        let first = end(&mut profile.iter()) as f64;
        let last = profile.len() as f64 - 1.0 - end(&mut profile.iter().rev()) as f64;
        // A constant image has nothing above its threshold, and both ends run through: its middle.
        (first + last) / 2.0
    })
}
