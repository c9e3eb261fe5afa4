use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flip::Axis;
use super::intensities::{in_order, range};
use super::kspace::combine;
use super::rigid::moved;
use super::{Augmentation, Change, uniform};

/// A head that moves during the scan: k-space is put together from segments, one after the other along
/// the phase-encoding axis, of the image and of rigidly moved copies of it. The copy that was there
/// while k-space's centre was drawn is the unmoved one, so that the mask still fits. Where a copy
/// shows what lay outside, it has the image's minimum: air, also after a z-score. The movements are the same in all
/// images, as in TorchIO 2.
///
/// Reference: Shaw et al., "MRI k-space motion artefact augmentation", MIDL, 2019; TorchIO's
/// `RandomMotion` (Pérez-García et al., Computer Methods and Programs in Biomedicine, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Motion {
    /// Number of movements.
    #[schemars(range(min = 1, max = 20))]
    pub movements: usize,
    /// Largest rotation about each axis, either way, in degrees.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
    /// Largest translation along each axis, either way, in mm.
    #[schemars(range(min = 0.0))]
    pub translation: f64,
    /// The axes along which phase may be encoded; one is drawn.
    #[schemars(length(min = 1))]
    pub axes: Vec<Axis>,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            movements: 2,
            degrees: 10.0,
            translation: 10.0,
            axes: vec![Axis::LeftRight, Axis::FrontBack, Axis::UpDown],
            p: 0.1,
        }
    }
}

impl Augmentation for Motion {
    type Params = MotionParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<MotionParams> {
        let axis = self.axes[rng.random_range(0..self.axes.len())];
        let step = 1.0 / (self.movements + 1) as f64;
        // As in TorchIO, up to 0.3 of an interval before or after the even times.
        let movements = (1..=self.movements).map(|at| Movement {
            time: step * (at as f64 + uniform(-0.3, 0.3, rng)),
            degrees: [(); 3].map(|()| uniform(-self.degrees, self.degrees, rng)),
            translation: [(); 3].map(|()| uniform(-self.translation, self.translation, rng)),
        });
        Some(MotionParams {
            movements: movements.collect(),
            axis,
        })
    }
}

/// What [`Motion`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MotionParams {
    /// Along which axis phase is encoded.
    pub axis: Axis,
    /// The movements, in order of their times.
    pub movements: Vec<Movement>,
}

/// A movement of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Movement {
    /// Its time, from 0 (the scan's start) to 1 (its end).
    pub time: f64,
    /// Rotations about the first, then the second, then the third axis through the grid's centre,
    /// from where the head is seen to where it was before, in degrees.
    pub degrees: [f64; 3],
    /// Translation along each axis, after the rotation, in mm.
    pub translation: [f64; 3],
}

impl Change for MotionParams {
    fn apply(&self, image: &mut Array3<f32>, spacing: [f64; 3]) {
        let Some([air, _]) = range(in_order(image)) else {
            return;
        };
        let axis = self.axis.index();
        let n = image.shape()[axis];
        let times = self.movements.iter().map(|movement| movement.time);
        let ends = times.map(|time| (time * n as f64) as usize);
        let ends: Vec<usize> = ends.chain([n]).map(|end| end.min(n)).collect();
        let starts: Vec<usize> = [0].into_iter().chain(ends.iter().copied()).collect();
        // Segments in order; the unmoved image takes the one of k-space's centre, and the movement
        // that would have been there takes the first.
        let central = self
            .movements
            .iter()
            .position(|movement| movement.time > 0.5);
        let central = central.unwrap_or(self.movements.len());
        let gains = |segment: usize| -> Vec<f32> {
            let planes = starts[segment]..ends[segment];
            (0..n)
                .map(|plane| f32::from(u8::from(planes.contains(&plane))))
                .collect()
        };
        let (mut copies, mut shares): (Vec<Array3<f32>>, _) = (Vec::new(), vec![gains(central)]);
        for (at, movement) in self.movements.iter().enumerate() {
            let segment = if at + 1 == central { 0 } else { at + 1 };
            if starts[segment] < ends[segment] {
                copies.push(moved(
                    image,
                    spacing,
                    movement.degrees,
                    movement.translation,
                    air,
                ));
                shares.push(gains(segment));
            }
        }
        combine(image, &copies, axis, &shares);
    }
}
