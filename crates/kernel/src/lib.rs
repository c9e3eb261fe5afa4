//! The operations that a 3-D U-Net is made of, and those of losses and scores of many classes, as an extension of Burn's
//! backends.
//!
//! The networks use these and no others of Burn's layers. On the CPU (`Flex`) they are our own, with
//! hand-written gradients (`Autodiff<Flex>`); on a GPU they are made of Burn's operations.

mod adam;
mod autodiff;
mod cast;
mod checkpointing;
mod concat_channels;
mod conv3d;
mod conv_transpose3d;
mod crop;
mod dropout;
mod flex;
mod gpu;
#[cfg(all(unix, any(feature = "cuda", feature = "vulkan")))]
mod leave;
mod memory;
mod normalise;
mod parallel;
mod pool;
mod precision;
pub mod reference;
mod shared;
mod softmax;
mod tape;
mod upsample;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Tensor};

pub use checkpointing::with_checkpointing;
pub use gpu::Gpu;
#[cfg(all(unix, any(feature = "cuda", feature = "vulkan")))]
pub use leave::leave;
pub use memory::keep_memory;
pub use precision::Precision;
pub use reference::{activate, pad};

/// The instructions with which the CPU's convolutions are computed: `avx512`, `avx2` or `portable`.
pub fn instruction_set() -> &'static str {
    conv3d::instruction_set()
}

/// A backend with the operations of a 3-D U-Net. All defaults are made of Burn's operations.
///
/// Outputs are of the type of `x`, and so are weights of convolutions; what normalisations use besides is f32.
///
/// Tensors are `[batch, channels, depth, height, width]`, a convolution's weights `[out_channels,
/// in_channels, depth, height, width]`, a transposed one's `[in_channels, out_channels, …]`.
pub trait Kernels: Backend {
    /// `x` in another type, rounded to the nearest.
    fn cast<const D: usize>(x: Tensor<Self, D>, dtype: DType) -> Tensor<Self, D> {
        x.cast(dtype)
    }

    /// The weights and the running means of gradients and of their squares, in this order, after a step of Adam.
    fn adam<const D: usize>(
        state: [Tensor<Self, D>; 3],
        gradient: Tensor<Self, D>,
        step: &AdamStep,
    ) -> [Tensor<Self, D>; 3] {
        reference::adam(state, gradient, step)
    }

    /// Convolution.
    fn conv3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvOptions<3>,
    ) -> Tensor<Self, 5> {
        reference::conv3d(x, weight, bias, options)
    }

    /// Convolution of the channels of two tensors of one size, as if they were joined: [`Self::concat_channels`].
    fn conv3d_joined(
        x: [Tensor<Self, 5>; 2],
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvOptions<3>,
    ) -> Tensor<Self, 5> {
        let [first, second] = x;
        let joined = Self::concat_channels(first, second);
        <Self as Kernels>::conv3d(joined, weight, bias, options)
    }

    /// Transposed convolution.
    fn conv_transpose3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvTransposeOptions<3>,
    ) -> Tensor<Self, 5> {
        reference::conv_transpose3d(x, weight, bias, options)
    }

    /// GELU by the error function (Hendrycks and Gimpel 2016), not an approximation of it.
    fn gelu(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        reference::gelu(x)
    }

    /// The channels of `first`, then those of `second`.
    fn concat_channels(first: Tensor<Self, 5>, second: Tensor<Self, 5>) -> Tensor<Self, 5> {
        Tensor::cat(vec![first, second], 1)
    }

    /// The first `size` planes, rows and columns, then the activation with this slope below 0.
    fn crop_and_activate(x: Tensor<Self, 5>, size: [usize; 3], slope: f64) -> Tensor<Self, 5> {
        reference::crop_and_activate(x, size, slope)
    }

    /// Sets what this thread's [`Self::dropout`] draws from.
    fn seed_dropout(device: &Self::Device, seed: u64) {
        Self::seed(device, seed);
    }

    /// Sets values to 0, each with this probability below 1, and multiplies the others so that their mean stays.
    fn dropout(x: Tensor<Self, 5>, probability: f64) -> Tensor<Self, 5> {
        reference::dropout(x, probability)
    }

    /// [`Self::dropout`] of the channels of two tensors of one size, as if they were joined.
    fn dropout_joined(x: [Tensor<Self, 5>; 2], probability: f64) -> [Tensor<Self, 5>; 2] {
        x.map(|x| Self::dropout(x, probability))
    }

    /// The largest value of each block of 2x2x2 voxels; an odd last plane is dropped. Of several
    /// largest values of a block, one gets the gradient.
    fn max_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        reference::max_pool3d(x)
    }

    /// The mean of each block of 2x2x2 voxels; an odd last plane is dropped.
    fn avg_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        reference::avg_pool3d(x)
    }

    /// Doubles each axis by linear interpolation between voxel centres; beyond the outermost centres
    /// the outermost value holds (PyTorch's `trilinear` with `align_corners=False`).
    fn upsample_trilinear(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        reference::upsample_trilinear(x)
    }

    /// Group normalisation (instance normalisation with as many groups as channels), then the
    /// activation.
    fn group_norm(
        x: Tensor<Self, 5>,
        groups: usize,
        scale_shift: ScaleShift<Self>,
    ) -> Tensor<Self, 5> {
        reference::group_norm(x, groups, scale_shift)
    }

    /// Batch normalisation by the batch's own statistics, then the activation. Also returns each
    /// channel's mean and variance, which have no gradient.
    fn batch_norm(x: Tensor<Self, 5>, scale_shift: ScaleShift<Self>) -> BatchNormed<Self> {
        reference::batch_norm(x, scale_shift)
    }

    /// Each channel times `scale` plus `shift`, then the activation: normalisation by statistics that
    /// are given.
    fn scale_and_shift(
        x: Tensor<Self, 5>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        slope: f64,
    ) -> Tensor<Self, 5> {
        reference::scale_and_shift(x, scale, shift, slope)
    }

    /// Sums over the voxels of each class of each sample, `p` the softmax of the logits: of `p` in the class's own
    /// voxels, of `p` (of `p^2` if `squared`), and the number of its voxels. Voxels that are ignored are in none. There
    /// is a gradient with respect to the logits. In single precision.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch, channels, depth, height, width]`
    /// - classes: `[batch, 1, depth, height, width]`, the number of each voxel's channel, or [`IGNORED_CLASS`]
    /// - output: `[3, batch, channels]`
    fn softmax_overlap(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        squared: bool,
    ) -> Tensor<Self, 3> {
        reference::softmax_overlap(logits, classes, squared)
    }

    /// The cross-entropy of each voxel, as `entropy` says; 0 where it is ignored. There is a gradient with respect to
    /// the logits. In single precision.
    ///
    /// # Shapes
    ///
    /// - logits, classes: as of [`Self::softmax_overlap`]
    /// - output: `[batch, 1, depth, height, width]`
    fn softmax_entropy(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        entropy: &Entropy,
    ) -> Tensor<Self, 5> {
        reference::softmax_entropy(logits, classes, entropy)
    }

    /// How each class but the background (channel 0) overlaps in each sample, `p` the softmax of the logits and the
    /// prediction the class of the largest, of equal ones the first: the sum of `p` in the class's own voxels, the sum
    /// of `p`, the voxels that are both predicted and true, those that are predicted, and those that are true. Voxels
    /// that are ignored are in none. There is no gradient. In single precision.
    ///
    /// # Shapes
    ///
    /// - logits, classes: as of [`Self::softmax_overlap`]
    /// - output: `[batch, channels - 1, 5]`
    fn softmax_counts(logits: Tensor<Self, 5>, classes: Tensor<Self, 5>) -> Tensor<Self, 3> {
        reference::softmax_counts(logits, classes)
    }
}

