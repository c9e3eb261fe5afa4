//! Augmentation: random changes to training samples. One file per transform.
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

mod gaussian;
mod intensities;
mod kspace;
mod math;
mod per_axis;
mod ranges;
mod rigid;
mod spatial;
mod summary;

use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random;
use crate::settings::{Fault, within};
use crate::volume::{self, Grid};
use spatial::Spatial;

pub use per_axis::PerAxis;

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

/// What every transform does: the contract of a member of [`Transform`].
pub trait Augmentation {
    /// What is drawn for one sample: plain data that can be stored and applied again.
    type Params: Change;

    /// Draws the parameters for one sample; `None` leaves the sample as it is.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Self::Params>;

    /// Whether samples are all of one shape afterwards, whatever theirs was before.
    fn fixes_shape(&self) -> bool {
        false
    }

    /// Whether it mixes the samples of a batch, and so needs several.
    fn mixes_batch(&self) -> bool {
        false
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

/// What drawn parameters do to a sample: change its intensities, or move its voxels.
pub trait Change {
    /// Changes the intensities of `sample`.
    fn apply(&self, _sample: &mut Sample) {}

    /// The movement of voxels, if it is one; all of these are applied at once, as one resampling.
    fn spatial(&self) -> Option<&dyn Spatial> {
        None
    }
}

crate::family! {
    /// A random change to a training sample.
    pub enum Transform: Augmentation, listed as "augmentations" {
        /// Mirrors image and mask.
        "flip" => flip::Flip,
        /// Bends the intensities.
        "gamma" => gamma::Gamma,
        /// Adds noise to the image.
        "noise" => noise::Noise,
        /// Moves image and mask.
        "shift" => shift::Shift,
        /// Multiplies the image by a factor.
        "brightness" => brightness::Brightness,
        /// Multiplies the signal by a smooth field.
        "bias_field" => bias_field::BiasField,
        /// Scales the image about its mean.
        "contrast" => contrast::Contrast,
        /// Blurs the image.
        "blur" => blur::Blur,
        /// Makes the image as coarse as one of larger voxels.
        "low_resolution" => low_resolution::LowResolution,
        /// Sharpens the image's edges.
        "sharpen" => sharpen::Sharpen,
        /// Bends the histogram at random points.
        "histogram_shift" => histogram_shift::HistogramShift,
        /// Adds ghosts along the phase-encoding axis.
        "ghosting" => ghosting::Ghosting,
        /// Adds stripes, as from spikes in k-space.
        "spike" => spike::Spike,
        /// Makes the head move during the scan.
        "motion" => motion::Motion,
        /// Fills boxes of the image.
        "cutout" => cutout::Cutout,
        /// Turns, scales, shears and moves image and mask.
        "affine" => affine::Affine,
        /// Bends image and mask.
        "elastic" => elastic::Elastic,
        /// Cuts a window of fixed size out of image and mask.
        "crop" => crop::Crop,
        /// Makes the image as coarse along one axis as thick slices are.
        "anisotropy" => anisotropy::Anisotropy,
        /// Mixes a sample with the next one of its batch.
        "mixup" => mixup::Mixup,
    }
}

impl Transform {
    /// Whether samples are all of one shape afterwards, whatever theirs was before.
    pub fn fixes_shape(&self) -> bool {
        with_member!(self, transform => transform.fixes_shape())
    }

    /// Whether it mixes the samples of a batch, and so needs several.
    pub fn mixes_batch(&self) -> bool {
        with_member!(self, transform => transform.mixes_batch())
    }
}

/// Declares [`Drawn`], and how each member of [`Transform`] becomes one.
macro_rules! drawn {
    ($($member:ident,)+) => {
        /// What a transform has drawn for one sample.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Drawn {
            $(
                #[doc = concat!("What [`", stringify!($member), "`] draws.")]
                $member(<$member as Augmentation>::Params),
            )+
        }

        impl Transform {
            /// Draws the parameters for one sample; `None` leaves the sample as it is.
            pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Drawn> {
                match self { $(Self::$member(transform) => transform.draw(rng).map(Drawn::$member),)+ }
            }
        }

        impl Drawn {
            fn change(&self) -> &dyn Change {
                match self { $(Self::$member(params) => params,)+ }
            }
        }
    };
}

for_members!(drawn!);

impl Drawn {
    /// Changes `sample`. The shape stays as it is, but for a crop.
    pub fn apply(&self, sample: &mut Sample) {
        match self.spatial() {
            Some(_) => apply(std::slice::from_ref(self), sample),
            None => self.change().apply(sample),
        }
    }

    /// What moves voxels, if this does.
    fn spatial(&self) -> Option<&dyn Spatial> {
        self.change().spatial()
    }
}

/// Changes `sample` by all of `drawn`: first what moves voxels, as one resampling composed in the order
/// given, then what changes intensities, in the order given (see the module's conventions). A
/// [`CropParams`] at the end limits the work to its own voxels.
pub fn apply(drawn: &[Drawn], sample: &mut Sample) {
    spatial::resample(drawn.iter().filter_map(Drawn::spatial), sample);
    for drawn in drawn.iter().filter(|drawn| drawn.spatial().is_none()) {
        drawn.change().apply(sample);
    }
}

/// Transforms in the order in which they are drawn and, apart from the spatial ones that come first,
/// applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Augmentations(pub Vec<Transform>);

impl Augmentations {
    /// What is wrong with the transforms that the ranges of their fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        let transforms = self.0.iter().enumerate();
        transforms
            .flat_map(|(index, transform)| within(&index.to_string(), transform.rules()))
            .collect()
    }

    /// Draws the parameters of whatever is to be applied ([`apply`]) to the sample of `case` in
    /// `epoch`. `draw_index` distinguishes the samples of one case in an epoch.
    ///
    /// ```
    /// use calvaria_imaging::augment::Augmentations;
    /// let augment: Augmentations = serde_yaml::from_str("[flip, {shift: {max: 8.0}}]")?;
    /// let drawn = augment.draw(42, 3, "sub-01", 0);
    /// assert_eq!(drawn, augment.draw(42, 3, "sub-01", 0));
    /// # Ok::<(), serde_yaml::Error>(())
    /// ```
    pub fn draw(&self, seed: u64, epoch: u64, case: &str, draw_index: u64) -> Vec<Drawn> {
        let stream = |index, name| {
            let purpose = ["augment", case, name];
            random::stream(seed, &purpose, &[epoch, draw_index, index])
        };
        (0..)
            .zip(&self.0)
            .filter_map(|(index, transform)| transform.draw(&mut stream(index, transform.name())))
            .collect()
    }
}

/// True with probability `p`.
fn chance(p: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < p
}

/// A number drawn uniformly from `low` to `high`.
fn uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}
