//! Which channels count, and how much.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::Target;
use crate::settings::Fault;
use crate::volume::Structures;

/// Which channels of logits count, and how much each does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counting<'a> {
    /// Whether the background does, where it is a class among others.
    pub background: bool,
    /// A weight for each channel that counts.
    pub weights: Option<&'a [f64]>,
}

impl<'a> Counting<'a> {
    /// The channels that count of `x`, whose second axis has all.
    pub fn channels<B: Backend, const D: usize>(
        self,
        x: Tensor<B, D>,
        target: &Target<B>,
    ) -> Tensor<B, D> {
        if self.background || !target.is_exclusive() {
            return x;
        }
        let channels = x.dims()[1];
        x.narrow(1, 1, channels - 1)
    }

    /// Multiplies each channel of `x`, whose second axis has those that count, by its weight.
    pub fn weigh<B: Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        match self.weights {
            None => x,
            Some(weights) => {
                let mut shape = [1; D];
                shape[1] = weights.len();
                let weights: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
                let data = TensorData::new(weights, shape);
                let weights = Tensor::from_data(data, (&x.device(), x.dtype()));
                x * weights
            }
        }
    }

    /// The mean over channels and samples of how far a score of `[batch, channels]` is below 1.
    pub fn mean_missing<B: Backend>(self, score: Tensor<B, 2>) -> Tensor<B, 1> {
        match self.weights {
            None => -score.mean() + 1.0,
            Some(_) => self.weigh(-score + 1.0).mean(),
        }
    }

    /// What is wrong with the weights for these structures.
    pub fn check(self, structures: &Structures) -> Vec<Fault> {
        let with_background = structures.is_exclusive() && self.background;
        let wanted = structures.count() + usize::from(with_background);
        let given = self.weights.map_or(wanted, <[f64]>::len);
        if given == wanted {
            return Vec::new();
        }
        let order = match structures.names()[..] {
            [""] => "the one structure".to_owned(),
            ref names => {
                let background = with_background.then_some("background");
                let all: Vec<&str> = background.into_iter().chain(names.to_vec()).collect();
                all.join(", ")
            }
        };
        let message = format!("class_weights has {given} weights for {wanted} channels: {order}");
        vec![Fault::new("class_weights", message)]
    }

    /// What is wrong with the weights whatever the structures.
    pub fn rules(self) -> Vec<Fault> {
        let weights = self.weights.unwrap_or(&[1.0]);
        if weights.iter().any(|weight| *weight > 0.0) {
            return Vec::new();
        }
        let message = "class_weights must have a weight above 0, or nothing is learnt";
        vec![Fault::new("class_weights", message)]
    }
}
