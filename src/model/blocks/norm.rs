//! Normalisation.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{Kernels, ScaleShift};
use crate::settings::Fault;

/// Channels that share their statistics in [`Norm::Group`], and groups in [`Norm::EightGroups`].
const EIGHT: usize = 8;

/// How activations are normalised: over which voxels and channels mean and variance are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Each channel over the whole batch, with running statistics for prediction
    /// (Ioffe & Szegedy, 2015). Needs large batches.
    Batch,
    /// Each channel of each sample (Ulyanov et al., 2016).
    #[default]
    Instance,
    /// Each group of 8 channels of each sample (Wu & He, 2018); all channels together where these are not a
    /// multiple of 8, as at a network's end.
    Group,
    /// Each of 8 groups of channels of each sample (Myronenko, 2018), in the same way.
    EightGroups,
    /// Not at all; convolutions then have a bias.
    None,
}

impl Norm {
    /// A normalisation of `channels` channels.
    pub fn init<B: Backend>(self, channels: usize, device: &B::Device) -> Option<NormLayer<B>> {
        let whole = channels.is_multiple_of(EIGHT);
        let groups = match self {
            Self::Batch => {
                let norm = BatchNorm::new(channels, 1e-5, 0.1, device);
                return Some(NormLayer::Batch(norm));
            }
            Self::Instance => channels,
            Self::Group if whole => channels / EIGHT,
            Self::EightGroups if whole => EIGHT,
            Self::Group | Self::EightGroups => 1,
            Self::None => return None,
        };
        Some(NormLayer::Group(GroupNorm::new(channels, groups, device)))
    }

    /// What is wrong with this number of `filters` in the first level. All levels' channels are multiples of it.
    pub fn rules(self, filters: usize) -> Vec<Fault> {
        let grouped = matches!(self, Self::Group | Self::EightGroups);
        if grouped && !filters.is_multiple_of(EIGHT) {
            let message =
                format!("filters must be a multiple of {EIGHT} with norm: group or eight_groups");
            return vec![Fault::new("filters", message)];
        }
        Vec::new()
    }
}

/// A normalisation layer.
#[derive(Module, Debug)]
pub enum NormLayer<B: Backend> {
    /// Over the batch.
    Batch(BatchNorm<B>),
    /// Within each sample.
    Group(GroupNorm<B>),
}

impl<B: Kernels> NormLayer<B> {
    /// Normalises `x`, `[batch, channels, depth, height, width]`, then multiplies what is below 0 by
    /// `slope`: 0 is a ReLU, 1 nothing.
    pub fn forward(&self, x: Tensor<B, 5>, slope: f64) -> Tensor<B, 5> {
        match self {
            Self::Batch(norm) => norm.forward(x, slope),
            Self::Group(norm) => norm.forward(x, slope),
        }
    }
}

/// Normalises each channel over the batch in training, by running statistics otherwise.
///
/// Differs from PyTorch's in the running variance, which is of the batch as it is (divided by its
/// size), as in Keras; PyTorch divides by one less.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// Scale of each channel.
    pub weight: Param<Tensor<B, 1>>,
    /// Shift of each channel.
    pub bias: Param<Tensor<B, 1>>,
    /// Running mean of each channel.
    pub running_mean: RunningState<Tensor<B, 1>>,
    /// Running variance of each channel.
    pub running_var: RunningState<Tensor<B, 1>>,
    epsilon: f64,
    momentum: f64,
}

impl<B: Backend> BatchNorm<B> {
    /// A layer for `channels` channels. `epsilon` is added to variances, `momentum` is the weight
    /// of a new batch in the running statistics (1 minus Keras' momentum).
    pub fn new(channels: usize, epsilon: f64, momentum: f64, device: &B::Device) -> Self {
        // A running state keeps the id that it is made with. It has no gradient, so nothing looks
        // it up by its id, but a random one would make every checkpoint differ.
        let state = |value| RunningState::with_id(ParamId::from(0), value);
        Self {
            weight: Initializer::Ones.init([channels], device),
            bias: Initializer::Zeros.init([channels], device),
            running_mean: state(Tensor::zeros([channels], device)),
            running_var: state(Tensor::ones([channels], device)),
            epsilon,
            momentum,
        }
    }
}

impl<B: Kernels> BatchNorm<B> {
    /// As [`NormLayer::forward`]; on an autodiff backend by the batch's own statistics, which then
    /// join the running ones.
    pub fn forward(&self, x: Tensor<B, 5>, slope: f64) -> Tensor<B, 5> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if B::ad_enabled(&x.device()) {
            let scale_shift = ScaleShift {
                weight,
                bias,
                epsilon: self.epsilon,
                slope,
            };
            let normed = B::batch_norm(x, scale_shift);
            self.update(&self.running_mean, normed.mean);
            self.update(&self.running_var, normed.variance);
            return normed.output;
        }
        let scale = weight / (self.running_var.value() + self.epsilon).sqrt();
        let shift = bias - self.running_mean.value() * scale.clone();
        B::scale_and_shift(x, scale, shift, slope)
    }

    fn update(&self, running: &RunningState<Tensor<B, 1>>, batch: Tensor<B, 1>) {
        let old = running.value_sync();
        running.update(old.clone() + (batch - old) * self.momentum);
    }
}

