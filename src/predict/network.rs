//! A network on a device, on the backend of that device.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use ndarray::Array3;

use super::PredictError;
use crate::device::{
    DeviceError, DeviceJob, DeviceName, available_memory, catch_gpu_panic, peak_memory_mib,
    restart_peak, run_on,
};
use crate::experiment::Experiment;
use crate::kernel::{Kernels, TrainingBackend};
use crate::model;
use crate::model::weights::{self, WeightsError};

/// A trained network.
pub(super) trait Network: Send {
    /// Measures how much memory the network takes, so that [`Self::probabilities`] can tell beforehand. Without
    /// effect on GPUs, and where the system does not report memory.
    fn measure(&mut self) -> Result<(), PredictError>;

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
            memory: None,
        }))
    }
}

struct OnDevice<B: Kernels> {
    network: model::Network<B>,
    device: B::Device,
    name: DeviceName,
    memory: Option<MemoryNeed>,
}

/// Voxels along each axis of the input on which memory is measured: small beside a head, large beside a network's
/// fixed costs, and a multiple of what networks halve.
const SAMPLE: usize = 64;

/// What is measured on a small input is too little by this much: some of it fits into memory that the process has.
const MARGIN: f64 = 1.25;

/// Bytes per voxel of what lies in memory besides the network's work: the scan, its copies, the probabilities.
const BESIDES: f64 = 24.0;

/// What a network's work takes on the CPU.
struct MemoryNeed {
    bytes_per_voxel: f64,
    /// What the work so far has taken. The process keeps it, so it need not be available again.
    held: AtomicU64,
}

impl MemoryNeed {
    /// Whether an input of this shape fits into `available` bytes and what is held.
    fn check(&self, shape: [usize; 3], available: Option<u64>) -> Result<(), PredictError> {
        let voxels: usize = shape.iter().product();
        let needed = ((MARGIN * self.bytes_per_voxel + BESIDES) * voxels as f64) as u64;
        let held = self.held.load(Ordering::Relaxed);
        match available.map(|bytes| bytes + held) {
            Some(available) if needed > available => Err(PredictError::Memory {
                shape,
                needed,
                available,
            }),
            _ => {
                self.held.fetch_max(needed, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl<B: Kernels> Network for OnDevice<B> {
    fn measure(&mut self) -> Result<(), PredictError> {
        if self.name != DeviceName::Cpu || !restart_peak() {
            return Ok(());
        }
        let Some(before) = peak_memory_mib() else {
            return Ok(());
        };
        self.probabilities(&Array3::zeros([SAMPLE; 3]))?;
        self.memory = peak_memory_mib().map(|after| MemoryNeed {
            bytes_per_voxel: (after - before) * f64::from(1 << 20) / SAMPLE.pow(3) as f64,
            held: AtomicU64::new(0),
        });
        Ok(())
    }

    fn probabilities(&self, image: &Array3<f32>) -> Result<Array3<f32>, PredictError> {
        let (x, y, z) = image.dim();
        if let Some(memory) = &self.memory {
            memory.check([x, y, z], available_memory())?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_does_not_fit_is_refused_and_what_the_process_holds_counts() {
        let need = MemoryNeed {
            bytes_per_voxel: 180.8,
            held: AtomicU64::new(0),
        };
        // 250 bytes for each of a million voxels.
        let shape = [100; 3];
        let message = need
            .check(shape, Some(249_000_000))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("0.2 GB") && message.contains("100 x 100 x 100"),
            "{message}"
        );
        need.check(shape, None).unwrap();
        need.check(shape, Some(251_000_000)).unwrap();
        // The second scan finds the first one's memory.
        need.check(shape, Some(1_000)).unwrap();
        assert!(need.check([128; 3], Some(1_000)).is_err());
    }
}
