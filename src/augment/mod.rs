//! Augmentation: random changes to training samples. One file a transform.
//!
//! Sampling is apart from applying: a [`Transform`] first draws its parameters, plain data that
//! can be logged and replayed ([`Drawn`]), and those are then applied to a [`Sample`]. What is
//! drawn depends on the seed, the epoch, the case and the transform's place in the list alone.
//!
//! [`apply`] does a list at once: first whatever moves voxels ([`Flip`], [`Shift`], [`Affine`],
//! [`Elastic`], [`Crop`]), composed in the list's order into ONE resampling of image and mask, then
//! whatever changes intensities, in the list's order.
//!
//! - The anatomy moves on a grid that stays where it is in the world: a flip or a rotation leaves
//!   [`Sample::affine`] as it is. A crop moves the grid's origin to its first voxel's place, and
//!   later transforms turn about the middle of what was cropped.
//! - What one of them moves off the grid is not lost to those after it.
//! - Outside the grid lies air, the image's lowest value (also after a z-score), and mask 0. The
//!   image is interpolated linearly, from an edge voxel to air over one voxel. The mask is
//!   interpolated in the same way and is 1 from 0.5 on, which keeps volumes and smooth outlines better
//!   than the nearest voxel does.
//! - Where everything moves by whole voxels, values are copied and nothing is blurred.
//! - Lengths are in mm and angles in degrees, along and about the grid's own axes.

mod affine;
mod anisotropy;
mod bias_field;
mod blur;
mod brightness;
mod contrast;
mod crop;
mod cutout;
mod elastic;
mod flip;
mod gamma;
mod gaussian;
mod ghosting;
mod histogram_shift;
mod intensities;
mod kspace;
mod low_resolution;
mod math;
mod mixup;
mod motion;
mod noise;
mod per_axis;
mod ranges;
mod rigid;
mod sharpen;
mod shift;
mod spatial;
mod spike;
mod summary;

use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random;
use crate::volume::{self, Grid};
use spatial::Spatial;

pub use affine::{Affine, AffineParams};
pub use anisotropy::{Anisotropy, AnisotropyParams};
pub use bias_field::{BiasField, BiasFieldParams};
pub use blur::{Blur, BlurParams};
pub use brightness::{Brightness, BrightnessParams};
pub use contrast::{Contrast, ContrastParams};
pub use crop::{Crop, CropParams, Start};
pub use cutout::{Cutout, CutoutBox, CutoutParams, Fill};
pub use elastic::{Elastic, ElasticParams};
pub use flip::{Axis, Flip, FlipParams};
pub use gamma::{Gamma, GammaParams};
pub use ghosting::{Ghosting, GhostingParams};
pub use histogram_shift::{HistogramShift, HistogramShiftParams};
pub use low_resolution::{LowResolution, LowResolutionParams};
pub use mixup::{Mixup, MixupParams, mix_batch};
pub use motion::{Motion, MotionParams, Movement};
pub use noise::{Noise, NoiseDistribution, NoiseParams};
pub use per_axis::PerAxis;
pub use sharpen::{Sharpen, SharpenParams};
pub use shift::{Shift, ShiftParams};
pub use spike::{Spike, SpikeParams};

/// An image with its mask, both indexed `[x, y, z]`, x from left to right, y from back to front and
/// z upwards (RAS).
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The intensities.
    pub image: Array3<f32>,
    /// The labels, 0 or 1, of the same shape.
    pub mask: Array3<u8>,
    /// Voxel index to world position in mm.
    pub affine: volume::Affine,
}

impl Sample {
    /// Number of voxels along the three axes.
    pub fn shape(&self) -> [usize; 3] {
        let (x, y, z) = self.image.dim();
        [x, y, z]
    }

    /// Distance between neighbouring voxels along each axis, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        self.affine.spacing()
    }

    /// The grid the voxels lie on.
    pub fn grid(&self) -> Grid {
        Grid {
            shape: self.shape(),
            affine: self.affine,
        }
    }
}