/// A step of Adam (Kingma and Ba, 2015).
#[derive(Clone, Debug)]
pub struct AdamStep {
    /// The decays of the running means of gradients and of their squares.
    pub betas: [f32; 2],
    /// Added to the root of the mean of squares.
    pub epsilon: f32,
    /// The learning rate.
    pub rate: f64,
    /// Which step it is, the first one 1.
    pub time: i32,
}

impl AdamStep {
    /// What the mean of gradients is multiplied by, and what is added to the root of the mean of squares, so that both
    /// means count as those of as many steps as were made.
    pub fn correction(&self) -> [f32; 2] {
        let [first, second] = self.betas.map(|beta| 1.0 - beta.powi(self.time));
        let root = second.sqrt();
        [root / first, self.epsilon * root]
    }
}

/// What a class map has in place of a class where a voxel counts for nothing.
pub const IGNORED_CLASS: u8 = 255;

/// The cross-entropy of a voxel over classes that exclude each other: the sum over the classes of
/// `-w y (1 - p)^gamma log p`, `p` the softmax of the logits and `y` 1 for the voxel's own class and 0 for others, less
/// the part that is shared among all.
#[derive(Clone, Debug, Default)]
pub struct Entropy {
    /// `w` of each class, the background first; none for 1.
    pub class_weights: Option<Vec<f64>>,
    /// The part of each target that is taken away and shared among all classes.
    pub label_smoothing: f64,
    /// How little a class counts that is already right; 0 for plain cross-entropy.
    pub gamma: f64,
}

impl Entropy {
    /// A class's weight.
    pub fn weight(&self, class: usize) -> f64 {
        let of_class = |weights: &Vec<f64>| weights.get(class).copied();
        self.class_weights
            .as_ref()
            .and_then(of_class)
            .unwrap_or(1.0)
    }
}

/// What follows a normalisation: a scale and a shift of each channel, then an activation.
#[derive(Clone, Debug)]
pub struct ScaleShift<B: Backend> {
    /// Scale of each channel.
    pub weight: Tensor<B, 1>,
    /// Shift of each channel.
    pub bias: Tensor<B, 1>,
    /// Added to variances.
    pub epsilon: f64,
    /// The activation's slope below 0: 0 for ReLU, 1 for none.
    pub slope: f64,
}

/// What batch normalisation gives.
#[derive(Clone, Debug)]
pub struct BatchNormed<B: Backend> {
    /// The normalised and activated tensor.
    pub output: Tensor<B, 5>,
    /// Mean of each channel.
    pub mean: Tensor<B, 1>,
    /// Variance of each channel (divided by the number of values).
    pub variance: Tensor<B, 1>,
}

/// A backend to train on: with gradients, and with these operations both with and without them.
pub trait TrainingBackend: AutodiffBackend<InnerBackend: Kernels> + Kernels {}

impl<B: AutodiffBackend<InnerBackend: Kernels> + Kernels> TrainingBackend for B {}

/// The largest value of each block of 2x2x2 voxels: [`Kernels::max_pool3d`].
pub fn max_pool3d<B: Kernels>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    B::max_pool3d(x)
}

/// Twice the size along each axis: [`Kernels::upsample_trilinear`].
pub fn upsample_trilinear<B: Kernels>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    B::upsample_trilinear(x)
}
