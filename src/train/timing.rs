//! How long a network's steps take, on random voxels.

use std::time::Instant;

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer as _};
use burn::tensor::{Distribution, ElementConversion, Tensor};
use serde::Serialize;

use super::Segmenter;
use crate::experiment::Experiment;
use crate::kernel::{TrainingBackend, with_checkpointing};
use crate::loss::Target;
use crate::statistics::upper_median;
use crate::volume::Structures;

/// What an experiment's network costs. Times are in seconds; where there are several, their median.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTiming {
    /// Trainable weights.
    pub parameters: usize,
    /// The first training step, with whatever is compiled and tuned for it.
    pub first_step: f64,
    /// From the images to the loss, on the host.
    pub forward: f64,
    /// From the loss to the new weights.
    pub backward: f64,
    /// A training step: both.
    pub step: f64,
    /// The first prediction.
    pub first_inference: f64,
    /// A prediction of the whole batch.
    pub inference: f64,
    /// The losses of the steps.
    pub losses: Vec<f32>,
}

/// Trains the network, loss and optimiser of `experiment` for `steps` steps after a first one, on one batch
/// of images of `size` (depth, height, width), then predicts as often.
pub fn time_steps<B: TrainingBackend>(
    experiment: &Experiment,
    size: [usize; 3],
    steps: usize,
    device: &B::Device,
) -> StepTiming {
    let [depth, height, width] = size;
    let images = experiment.channels().input;
    let shape = [experiment.train.batch_size, images, depth, height, width];
    let x = Tensor::<B, 5>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let target = Target::new(
        masks(&x, &experiment.structures()),
        &experiment.structures(),
    );
    let precision = experiment.train.precision;
    let mut network = experiment.network::<B>(device);
    let parameters = network.parameter_count();
    let mut optimizer = experiment.optimizer.init::<B>();
    let rate = experiment.optimizer.learning_rate();
    let (mut forward, mut backward, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..=steps {
        let started = Instant::now();
        let loss = with_checkpointing(experiment.train.checkpointing, || {
            let outputs = network.forward_deep(precision.of(x.clone()));
            experiment.loss.forward_deep(outputs, &target)
        });
        losses.push(loss.clone().into_scalar().elem::<f32>());
        let between = Instant::now();
        let model = Segmenter::new(network, experiment, None);
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        network = optimizer.step(rate, model, grads).network;
        wait::<B>(device);
        forward.push((between - started).as_secs_f64());
        backward.push(between.elapsed().as_secs_f64());
    }
    let (network, x) = (network.valid(), x.inner());
    let mut inference = Vec::new();
    for _ in 0..=steps {
        let started = Instant::now();
        let sum = network.forward(precision.of(x.clone())).sum();
        losses.push(sum.into_scalar().elem::<f32>());
        inference.push(started.elapsed().as_secs_f64());
    }
    losses.truncate(steps + 1);
    let whole: Vec<f64> = forward.iter().zip(&backward).map(|(a, b)| a + b).collect();
    StepTiming {
        parameters,
        first_step: whole[0],
        forward: median(&forward),
        backward: median(&backward),
        step: median(&whole),
        first_inference: inference[0],
        inference: median(&inference),
        losses,
    }
}

/// Class maps of images: of a mask where the first image is bright, of several structures at random.
fn masks<B: TrainingBackend>(images: &Tensor<B, 5>, structures: &Structures) -> Tensor<B, 5> {
    let first = images.clone().narrow(1, 0, 1);
    if structures.is_mask() {
        return first.greater_elem(0.5).float();
    }
    let classes = Distribution::Uniform(0.0, structures.classes() as f64 + 0.999);
    first.random_like(classes).floor()
}

/// Until the device has done everything.
fn wait<B: TrainingBackend>(device: &B::Device) {
    // What fails here fails again where the next value is read, and is reported there.
    let _ = B::sync(device);
}

/// The median of all but the first, which is to warm up; of the first if it is alone.
fn median(times: &[f64]) -> f64 {
    upper_median(if times.len() > 1 { &times[1..] } else { times })
}
