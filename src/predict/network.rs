//! A network on a device, on the backend of that device.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array3, Array4, ArrayView3, Axis, Zip, s};

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
use crate::window::{NamedView, View, Window, Windows, slide};

/// A trained network.
pub(super) trait Network: Send {
    /// Sets how much of a scan the network sees at once.
    fn see(&mut self, view: View);

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
        let model = &self.experiment.model;
        let network = model.blank_for::<B::InnerBackend>(ends, device);
        Ok(Box::new(OnDevice::<B::InnerBackend> {
            network: weights::load(network, self.weights, device)?,
            device: device.clone(),
            name: self.name,
            ends,
            is_exclusive: self.experiment.structures().is_exclusive(),
            view: self.experiment.predict.window.clone(),
            patch: self.experiment.patch_size(),
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
    /// How much of a scan it sees at once.
    view: View,
    /// The patches that it was trained on.
    patch: Option<[usize; 3]>,
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
    /// Whether an input of this shape, of which the network sees `window` at once, fits into `available` bytes and what is
    /// held.
    fn check(
        &self,
        shape: [usize; 3],
        window: [usize; 3],
        available: Option<u64>,
    ) -> Result<(), PredictError> {
        let [voxels, seen] = [shape, window].map(|of| of.iter().product::<usize>() as f64);
        let work = MARGIN * self.bytes_per_voxel * seen;
        let needed = (work + BESIDES * self.channels as f64 * voxels) as u64;
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

/// Edges of the windows that are tried where a whole scan does not fit into memory.
const EDGES: [usize; 7] = [256, 224, 192, 160, 128, 96, 64];

/// The largest window over a scan of this shape that `fits`, smaller than the scan.
fn largest_window(shape: [usize; 3], fits: impl Fn([usize; 3]) -> bool) -> Option<[usize; 3]> {
    let smaller = EDGES.map(|edge| shape.map(|voxels| voxels.min(edge)));
    let mut smaller = smaller.into_iter().filter(|size| *size != shape);
    smaller.find(|size| fits(*size))
}

impl<B: Kernels> OnDevice<B> {
    /// The windows over a scan of this shape; `None` if it is seen as a whole.
    fn windows(&self, shape: [usize; 3]) -> Result<Option<Windows>, PredictError> {
        let fits = |window: [usize; 3]| match &self.memory {
            Some(memory) => memory.check(shape, window, available_memory()),
            None => Ok(()),
        };
        if let Some(window) = self.view.window(self.patch) {
            let windows = Windows::over(shape, &window);
            fits(windows.size())?;
            return Ok(Some(windows));
        }
        let Err(too_large) = fits(shape) else {
            return Ok(None);
        };
        match largest_window(shape, |size| fits(size).is_ok()) {
            Some(size) if self.view == View::Named(NamedView::Auto) => {
                Ok(Some(Windows::over(shape, &Window::of(size))))
            }
            _ => Err(too_large),
        }
    }

    /// What `finish` makes of the logits of an image, or a window of one.
    fn outputs(
        &self,
        voxels: Vec<f32>,
        shape: [usize; 3],
        finish: impl Fn(Tensor<B, 5>) -> Tensor<B, 5>,
    ) -> Result<Vec<f32>, PredictError> {
        let [x, y, z] = shape;
        let data = TensorData::new(voxels, [1, self.ends.input, x, y, z]);
        let values = catch_gpu_panic(self.name, || {
            let input = Tensor::<B, 5>::from_data(data, &self.device);
            let outputs = finish(self.network.forward(input));
            outputs.into_data().iter::<f32>().collect()
        });
        Ok(values.map_err(DeviceError::from)?)
    }

    /// The probabilities of whole images.
    fn of_whole(&self, images: &[Volume<f32>]) -> Result<Vec<Array3<f32>>, PredictError> {
        let shape = images[0].shape();
        let voxels = images.iter().flat_map(|image| image.voxels.iter().copied());
        let values = self.outputs(voxels.collect(), shape, |logits| match self.is_exclusive {
            true => softmax(logits, 1),
            false => sigmoid(logits),
        })?;
        let channels = values.chunks(shape.iter().product());
        let channels = channels.map(|channel| Array3::from_shape_vec(shape, channel.to_vec()));
        let channels: Result<Vec<_>, _> = channels.collect();
        channels.map_err(|error| PredictError::Output(error.to_string()))
    }

    /// The probabilities of images that are seen window by window.
    fn of_windows(
        &self,
        images: &[Volume<f32>],
        windows: &Windows,
    ) -> Result<Vec<Array3<f32>>, PredictError> {
        let views: Vec<ArrayView3<f32>> = images.iter().map(|image| image.voxels.view()).collect();
        let shape = images[0].shape();
        let mut channels = vec![Array3::zeros(shape); self.ends.output];
        let mut done = 0;
        let network = |voxels| self.outputs(voxels, windows.size(), |logits| logits);
        slide(&views, windows, network, |mut planes| {
            match self.is_exclusive {
                true => softmax_of(&mut planes),
                false => planes.mapv_inplace(|logit| 1.0 / (1.0 + (-logit).exp())),
            }
            let count = planes.len_of(Axis(1));
            for (channel, planes) in channels.iter_mut().zip(planes.outer_iter()) {
                channel
                    .slice_mut(s![done..done + count, .., ..])
                    .assign(&planes);
            }
            done += count;
        })?;
        Ok(channels)
    }
}

/// Makes probabilities of logits, `[channels, depth, height, width]`, which exclude each other.
fn softmax_of(logits: &mut Array4<f32>) {
    let largest = logits.map_axis(Axis(0), |of| of.fold(f32::NEG_INFINITY, |a, b| a.max(*b)));
    let mut sum = Array3::zeros(largest.dim());
    for mut channel in logits.outer_iter_mut() {
        Zip::from(&mut channel)
            .and(&largest)
            .and(&mut sum)
            .for_each(|logit, largest, sum| {
                *logit = (*logit - largest).exp();
                *sum += *logit;
            });
    }
    for mut channel in logits.outer_iter_mut() {
        Zip::from(&mut channel)
            .and(&sum)
            .for_each(|p, sum| *p /= sum);
    }
}

impl<B: Kernels> Network for OnDevice<B> {
    fn see(&mut self, view: View) {
        self.view = view;
    }

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
        self.of_whole(&vec![sample; self.ends.input])?;
        self.memory = peak_memory_mib().map(|after| MemoryNeed {
            bytes_per_voxel: (after - before) * f64::from(1 << 20) / SAMPLE.pow(3) as f64,
            channels: self.ends.input + self.ends.output,
            held: AtomicU64::new(0),
        });
        Ok(())
    }

    fn probabilities(&self, images: &[Volume<f32>]) -> Result<Vec<Array3<f32>>, PredictError> {
        match self.windows(images[0].shape())? {
            None => self.of_whole(images),
            Some(windows) => self.of_windows(images, &windows),
        }
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
            .check(shape, shape, Some(249_000_000))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("0.2 GB") && message.contains("100 x 100 x 100"),
            "{message}"
        );
        need.check(shape, shape, None).unwrap();
        need.check(shape, shape, Some(251_000_000)).unwrap();
        // The second scan finds the first one's memory.
        need.check(shape, shape, Some(1_000)).unwrap();
        assert!(need.check([128; 3], [128; 3], Some(1_000)).is_err());
        // Of a larger scan less is seen at once.
        need.check([128; 3], [64; 3], Some(1_000)).unwrap();
    }

    #[test]
    fn of_a_scan_that_does_not_fit_the_largest_window_is_taken_that_fits() {
        let shape = [512, 300, 120];
        let within = |available| {
            let need = MemoryNeed {
                bytes_per_voxel: 400.0,
                channels: 2,
                held: AtomicU64::new(0),
            };
            let fits = |size| need.check(shape, size, Some(available)).is_ok();
            largest_window(shape, fits)
        };
        // The scan itself takes 24 bytes for each of 18.4 million voxels, and a window 500 a voxel.
        assert_eq!(within(400_000_000), None);
        assert_eq!(within(1_000_000_000), Some([96, 96, 96]));
        assert_eq!(within(1_450_000_000), Some([128, 128, 120]));
        assert_eq!(within(5_000_000_000), Some([256, 256, 120]));
        // A scan that fits into the smallest window needs none.
        assert_eq!(largest_window([64, 50, 64], |_| true), None);
    }
}
