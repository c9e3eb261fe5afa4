//! A 2-D U-Net, slice by slice.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{Activation, Norm, Upsampling};
use super::init::Scheme;
use super::nnunet::{Nnunet, NnunetNet};
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// nnU-Net's plain network in two dimensions. A volume's slices go through it each on its own, as if they
/// were a batch: normalisation, too, sees one slice at a time (with `norm: batch` all of them). For data
/// of thick slices, or as a baseline of what the third dimension is worth.
///
/// Reference: Isensee et al., nnU-Net, Nature Methods 2021; followed: dynamic_network_architectures
/// 0.4.4, PlainConvUNet in two dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unet2d {
    /// Which slices: the axis that they are stacked along.
    pub plane: Plane,
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Resolutions, the input's own included.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Normalisation.
    pub norm: Norm,
    /// Activation.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each of them.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
}

/// Slices of a volume whose axes run from left to right, from back to front and upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// Stacked from left to right.
    Sagittal,
    /// Stacked from back to front.
    Coronal,
    /// Stacked upwards.
    #[default]
    Axial,
}

impl Default for Unet2d {
    fn default() -> Self {
        Self {
            plane: Plane::Axial,
            filters: 32,
            levels: 6,
            norm: Norm::Instance,
            activation: Activation::LeakyRelu,
            dropout: 0.0,
        }
    }
}

impl Unet2d {
    fn slices(&self) -> Nnunet {
        Nnunet {
            filters: self.filters,
            levels: self.levels,
            deep_supervision: false,
            norm: self.norm,
            activation: self.activation,
            dropout: self.dropout,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl Architecture for Unet2d {
    type Network<B: Backend> = Unet2dNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> Unet2dNet<B> {
        Unet2dNet {
            slices: self.slices().along([false, true, true], ends, device),
            axis: match self.plane {
                Plane::Sagittal => 0,
                Plane::Coronal => 1,
                Plane::Axial => 2,
            },
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.slices().rules()
    }
}

/// The network that [`Unet2d`] describes.
#[derive(Module, Debug)]
pub struct Unet2dNet<B: Backend> {
    slices: NnunetNet<B>,
    #[module(skip)]
    axis: usize,
}

impl<B: Kernels> Segmentation<B> for Unet2dNet<B> {
    fn divisors(&self) -> [usize; 3] {
        let [_, within, _] = self.slices.divisors();
        let mut divisors = [within; 3];
        divisors[self.axis] = 1;
        divisors
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        // The slices' axis beside the batch, then both as one.
        let x = x.swap_dims(2, self.axis + 2).swap_dims(1, 2);
        let [batch, slices, channels, height, width] = x.dims();
        let x = x.reshape([batch * slices, channels, 1, height, width]);
        let logits = self.slices.forward(x);
        let structures = logits.dims()[1];
        logits
            .reshape([batch, slices, structures, height, width])
            .swap_dims(1, 2)
            .swap_dims(2, self.axis + 2)
    }
}