/// Normalises groups of channels within each sample; with as many groups as channels this is
/// instance normalisation.
#[derive(Module, Debug)]
pub struct GroupNorm<B: Backend> {
    /// Scale of each channel.
    pub weight: Param<Tensor<B, 1>>,
    /// Shift of each channel.
    pub bias: Param<Tensor<B, 1>>,
    groups: usize,
}

impl<B: Backend> GroupNorm<B> {
    /// A layer for `channels` channels in `groups` groups of equal size.
    pub fn new(channels: usize, groups: usize, device: &B::Device) -> Self {
        Self {
            weight: Initializer::Ones.init([channels], device),
            bias: Initializer::Zeros.init([channels], device),
            groups,
        }
    }
}

impl<B: Kernels> GroupNorm<B> {
    /// As [`NormLayer::forward`].
    pub fn forward(&self, x: Tensor<B, 5>, slope: f64) -> Tensor<B, 5> {
        let scale_shift = ScaleShift {
            weight: self.weight.val(),
            bias: self.bias.val(),
            epsilon: 1e-5,
            slope,
        };
        B::group_norm(x, self.groups, scale_shift)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::module::AutodiffModule;
    use burn::tensor::Distribution;

    use super::*;

    type Device = burn::tensor::Device<Flex>;
    type Ad = Autodiff<Flex>;

    fn moments<B: Backend>(x: Tensor<B, 5>) -> (f32, f32) {
        let values: Vec<f32> = x.into_data().to_vec().unwrap();
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        (
            mean,
            values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n,
        )
    }

    /// Every channel of every sample has its own mean and spread.
    fn uneven<B: Backend>(device: &B::Device) -> Tensor<B, 5> {
        let x = Tensor::random([2, 16, 4, 4, 4], Distribution::Normal(0.0, 1.0), device);
        let level = Tensor::<B, 1, burn::tensor::Int>::arange(1..33, device)
            .float()
            .reshape([2, 16, 1, 1, 1]);
        x * level.clone() + level * 10.0
    }

    fn assert_standard<B: Backend>(x: Tensor<B, 5>) {
        let (mean, variance) = moments(x);
        assert!(mean.abs() < 1e-4, "mean {mean}");
        assert!((variance - 1.0).abs() < 1e-3, "variance {variance}");
    }

    #[test]
    fn each_norm_standardises_over_its_own_region() {
        let device = Device::default();
        let x = uneven::<Ad>(&device);
        let layer = |norm: Norm| {
            let layer = norm.init::<Ad>(16, &device).unwrap();
            layer.forward(x.clone(), 1.0)
        };
        for channel in 0..16 {
            assert_standard(layer(Norm::Batch).narrow(1, channel, 1));
            assert_standard(layer(Norm::Instance).narrow(1, channel, 1).narrow(0, 1, 1));
        }
        assert_standard(layer(Norm::Group).narrow(0, 1, 1).narrow(1, 8, 8));
        let (mean, _) = moments(layer(Norm::Group).narrow(0, 1, 1).narrow(1, 8, 1));
        assert!(mean.abs() > 0.1, "a group is normalised as a whole");
        assert_standard(layer(Norm::EightGroups).narrow(0, 0, 1).narrow(1, 0, 2));
        let (mean, _) = moments(layer(Norm::EightGroups).narrow(0, 0, 1).narrow(1, 0, 1));
        assert!(mean.abs() > 0.1, "a group is normalised as a whole");
        assert!(Norm::None.init::<Ad>(16, &device).is_none());
    }

    #[test]
    fn channels_that_make_no_groups_of_eight_are_one_group() {
        let device = Device::default();
        let x = uneven::<Ad>(&device).narrow(1, 0, 3);
        for norm in [Norm::Group, Norm::EightGroups] {
            let normed = norm.init::<Ad>(3, &device).unwrap().forward(x.clone(), 1.0);
            assert_standard(normed.narrow(0, 1, 1));
        }
    }

    #[test]
    fn prediction_uses_the_running_statistics_of_training() {
        let device = Device::default();
        let norm = BatchNorm::<Ad>::new(16, 1e-5, 0.5, &device);
        let x = uneven::<Ad>(&device);
        for _ in 0..30 {
            norm.forward(x.clone(), 1.0);
        }
        let trained = norm.forward(x.clone(), 1.0).inner();
        let predicted = norm.valid().forward(x.inner(), 1.0);
        let difference: f32 = (trained - predicted).abs().max().into_scalar();
        assert!(difference < 1e-3, "difference {difference}");
    }
}