crate::family! {
    /// A random change to a training sample.
    pub enum Transform {
        /// Mirrors image and mask.
        "flip" => Flip(Flip),
        /// Bends the intensities.
        "gamma" => Gamma(Gamma),
        /// Adds noise to the image.
        "noise" => Noise(Noise),
        /// Moves image and mask.
        "shift" => Shift(Shift),
        /// Multiplies the image by a factor.
        "brightness" => Brightness(Brightness),
        /// Multiplies the signal by a smooth field.
        "bias_field" => BiasField(BiasField),
        /// Scales the image about its mean.
        "contrast" => Contrast(Contrast),
        /// Blurs the image.
        "blur" => Blur(Blur),
        /// Makes the image as coarse as one of larger voxels.
        "low_resolution" => LowResolution(LowResolution),
        /// Sharpens the image's edges.
        "sharpen" => Sharpen(Sharpen),
        /// Bends the histogram at random points.
        "histogram_shift" => HistogramShift(HistogramShift),
        /// Adds ghosts along the phase-encoding axis.
        "ghosting" => Ghosting(Ghosting),
        /// Adds stripes, as from spikes in k-space.
        "spike" => Spike(Spike),
        /// Makes the head move during the scan.
        "motion" => Motion(Motion),
        /// Fills boxes of the image.
        "cutout" => Cutout(Cutout),
        /// Turns, scales, shears and moves image and mask.
        "affine" => Affine(Affine),
        /// Bends image and mask.
        "elastic" => Elastic(Elastic),
        /// Cuts a window of fixed size out of image and mask.
        "crop" => Crop(Crop),
        /// Makes the image as coarse along one axis as thick slices are.
        "anisotropy" => Anisotropy(Anisotropy),
        /// Mixes a sample with the next one of its batch.
        "mixup" => Mixup(Mixup),
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
            Self::BiasField(member) => member.draw(rng).map(Drawn::BiasField),
            Self::Contrast(member) => member.draw(rng).map(Drawn::Contrast),
            Self::Blur(member) => member.draw(rng).map(Drawn::Blur),
            Self::LowResolution(member) => member.draw(rng).map(Drawn::LowResolution),
            Self::Sharpen(member) => member.draw(rng).map(Drawn::Sharpen),
            Self::HistogramShift(member) => member.draw(rng).map(Drawn::HistogramShift),
            Self::Ghosting(member) => member.draw(rng).map(Drawn::Ghosting),
            Self::Spike(member) => member.draw(rng).map(Drawn::Spike),
            Self::Motion(member) => member.draw(rng).map(Drawn::Motion),
            Self::Cutout(member) => member.draw(rng).map(Drawn::Cutout),
            Self::Affine(member) => member.draw(rng).map(Drawn::Affine),
            Self::Elastic(member) => member.draw(rng).map(Drawn::Elastic),
            Self::Crop(member) => member.draw(rng).map(Drawn::Crop),
            Self::Anisotropy(member) => member.draw(rng).map(Drawn::Anisotropy),
            Self::Mixup(member) => member.draw(rng).map(Drawn::Mixup),
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
    /// The polynomial's coefficients.
    BiasField(BiasFieldParams),
    /// The factor.
    Contrast(ContrastParams),
    /// The standard deviations.
    Blur(BlurParams),
    /// The resolution.
    LowResolution(LowResolutionParams),
    /// The amount.
    Sharpen(SharpenParams),
    /// Where the control points go.
    HistogramShift(HistogramShiftParams),
    /// The ghosts' number and intensity.
    Ghosting(GhostingParams),
    /// The spikes' places and height.
    Spike(SpikeParams),
    /// The movements.
    Motion(MotionParams),
    /// The boxes.
    Cutout(CutoutParams),
    /// Angles, factors and distances.
    Affine(AffineParams),
    /// The control points' displacements.
    Elastic(ElasticParams),
    /// The window.
    Crop(CropParams),
    /// The axis and the factor.
    Anisotropy(AnisotropyParams),
    /// The sample's own share.
    Mixup(MixupParams),
}

impl Drawn {
    /// Changes `sample`. The shape stays as it is, but for a crop.
    pub fn apply(&self, sample: &mut Sample) {
        match self {
            Self::Flip(_) | Self::Shift(_) | Self::Affine(_) | Self::Elastic(_) | Self::Crop(_) => {
                apply(std::slice::from_ref(self), sample);
            }
            Self::Gamma(params) => params.apply(sample),
            Self::Noise(params) => params.apply(sample),
            Self::Brightness(params) => params.apply(sample),
            Self::BiasField(params) => params.apply(sample),
            Self::Contrast(params) => params.apply(sample),
            Self::Blur(params) => params.apply(sample),
            Self::LowResolution(params) => params.apply(sample),
            Self::Sharpen(params) => params.apply(sample),
            Self::HistogramShift(params) => params.apply(sample),
            Self::Ghosting(params) => params.apply(sample),
            Self::Spike(params) => params.apply(sample),
            Self::Motion(params) => params.apply(sample),
            Self::Cutout(params) => params.apply(sample),
            Self::Anisotropy(params) => params.apply(sample),
            // A sample alone has nothing to be mixed with: see `mix_batch`.
            Self::Mixup(_) => {}
        }
    }

    /// What moves voxels, if this does.
    fn spatial(&self) -> Option<&dyn Spatial> {
        match self {
            Self::Flip(params) => Some(params),
            Self::Shift(params) => Some(params),
            Self::Affine(params) => Some(params),
            Self::Elastic(params) => Some(params),
            Self::Crop(params) => Some(params),
            _ => None,
        }
    }
}

/// Changes `sample` by all of `drawn`: first what moves voxels, as one resampling composed in the order
/// given, then what changes intensities, in the order given (see the module's conventions). A
/// [`CropParams`] at the end limits the work to its own voxels.
pub fn apply(drawn: &[Drawn], sample: &mut Sample) {
    spatial::resample(drawn.iter().filter_map(Drawn::spatial), sample);
    for drawn in drawn.iter().filter(|drawn| drawn.spatial().is_none()) {
        drawn.apply(sample);
    }
}

/// Transforms in the order in which they are drawn and, apart from the spatial ones that come first,
/// applied.
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
    /// Draws the parameters of whatever is to be applied ([`apply`]) to the sample of `case` in
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
