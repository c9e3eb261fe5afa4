//! A network on a device, on the backend of that device.

use std::path::Path;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use ndarray::Array3;

use super::PredictError;
use crate::device::{DeviceError, DeviceJob, DeviceName, catch_gpu_panic, run_on};
use crate::experiment::Experiment;
use crate::kernel::{Kernels, TrainingBackend};
use crate::model;
use crate::model::weights::{self, WeightsError};

/// A trained network.
pub(super) trait Network: Send {
    /// The probability of brain at each voxel of a prepared image.
    fn probabilities(&self, image: &Array3<f32>) -> Result<Array3<f32>, PredictError>;
}

/// The network of `experiment` with the weights in `weights`, on `device`.
pub(super) fn load(
    experiment: &Experiment,
    weights: &Path,
    device: DeviceName,
) -> Result<Box<dyn Network>, PredictError> {
    let job = Load {
        experiment,
        weights,
        name: device,
    };
    Ok(run_on(&[device], job).map_err(DeviceError::from)??)
}

struct Load<'a> {
    experiment: &'a Experiment,
    weights: &'a Path,
    name: DeviceName,
}

impl DeviceJob for Load<'_> {
    type Output = Result<Box<dyn Network>, WeightsError>;

    fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> Self::Output {
        let device = &devices[0];
        let network = (self.experiment.model).init::<B::InnerBackend>(self.experiment.seed, device);
        Ok(Box::new(OnDevice::<B::InnerBackend> {
            network: weights::load(network, self.weights, device)?,
            device: device.clone(),
            name: self.name,
        }))
    }
}

struct OnDevice<B: Kernels> {
    network: model::Network<B>,
    device: B::Device,
    name: DeviceName,
}

impl<B: Kernels> Network for OnDevice<B> {
    fn probabilities(&self, image: &Array3<f32>) -> Result<Array3<f32>, PredictError> {
        let (x, y, z) = image.dim();
        let data = TensorData::new(image.iter().copied().collect(), [1, 1, x, y, z]);
        let values: Vec<f32> = catch_gpu_panic(self.name, || {
            let input = Tensor::<B, 5>::from_data(data, &self.device);
            let logits = self.network.forward(input);
            sigmoid(logits).into_data().iter::<f32>().collect()
        })
        .map_err(DeviceError::from)?;
        Array3::from_shape_vec((x, y, z), values)
            .map_err(|error| PredictError::Output(error.to_string()))
    }
}
