//! A step of Adam on the CPU: one pass over the weights, where Burn's operations make twelve. The arithmetic is the
//! same, in the same order.

use burn::backend::flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::AdamStep;
use super::flex::values;
use super::parallel::PART;

/// Weights, and the running means of gradients and of their squares, after the step. All are in single precision; what
/// nobody else has is overwritten.
pub(super) fn step(
    step: &AdamStep,
    state: [FlexTensor; 3],
    gradient: &FlexTensor,
) -> [FlexTensor; 3] {
    let factors = Factors::of(step);
    // Each the whole of its memory, not a part.
    let [mut weights, mut mean, mut squares] = state.map(|tensor| tensor.to_contiguous());
    {
        let parts = weights.storage_mut::<f32>().par_chunks_mut(PART);
        let parts = parts.zip(mean.storage_mut::<f32>().par_chunks_mut(PART));
        let parts = parts.zip(squares.storage_mut::<f32>().par_chunks_mut(PART));
        let parts = parts.zip(values(gradient).par_chunks(PART));
        parts.for_each(|(((weights, mean), squares), gradient)| {
            update(&factors, weights, mean, squares, gradient);
        });
    }
    [weights, mean, squares]
}

struct Factors {
    kept: [f32; 2],
    added: [f32; 2],
    scale: f32,
    epsilon: f32,
    rate: f32,
}

impl Factors {
    fn of(step: &AdamStep) -> Self {
        let [scale, epsilon] = step.correction();
        Self {
            kept: step.betas,
            added: step.betas.map(|beta| 1.0 - beta),
            scale,
            epsilon,
            rate: step.rate as f32,
        }
    }
}

#[multiversion(targets = "simd")]
fn update(
    factors: &Factors,
    weights: &mut [f32],
    mean: &mut [f32],
    squares: &mut [f32],
    gradient: &[f32],
) {
    let moments = mean.iter_mut().zip(squares);
    for ((weight, (mean, square)), gradient) in weights.iter_mut().zip(moments).zip(gradient) {
        *mean = *mean * factors.kept[0] + gradient * factors.added[0];
        *square = *square * factors.kept[1] + gradient * gradient * factors.added[1];
        let direction = *mean * factors.scale / (square.sqrt() + factors.epsilon);
        *weight -= direction * factors.rate;
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::{Distribution, Tensor};

    use crate::{AdamStep, Kernels, reference};

    #[test]
    fn steps_are_those_of_burns_operations_to_the_bit() {
        let device = Default::default();
        let random =
            || Tensor::<Flex, 1>::random([100_003], Distribution::Normal(0.0, 1.0), &device);
        let start = [
            random(),
            Tensor::zeros([100_003], &device),
            Tensor::zeros([100_003], &device),
        ];
        let (mut ours, mut theirs) = (start.clone(), start.clone());
        for time in 1..4 {
            let step = AdamStep {
                betas: [0.9, 0.99],
                epsilon: 1e-3,
                rate: 0.01,
                time,
            };
            let gradient = random();
            ours = Flex::adam(ours, gradient.clone(), &step);
            theirs = reference::adam(theirs, gradient, &step);
        }
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            let [ours, theirs] = [ours, theirs].map(|tensor| tensor.into_data().to_vec::<f32>());
            assert!(ours.unwrap() == theirs.unwrap());
        }
        // What others have stays as it is.
        let sum: f32 = start[1].clone().sum().into_scalar();
        assert_eq!(sum, 0.0);
    }
}
