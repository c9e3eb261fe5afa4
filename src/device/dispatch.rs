//! The one place where generic code meets a backend.

use super::{DeviceError, DeviceName, DevicePanic, catch_device_panic};
use crate::kernel::{Precision, TrainingBackend};

/// Work that any backend can do, with what it needs as its fields.
///
/// Each job is compiled once per backend: what jobs have in common belongs in functions they share.
pub trait DeviceJob {
    /// Its result.
    type Output;

    /// Does the work on `devices`; there is at least one.
    fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> Self::Output;
}

/// Does `job` on `devices`, which are of one kind; on the processor where none is named.
///
/// # Errors
///
/// When a GPU fails: see [`catch_gpu_panic`].
pub fn run_on<J: DeviceJob>(devices: &[DeviceName], job: J) -> Result<J::Output, DevicePanic> {
    let device = devices.first().copied().unwrap_or(DeviceName::Cpu);
    catch_gpu_panic(device, || dispatch(devices, job))
}

/// Runs `work` that uses `device`.
///
/// # Errors
///
/// When a GPU fails: what panics with it becomes an error, see [`catch_device_panic`]. On the processor a panic
/// is a bug in the program, and is not caught.
pub fn catch_gpu_panic<T>(device: DeviceName, work: impl FnOnce() -> T) -> Result<T, DevicePanic> {
    match device {
        DeviceName::Cpu => Ok(work()),
        DeviceName::Cuda(_) | DeviceName::Vulkan(_) => catch_device_panic(work),
    }
}

#[cfg(not(test))]
fn dispatch<J: DeviceJob>(devices: &[DeviceName], job: J) -> J::Output {
    use burn::backend::flex::FlexDevice;
    use burn::backend::{Autodiff, Flex};

    match devices.first() {
        #[cfg(feature = "cuda")]
        Some(DeviceName::Cuda(_)) => {
            let indices = devices.iter().filter_map(|device| device.index());
            let devices: Vec<_> = indices.map(burn_cuda::CudaDevice::new).collect();
            job.run::<Autodiff<burn_cuda::Cuda>>(&devices)
        }
        #[cfg(feature = "vulkan")]
        Some(DeviceName::Vulkan(_)) => {
            let indices = devices.iter().filter_map(|device| device.index());
            let devices: Vec<_> = indices.map(super::vulkan_device).collect();
            job.run::<Autodiff<burn_wgpu::Vulkan>>(&devices)
        }
        // The processor may be named several times, to try how devices share the work.
        _ => job.run::<Autodiff<Flex>>(&vec![FlexDevice; devices.len().max(1)]),
    }
}

/// The unit tests run no job, so that they need not wait for the code of all networks on each backend.
#[cfg(test)]
fn dispatch<J: DeviceJob>(_: &[DeviceName], _: J) -> J::Output {
    unreachable!("jobs are tested in tests/")
}

/// Checks that `devices` compute in `precision`.
///
/// # Errors
///
/// When one does not.
pub fn check_precision(precision: Precision, devices: &[DeviceName]) -> Result<(), DeviceError> {
    run_on(devices, Check(precision))?.map_err(DeviceError::Precision)
}

struct Check(Precision);

impl DeviceJob for Check {
    type Output = Result<(), String>;

    fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> Self::Output {
        (devices.iter()).try_for_each(|device| self.0.check::<B>(device))
    }
}
