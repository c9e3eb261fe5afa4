//! `--device`: on which backend the program's generic code is instantiated.

use super::Failed;
use crate::device::{self, DeviceChoice, DeviceName};

/// The devices that `choice` means, or why they cannot be used. A GPU that `auto` passes over is told of,
/// and what to beware of on one that is named.
pub(super) fn resolve(choice: &DeviceChoice) -> Result<Vec<DeviceName>, Failed> {
    if *choice != DeviceChoice::Auto {
        let devices = device::resolve(choice).map_err(Failed::input)?;
        for &name in &devices {
            if let Some(caution) = device::caution(name) {
                errln!("warning: {name}: {caution}");
            }
        }
        return Ok(devices);
    }
    let (device, passed_over) = device::automatic();
    for why in passed_over {
        errln!("warning: {why} Going on with {device}.");
    }
    Ok(vec![device])
}

/// The one device that `choice` means, for work that is not shared.
pub(super) fn resolve_one(choice: &DeviceChoice) -> Result<Vec<DeviceName>, Failed> {
    let devices = resolve(choice)?;
    match devices.len() {
        1 => Ok(devices),
        count => Err(Failed::input(format!(
            "--device names {count} devices, and this command uses one; only `run` shares its work."
        ))),
    }
}

/// How results name `devices`.
pub(super) fn joined(devices: &[DeviceName]) -> String {
    let names: Vec<String> = devices.iter().map(DeviceName::to_string).collect();
    names.join(",")
}

/// Runs `$work::<Backend>(&devices, "names")` on `$devices`, resolved and so all of one kind.
///
/// `$work` is a generic function over a training backend, which keeps activations by `$strategy` for
/// the backward pass. A panic in it becomes a [`Failed`] that says what to do.
macro_rules! on_device {
    ($devices:expr, $strategy:ty, $work:ident($($arg:expr),* $(,)?)) => {{
        let devices: &[$crate::device::DeviceName] = $devices;
        let names = $crate::cli::device::joined(devices);
        let indices = devices.iter().filter_map(|device| device.index());
        let work = || match devices.first().map(|device| device.kind()) {
            #[cfg(feature = "cuda")]
            Some("cuda") => {
                let devices: Vec<_> = indices.map(burn_cuda::CudaDevice::new).collect();
                $work::<burn::backend::Autodiff<burn_cuda::Cuda, $strategy>>($($arg,)* &devices, &names)
            }
            #[cfg(feature = "vulkan")]
            Some("vulkan") => {
                let devices: Vec<_> = indices.map($crate::device::vulkan_device).collect();
                $work::<burn::backend::Autodiff<burn_wgpu::Vulkan, $strategy>>($($arg,)* &devices, &names)
            }
            _ => {
                // The processor is one device, which has no number.
                let devices = [burn::backend::flex::FlexDevice; 1];
                debug_assert_eq!(indices.count(), 0);
                $work::<burn::backend::Autodiff<burn::backend::Flex, $strategy>>($($arg,)* &devices, &names)
            }
        };
        $crate::device::guard(work).map_err($crate::cli::Failed::work).flatten()
    }};
}
pub(super) use on_device;
