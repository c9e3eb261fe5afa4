//! GPUs of any maker, and drivers in software, through Vulkan.

use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::Tensor;
use burn_wgpu::{WgpuDevice, graphics, init_setup};
use wgpu::{Backends, DeviceType, Instance, InstanceDescriptor};

use super::panic::catch_any_panic;
use super::{DeviceInfo, DeviceName, Inventory, catch_device_panic};

/// The devices that are already set up.
static READY: Mutex<Vec<WgpuDevice>> = Mutex::new(Vec::new());

pub(super) fn list() -> Inventory {
    let found: Vec<DeviceInfo> = adapters()?
        .into_iter()
        .enumerate()
        .map(|(index, (device, info))| DeviceInfo {
            name: DeviceName::Vulkan(index),
            model: info.name,
            memory: None,
            details: format!(
                "{}, driver {} {}",
                kind(&device),
                info.driver,
                info.driver_info
            )
            .trim_end()
            .to_owned(),
            automatic: matches!(device, WgpuDevice::DiscreteGpu(_)),
            warning: (device == WgpuDevice::Cpu).then(|| LOOPS_END.into()),
        })
        .collect();
    if found.is_empty() {
        return Err(
            "no Vulkan driver with a device was found. Install the GPU's, or Mesa's drivers \
             (Debian: mesa-vulkan-drivers)."
                .into(),
        );
    }
    Ok(found)
}

/// Mesa's lavapipe counts the rounds of all loops of a kernel's thread and leaves them at 65535
/// (`LP_MAX_TGSI_LOOP_ITERATIONS` in its gallivm).
const LOOPS_END: &str = "a Vulkan driver in software is for tests of a few voxels: Mesa's ends the loops of a kernel \
     after 65535 rounds without a message, which makes sums over more voxels, and so training, wrong. Use cpu.";

fn kind(device: &WgpuDevice) -> &'static str {
    match device {
        WgpuDevice::DiscreteGpu(_) => "a card",
        WgpuDevice::IntegratedGpu(_) => "in the processor",
        WgpuDevice::VirtualGpu(_) => "virtual",
        _ => "in software",
    }
}

type Adapters = Vec<(WgpuDevice, wgpu::AdapterInfo)>;

/// The devices that Vulkan knows: cards first, then GPUs in processors, then virtual ones, then a
/// driver in software.
fn adapters() -> Result<Adapters, String> {
    static KNOWN: OnceLock<Result<Adapters, String>> = OnceLock::new();
    KNOWN.get_or_init(ask).clone()
}

fn ask() -> Result<Adapters, String> {
    let all = catch_device_panic(|| {
        let instance = Instance::new(InstanceDescriptor {
            backends: Backends::VULKAN,
            ..InstanceDescriptor::new_without_display_handle()
        });
        futures_lite::future::block_on(instance.enumerate_adapters(Backends::VULKAN))
    });
    let all = all.map_err(|panic| panic.to_string())?;
    let infos: Vec<_> = all.iter().map(wgpu::Adapter::get_info).collect();
    let of_type = |wanted: DeviceType| infos.iter().filter(move |info| info.device_type == wanted);
    let number = |wanted, name: fn(usize) -> WgpuDevice| {
        of_type(wanted)
            .enumerate()
            .map(move |(index, info)| (name(index), info.clone()))
    };
    Ok(number(DeviceType::DiscreteGpu, WgpuDevice::DiscreteGpu)
        .chain(number(DeviceType::IntegratedGpu, WgpuDevice::IntegratedGpu))
        .chain(number(DeviceType::VirtualGpu, WgpuDevice::VirtualGpu))
        .chain(number(DeviceType::Cpu, |_| WgpuDevice::Cpu).take(1))
        .collect())
}

/// Burn's name of the device `vulkan:INDEX`, set up to be used.
///
/// # Panics
///
/// If the device does not exist. [`super::resolve`] reports that before.
pub fn device(index: usize) -> WgpuDevice {
    let adapters = adapters().unwrap_or_default();
    let Some((device, _)) = adapters.into_iter().nth(index) else {
        panic!("vulkan:{index} does not exist any more");
    };
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    if !ready.contains(&device) {
        init_setup::<graphics::Vulkan>(&device, burn_wgpu::RuntimeOptions::default());
        ready.push(device.clone());
    }
    device
}

/// Does one small sum.
pub(super) fn probe(index: usize) -> Result<(), String> {
    let sum = || {
        let ones = Tensor::<burn_wgpu::Vulkan, 1>::ones([8], &device(index));
        ones.sum()
            .try_into_data()
            .map(|data| data.iter::<f32>().sum::<f32>())
    };
    super::summed(catch_any_panic(sum).map(|sum| sum.map_err(|error| format!("{error:?}"))))
}
