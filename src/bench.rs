//! How long an experiment's network takes, on random voxels.

use serde::Serialize;
use thiserror::Error;

use crate::device::{
    self, DeviceChoice, DeviceError, DeviceJob, check_precision, peak_memory_mib, resolve_one,
    run_on,
};
use crate::experiment::Experiment;
use crate::kernel::{Precision, TrainingBackend};
use crate::train::{StepTiming, time_steps};

/// What is timed, and where.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Voxels of the images: depth, height and width.
    pub size: [usize; 3],
    /// Steps that are timed, after a first one.
    pub steps: usize,
    /// Where to compute.
    pub device: DeviceChoice,
}

/// What was timed, where, and the result.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// The device's name.
    pub device: String,
    /// The model's name.
    pub model: &'static str,
    /// Images of a step.
    pub batch_size: usize,
    /// Voxels of an image: depth, height and width.
    pub size: [usize; 3],
    /// The type that the network computes in.
    pub precision: Precision,
    /// Threads for work on the processor.
    pub threads: usize,
    /// The times.
    #[serde(flatten)]
    pub timing: StepTiming,
    /// The most of the program's own memory; a GPU's is not in it.
    pub peak_mib: Option<f64>,
}

/// The steps could not be timed.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The image has no voxels.
    #[error("--size takes three sizes above 0, such as 96,128,160.")]
    Size,
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Times training steps and predictions of the network of `experiment`, with its loss, its optimiser and
/// its batch size. `warn` gets the warnings about the device.
///
/// # Errors
///
/// When the device cannot be used or fails, such as when memory runs out.
pub fn time(
    experiment: &Experiment,
    options: &BenchOptions,
    warn: impl FnMut(&str),
) -> Result<Timed, BenchError> {
    if options.size.contains(&0) {
        return Err(BenchError::Size);
    }
    let devices = [resolve_one(&options.device, warn)?];
    check_precision(experiment.train.precision, &devices)?;
    let job = Timing {
        experiment,
        options,
    };
    let timing = run_on(&devices, job).map_err(DeviceError::from)?;
    Ok(Timed {
        device: device::names(&devices),
        model: experiment.model.name(),
        batch_size: experiment.train.batch_size,
        size: options.size,
        precision: experiment.train.precision,
        threads: rayon::current_num_threads(),
        timing,
        peak_mib: peak_memory_mib(),
    })
}

struct Timing<'a> {
    experiment: &'a Experiment,
    options: &'a BenchOptions,
}

impl DeviceJob for Timing<'_> {
    type Output = StepTiming;

    fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> StepTiming {
        let BenchOptions { size, steps, .. } = *self.options;
        time_steps::<B>(self.experiment, size, steps, &devices[0])
    }
}
