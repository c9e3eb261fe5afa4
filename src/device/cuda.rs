//! NVIDIA's GPUs.

use burn::tensor::Tensor;
use cudarc::driver::{CudaContext, DriverError};

use super::panic::{catch_any_panic, explain};
use super::{DeviceInfo, DeviceName, Inventory, catch_device_panic};

/// How many GPUs there are.
pub(super) fn count() -> Result<usize, String> {
    let none = || explain("CUDA_ERROR_NO_DEVICE");
    match answer(CudaContext::device_count)? {
        0 => Err(none()),
        count => usize::try_from(count).map_err(|_| none()),
    }
}

pub(super) fn list() -> Inventory {
    // One that another program has for itself does not hide the others.
    let silent = |index, why| DeviceInfo {
        name: DeviceName::Cuda(index),
        model: "a GPU that does not answer".into(),
        memory: None,
        details: why,
        automatic: false,
        warning: None,
    };
    let found = (0..count()?)
        .map(|index| answer(|| describe(index)).unwrap_or_else(|why| silent(index, why)));
    Ok(found.collect())
}

fn describe(index: usize) -> Result<DeviceInfo, DriverError> {
    let context = CudaContext::new(index)?;
    let (major, minor) = context.compute_capability()?;
    let mut details = format!("compute capability {major}.{minor}");
    if let Some(driver) = driver() {
        details += &format!(", driver {driver}");
    }
    Ok(DeviceInfo {
        name: DeviceName::Cuda(index),
        model: context.name()?,
        memory: Some(context.total_mem()? as u64),
        details,
        automatic: true,
        warning: None,
    })
}

/// The driver's version, as its kernel module reports it.
fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace().find(is_version).map(str::to_owned)
}

/// What the driver answers. Without a driver cudarc panics.
fn answer<T>(ask: impl FnOnce() -> Result<T, DriverError>) -> Result<T, String> {
    // The driver is asked for an error's text, too.
    match catch_device_panic(|| ask().map_err(|error| format!("{error:?}"))) {
        Ok(answer) => answer.map_err(|message| explain(&message)),
        Err(panic) => Err(panic.to_string()),
    }
}

/// Does one small sum.
pub(super) fn probe(index: usize) -> Result<(), String> {
    let sum = || {
        let device = burn_cuda::CudaDevice::new(index);
        let ones = Tensor::<burn_cuda::Cuda, 1>::ones([8], &device);
        ones.sum()
            .try_into_data()
            .map(|data| data.iter::<f32>().sum::<f32>())
    };
    super::summed(catch_any_panic(sum).map(|sum| sum.map_err(|error| format!("{error:?}"))))
}
