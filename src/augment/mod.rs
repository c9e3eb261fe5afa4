//! Augmentation: random changes to training samples. One file a transform.
//!
//! Sampling is apart from applying: a [`Transform`] first draws its parameters, plain data that
//! can be logged and replayed ([`Drawn`]), and those are then applied to a [`Sample`]. What is
//! drawn depends on the seed, the epoch, the case and the transform's place in the list alone.

mod brightness;
mod flip;
mod gamma;
mod noise;
mod shift;

use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random;

pub use brightness::{Brightness, BrightnessParams};
pub use flip::{Axis, Flip, FlipParams};
pub use gamma::{Gamma, GammaParams};
pub use noise::{Noise, NoiseParams};
pub use shift::{Shift, ShiftParams};

/// An image with its mask, both indexed `[x, y, z]`, x from left to right, y from back to front and
/// z upwards (RAS).
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The intensities.
    pub image: Array3<f32>,
    /// The labels, 0 or 1, of the same shape.
    pub mask: Array3<u8>,
    /// Distance between neighbouring voxels along each axis, in mm.
    pub spacing: [f64; 3],
}

crate::family! {
    /// A random change to a training sample.
    pub enum Transform {
        /// Mirrors image and mask.
        "flip" => Flip(Flip),
        /// Bends the intensities.
        "gamma" => Gamma(Gamma),
        /// Adds Gaussian noise to the image.
        "noise" => Noise(Noise),
        /// Moves image and mask.
        "shift" => Shift(Shift),
        /// Multiplies the image by a factor.
        "brightness" => Brightness(Brightness),
    }
}

impl Transform {
    /// Draws the parameters for one sample; `None` leaves the sample as it is.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Drawn> {
        match self {
            Self::Flip(member) => member.draw(rng).map(Drawn::Flip),
            Self::Gamma(member) => member.draw(rng).map(Drawn::Gamma),
            Self::Noise(member) => member.draw(rng).map(Drawn::Noise),
            Self::Shift(member) => member.draw(rng).map(Drawn::Shift),
            Self::Brightness(member) => member.draw(rng).map(Drawn::Brightness),
        }
    }
}

/// What a transform has drawn for one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drawn {
    /// The axes to mirror.
    Flip(FlipParams),
    /// The exponent.
    Gamma(GammaParams),
    /// The noise's strength and seed.
    Noise(NoiseParams),
    /// How far to move.
    Shift(ShiftParams),
    /// The factor.
    Brightness(BrightnessParams),
}

impl Drawn {
    /// Changes `sample`. The shapes stay as they are.
    pub fn apply(&self, sample: &mut Sample) {
        match self {
            Self::Flip(params) => params.apply(sample),
            Self::Gamma(params) => params.apply(sample),
            Self::Noise(params) => params.apply(sample),
            Self::Shift(params) => params.apply(sample),
            Self::Brightness(params) => params.apply(sample),
        }
    }
}

/// Transforms in the order in which they are applied.
///
/// ```
/// use calvaria::augment::Augmentations;
/// let augment: Augmentations = serde_yaml::from_str("[flip, {shift: {max: 8.0}}]")?;
/// let drawn = augment.draw(42, 3, "sub-01", 0);
/// assert_eq!(drawn, augment.draw(42, 3, "sub-01", 0));
/// # Ok::<(), serde_yaml::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Augmentations(pub Vec<Transform>);

impl Augmentations {
    /// Checks every transform's values.
    ///
    /// # Errors
    ///
    /// A sentence that names the item (counted from 0), the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(index, transform)| {
                transform
                    .validate()
                    .map_err(|why| format!("item {index}, {why}"))
            })
    }

    /// Draws the parameters of whatever is to be applied, in order, to the sample of `case` in
    /// `epoch`. `repeat` tells apart several samples of one case in an epoch.
    pub fn draw(&self, seed: u64, epoch: u64, case: &str, repeat: u64) -> Vec<Drawn> {
        let stream = |index, name| {
            let purpose = ["augment", case, name];
            random::stream(seed, &purpose, &[epoch, repeat, index])
        };
        (0..)
            .zip(&self.0)
            .filter_map(|(index, transform)| transform.draw(&mut stream(index, transform.name())))
            .collect()
    }
}

/// True with probability `p`.
fn happens(p: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < p
}

/// A number drawn uniformly from `low` to `high`.
fn uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

fn validate_probability(p: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&p) {
        Ok(())
    } else {
        Err(format!("p is {p} and must lie from 0 to 1"))
    }
}
