//! The enum of networks that goes with the enum of architectures.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use crate::kernel::{Kernels, pad};

/// Depth, height and width.
pub(super) fn size<B: Backend>(x: &Tensor<B, 5>) -> [usize; 3] {
    let [_, _, depth, height, width] = x.dims();
    [depth, height, width]
}

/// `x` with zeros at the far end of each axis, up to a multiple of its divisor.
pub(super) fn enlarge<B: Backend>(x: Tensor<B, 5>, divisors: [usize; 3]) -> Tensor<B, 5> {
    let size = size(&x);
    let missing = |axis: usize| size[axis].next_multiple_of(divisors[axis]) - size[axis];
    let missing = [0, 1, 2].map(missing);
    if missing == [0; 3] {
        return x;
    }
    pad(x, missing.map(|after| (0, after)))
}

/// Logits, in single precision, of the first `wanted` voxels of each axis.
pub(super) fn cut<B: Kernels>(mut x: Tensor<B, 5>, wanted: [usize; 3]) -> Tensor<B, 5> {
    for (axis, length) in wanted.into_iter().enumerate() {
        if x.dims()[axis + 2] > length {
            x = x.narrow(axis + 2, 0, length);
        }
    }
    B::cast(x, DType::F32)
}

/// Declares `Network`, one variant for each member of `Model`, and what is the same for all.
macro_rules! networks {
    ($($member:ident,)+) => {
        /// A network with weights.
        #[derive(Module, Debug)]
        pub enum Network<B: Backend> {
            $(
                #[doc = concat!("The network of [`", stringify!($member), "`].")]
                $member(<$member as Architecture>::Network<B>),
            )+
        }

        impl Model {
            /// The network for the numbers of images and structures in `ends`, with its initial weights, which
            /// depend on `seed` alone.
            pub fn init_for<B: Backend>(&self, ends: Channels, seed: u64, device: &B::Device) -> Network<B> {
                match self {
                    $(Self::$member(model) => Network::$member(initialize(
                        model.build(ends, device),
                        seed,
                        <$member as Architecture>::SCHEME,
                    )),)+
                }
            }

            /// As [`Self::init_for`], with weights of 0 in the place of drawn ones: others are to be loaded.
            pub fn blank_for<B: Backend>(&self, ends: Channels, device: &B::Device) -> Network<B> {
                match self {
                    $(Self::$member(model) => Network::$member(initialize(
                        model.build(ends, device),
                        0,
                        Scheme::Zero,
                    )),)+
                }
            }
        }

        impl<B: Kernels> Network<B> {
            /// Logits of images; the sigmoid of a logit is the probability of the structure.
            ///
            /// On an autodiff backend the network trains: dropout drops, and batch normalisation uses the
            /// batch's statistics.
            ///
            /// Images of a size that the network cannot halve often enough are enlarged with zeros
            /// at the far end of each axis; what becomes of these is cut off again.
            ///
            /// The network computes in the type of its images; logits are in single precision.
            ///
            /// # Shapes
            ///
            /// - input: `[batch, images, depth, height, width]`
            /// - output: `[batch, structures, depth, height, width]`
            pub fn forward(&self, images: Tensor<B, 5>) -> Tensor<B, 5> {
                let size = size(&images);
                let logits = match self {
                    $(Self::$member(network) => network.forward(enlarge(images, network.divisors())),)+
                };
                cut(logits, size)
            }

            /// Logits of several resolutions, for deep supervision: the images' own first, then halves
            /// of the one before, rounded up; only the first where the network is not supervised in
            /// depth.
            pub fn forward_deep(&self, images: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
                let given = size(&images);
                let outputs = match self {
                    $(Self::$member(network) => network.forward_deep(enlarge(images, network.divisors())),)+
                };
                let Some(enlarged) = outputs.first().map(size) else {
                    return outputs;
                };
                let cut_in_proportion = |output: Tensor<B, 5>| {
                    let size = size(&output);
                    let own = [0, 1, 2].map(|axis| given[axis].div_ceil(enlarged[axis] / size[axis]));
                    cut(output, own)
                };
                outputs.into_iter().map(cut_in_proportion).collect()
            }
        }
    };
}
