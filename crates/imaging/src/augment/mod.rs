//! Augmentation: random changes to training samples. One file per transform.
//!
//! Sampling is apart from applying: a [`Transform`] first draws whether it acts and its parameters, plain data
//! that can be logged and replayed ([`DrawnOn`]), and those are then applied to a [`Sample`]. What is drawn
//! depends on the seed, the epoch, the case and the transform's place in the list alone, and for the images of a
//! case after the first on their places too.
//!
//! [`apply`] does a list at once: first whatever moves voxels ([`Flip`], [`Shift`], [`Affine`],
//! [`Elastic`], [`Crop`]), composed in the list's order into ONE resampling of all images and the mask, then
//! whatever changes intensities, in the list's order.
//!
//! - The anatomy moves on a grid that stays where it is in the world: a flip or a rotation leaves
//!   [`Sample::affine`] as it is. A crop moves the grid's origin to its first voxel's place, and
//!   later transforms turn about the middle of what was cropped.
//! - What one of them moves off the grid is not lost to those after it.
//! - Outside the grid lies air, an image's lowest value (also after a z-score), and background. Images are
//!   interpolated linearly, from an edge voxel to air over one voxel. A mask is interpolated in the same way and is
//!   1 from 0.5 on, which keeps volumes and smooth outlines better than the nearest voxel does. So do maps of several
//!   classes: each class is interpolated on its own, and the one with the largest part of the position wins; of
//!   equal parts that of the higher class. Voxels that are ignored are a class like others.
//! - Where everything moves by whole voxels, values are copied and nothing is blurred.
//! - Lengths are in mm and angles in degrees, along and about the grid's own axes.
//! - Whether a transform acts is drawn once for a sample. Then, as nnU-Net 2.8 and TorchIO 2 do it, either all images
//!   get the same parameters, or each gets its own ([`Sharing`]; each transform says which). `channels` beside a
//!   transform's name limits it to some images.

#[macro_use]
mod drawn;
mod intensities;
mod kspace;
mod list;
mod math;
#[cfg(test)]
mod one_image;
mod per_axis;
#[cfg(test)]
mod pieces;
mod ranges;
mod rigid;
#[cfg(test)]
mod several_images;
mod sharing;
mod spatial;
mod summary;
mod swap;

use std::sync::Arc;

use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::channels::Selective;
use crate::settings::{Fault, within};
use crate::volume::{self, Grid, Structures};
use spatial::Spatial;

pub use drawn::{DrawnOn, apply, apply_to_piece, reach};
pub use list::Augmentations;
pub(crate) use noise::normals;
pub use per_axis::PerAxis;
pub use sharing::Sharing;

/// Images of a case with its class map, all indexed `[x, y, z]`, x from left to right, y from back to front and
/// z upwards (RAS).
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The intensities of each image: at least one, all of one shape.
    pub images: Vec<Array3<f32>>,
    /// The class of each voxel ([`Structures`]), of the same shape; for a mask 0 or 1.
    pub mask: Array3<u8>,
    /// What the classes stand for.
    pub structures: Arc<Structures>,
    /// Voxel index to world position in mm.
    pub affine: volume::Affine,
}

impl Sample {
    /// One image with a mask of 0 and 1.
    pub fn of_mask(image: Array3<f32>, mask: Array3<u8>, affine: volume::Affine) -> Self {
        Self {
            images: vec![image],
            mask,
            structures: Arc::default(),
            affine,
        }
    }

    /// Number of voxels along the three axes.
    pub fn shape(&self) -> [usize; 3] {
        let (x, y, z) = self.mask.dim();
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

/// A part of a sample, with what must be known of the rest.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The part.
    pub sample: Sample,
    /// The part's first voxel.
    pub start: [usize; 3],
    /// The grid of the whole.
    pub grid: Grid,
    /// The lowest value of each whole image.
    pub lowest: Vec<f32>,
}

/// What every transform does: the contract of a member of [`Transform`].
pub trait Augmentation {
    /// What is drawn: plain data that can be stored and applied again.
    type Params: Change + Clone;

    /// How likely it acts on a sample, from 0 to 1; `None` if that is not drawn ahead of the parameters.
    fn probability(&self) -> Option<f64>;

    /// Draws the parameters for all images, or for the first one; `None` leaves the sample as it is.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Self::Params>;

    /// How the images of a sample come by their parameters.
    fn sharing(&self) -> Sharing {
        Sharing::Alike
    }

    /// Draws the parameters for an image after the first, which got `first`, where images do not share them.
    fn draw_further(&self, _first: &Self::Params, rng: &mut ChaCha8Rng) -> Option<Self::Params> {
        self.draw(rng)
    }

    /// Whether samples are all of one shape afterwards, whatever theirs was before.
    fn fixes_shape(&self) -> bool {
        false
    }

    /// Whether it mixes the samples of a batch, and so needs several.
    fn mixes_batch(&self) -> bool {
        false
    }

    /// The reason why it cannot be limited to some images, if there is one. It ends a sentence that begins with its name.
    fn concerns_all(&self) -> Option<&'static str> {
        None
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// What is wrong with it where `structures` are to be found.
    fn check(&self, _structures: &Structures) -> Vec<Fault> {
        Vec::new()
    }

    /// What is doubtful about it where `structures` are to be found, in sentences.
    fn notes(&self, _structures: &Structures) -> Vec<String> {
        Vec::new()
    }
}

/// That a transform moves voxels, where that is why it is for all images.
const MOVES_ALL: &str = "moves all images alike";

/// What drawn parameters do to a sample: change the intensities of images, or move the voxels of all.
pub trait Change {
    /// Changes the intensities of `image`, whose voxels are `spacing` mm apart along each axis.
    fn apply(&self, _image: &mut Array3<f32>, _spacing: [f64; 3]) {}

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

    /// How the images of a sample come by their parameters.
    pub fn sharing(&self) -> Sharing {
        with_member!(self, transform => transform.sharing())
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        within(
            self.name(),
            with_member!(self, transform => transform.check(structures)),
        )
    }

    fn notes(&self, structures: &Structures) -> Vec<String> {
        with_member!(self, transform => transform.notes(structures))
    }
}

impl Selective for Transform {
    fn name(&self) -> &'static str {
        Self::name(self)
    }

    fn defaults() -> Vec<Self> {
        Self::defaults()
    }

    fn rules(&self) -> Vec<Fault> {
        Self::rules(self)
    }

    fn concerns_all(&self) -> Option<&'static str> {
        with_member!(self, transform => transform.concerns_all())
    }
}

for_members!(drawn!);

/// True with probability `p`.
fn chance(p: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() < p
}

/// A number drawn uniformly from `low` to `high`.
fn uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}
