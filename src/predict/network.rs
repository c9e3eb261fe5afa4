//! A network on a device, on the backend of that device.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use ndarray::Array3;

use super::PredictError;
use crate::device::{
    DeviceError, DeviceJob, DeviceName, available_memory, catch_gpu_panic, peak_memory_mib,
    restart_peak, run_on,
};
use crate::experiment::Experiment;
use crate::kernel::{Kernels, TrainingBackend};
use crate::model::weights::{self, WeightsError};
use crate::model::{self, Channels};
use crate::volume::{Affine, Volume};

/// A trained network.
pub(super) trait Network: Send {
    /// Measures how much memory the network takes, so that [`Self::probabilities`] can tell beforehand. Without
    /// effect on GPUs, and where the system does not report memory.
    fn measure(&mut self) -> Result<(), PredictError>;

    /// The probability of each output at each voxel of prepared images, which are of one shape.
    fn probabilities(&self, images: &[Volume<f32>]) -> Result<Vec<Array3<f32>>, PredictError>;
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
        let ends = self.experiment.channels();
        let network = self.experiment.network::<B::InnerBackend>(device);
        Ok(Box::new(OnDevice::<B::InnerBackend> {
            network: weights::load(network, self.weights, device)?,
            device: device.clone(),
            name: self.name,
            ends,
            is_exclusive: self.experiment.structures().is_exclusive(),
            memory: None,
        }))
    }
}

struct OnDevice<B: Kernels> {
    network: model::Network<B>,
    device: B::Device,
    name: DeviceName,
    ends: Channels,
    /// Whether the outputs of a voxel are probabilities together, not each by itself.
    is_exclusive: bool,
    memory: Option<MemoryNeed>,
}

/// Voxels along each axis of the input on which memory is measured: small beside a head, large beside a network's
/// fixed costs, and a multiple of what networks halve.
const SAMPLE: usize = 64;

/// What is measured on a small input is too little by this much: some of it fits into memory that the process has.
const MARGIN: f64 = 1.25;

/// Bytes per voxel and channel of what lies in memory besides the network's work: the scan, its copies, the
/// probabilities.
const BESIDES: f64 = 12.0;

/// What a network's work takes on the CPU.
struct MemoryNeed {
    bytes_per_voxel: f64,
    /// Images and outputs together.
    channels: usize,
    /// What the work so far has taken. The process keeps it, so it need not be available again.
    held: AtomicU64,
}

impl MemoryNeed {
    /// Whether an input of this shape fits into `available` bytes and what is held.
    fn check(&self, shape: [usize; 3], available: Option<u64>) -> Result<(), PredictError> {
        let voxels: usize = shape.iter().product();
        let needed = ((MARGIN * self.bytes_per_voxel + BESIDES * self.channels as f64)
            * voxels as f64) as u64;
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
        let sample = Volume {
            voxels: Array3::zeros([SAMPLE; 3]),
            affine: Affine::identity(),
        };
        self.probabilities(&vec![sample; self.ends.input])?;
        self.memory = peak_memory_mib().map(|after| MemoryNeed {
            bytes_per_voxel: (after - before) * f64::from(1 << 20) / SAMPLE.pow(3) as f64,
            channels: self.ends.input + self.ends.output,
            held: AtomicU64::new(0),
        });
        Ok(())
    }

    fn probabilities(&self, images: &[Volume<f32>]) -> Result<Vec<Array3<f32>>, PredictError> {
        let [x, y, z] = images[0].shape();
        if let Some(memory) = &self.memory {
            memory.check([x, y, z], available_memory())?;
        }
        let voxels = images.iter().flat_map(|image| image.voxels.iter().copied());
        let data = TensorData::new(voxels.collect(), [1, images.len(), x, y, z]);
        let values: Vec<f32> = catch_gpu_panic(self.name, || {
            let input = Tensor::<B, 5>::from_data(data, &self.device);
            let logits = self.network.forward(input);
            let probabilities = match self.is_exclusive {
                true => softmax(logits, 1),
                false => sigmoid(logits),
            };
            probabilities.into_data().iter::<f32>().collect()
        })
        .map_err(DeviceError::from)?;
        let channels = values.chunks(x * y * z);
        let channels = channels.map(|channel| Array3::from_shape_vec((x, y, z), channel.to_vec()));
        let channels: Result<Vec<_>, _> = channels.collect();
        channels.map_err(|error| PredictError::Output(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_does_not_fit_is_refused_and_what_the_process_holds_counts() {
        let need = MemoryNeed {
            bytes_per_voxel: 180.8,
            channels: 2,
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
