//! Where networks are computed: what devices are called, which exist, and why one cannot be used.
//!
//! Burn panics where a GPU, its driver or its memory is not as it should be, in threads of its own as
//! well; here those panics become errors ([`catch_device_panic`]). Work that is generic over Burn's backends meets
//! the one it runs on in [`run_on`].

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dispatch;
mod error;
mod memory;
mod name;
mod panic;
#[cfg(feature = "vulkan")]
mod vulkan;

use serde::Serialize;

pub use cpu::model as cpu_model;
pub use dispatch::{DeviceJob, catch_gpu_panic, check_precision, run_on};
pub use error::DeviceError;
pub use memory::{available_memory, peak_memory_mib, restart_peak};
pub use name::{DeviceChoice, DeviceName};
pub use panic::{DevicePanic, catch_device_panic};
#[cfg(feature = "vulkan")]
pub use vulkan::device as vulkan_device;

/// A device that exists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceInfo {
    /// Its name.
    pub name: DeviceName,
    /// The maker's name of it.
    pub model: String,
    /// Its memory, in bytes, if it is known.
    pub memory: Option<u64>,
    /// The rest worth knowing: driver, compute capability, instructions.
    pub details: String,
    /// Whether `auto` would take it.
    pub automatic: bool,
    /// A warning to its user.
    pub warning: Option<String>,
}

/// The devices of a kind, or why none can be used.
pub type Inventory = Result<Vec<DeviceInfo>, String>;

/// All kinds of devices and the devices of each, the best kind first.
pub fn inventory() -> Vec<(&'static str, Inventory)> {
    vec![
        ("cuda", cuda()),
        ("vulkan", vulkan()),
        ("cpu", Ok(vec![cpu::found()])),
    ]
}

/// The maker's name of a GPU; none if the device is not a GPU or does not exist.
pub fn gpu_model(name: DeviceName) -> Option<String> {
    Some(gpu(name)?.model)
}

/// A warning to the device's user; none if there is nothing to warn about.
fn warning(name: DeviceName) -> Option<String> {
    gpu(name)?.warning
}

fn gpu(name: DeviceName) -> Option<DeviceInfo> {
    let all = match name {
        DeviceName::Cpu => return None,
        DeviceName::Cuda(_) => cuda(),
        DeviceName::Vulkan(_) => vulkan(),
    };
    all.ok()?.into_iter().find(|found| found.name == name)
}

#[cfg(feature = "cuda")]
fn cuda() -> Inventory {
    cuda::list()
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Inventory {
    Err(not_built("CUDA", "cuda"))
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Inventory {
    vulkan::list()
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Inventory {
    Err(not_built("Vulkan", "vulkan"))
}

#[cfg(not(all(feature = "cuda", feature = "vulkan")))]
fn not_built(what: &str, feature: &str) -> String {
    format!(
        "this calvaria was built without {what}. Build it with `cargo build --release --features \
         {feature}`."
    )
}

/// The devices that `choice` means; each exists and has computed a small sum. `warn` gets a sentence for each
/// GPU that `auto` passes over, and the warnings about one that is named.
///
/// # Errors
///
/// When a device cannot be used, or they cannot share the work.
pub fn resolve(
    choice: &DeviceChoice,
    mut warn: impl FnMut(&str),
) -> Result<Vec<DeviceName>, DeviceError> {
    let names = match choice {
        DeviceChoice::Named(names) => names,
        DeviceChoice::Auto => {
            let (device, passed_over) = automatic();
            for why in passed_over {
                warn(&format!("{why} Continuing on {device}."));
            }
            return Ok(vec![device]);
        }
    };
    let first = *names.first().ok_or(DeviceError::None)?;
    for &device in names {
        if device.kind() != first.kind() {
            let other = device;
            return Err(DeviceError::Mixed { first, other });
        }
        usable(device).map_err(|why| DeviceError::Unusable { device, why })?;
        if let Some(warning) = warning(device) {
            warn(&format!("{device}: {warning}"));
        }
    }
    Ok(names.clone())
}

/// The one device that `choice` means, for work that is not shared: see [`resolve`].
///
/// # Errors
///
/// When it cannot be used, or several are named.
pub fn resolve_one(
    choice: &DeviceChoice,
    warn: impl FnMut(&str),
) -> Result<DeviceName, DeviceError> {
    let devices = resolve(choice, warn)?;
    match devices[..] {
        [device] => Ok(device),
        _ => Err(DeviceError::TooMany {
            count: devices.len(),
        }),
    }
}

/// How results name `devices`.
pub fn names(devices: &[DeviceName]) -> String {
    let names: Vec<String> = devices.iter().map(DeviceName::to_string).collect();
    names.join(",")
}

/// The first GPU that works, or the processor; and for each GPU before it, why it does not work.
fn automatic() -> (DeviceName, Vec<String>) {
    let mut candidates = Vec::new();
    if count("cuda").is_ok() {
        candidates.push(DeviceName::Cuda(0));
    }
    let cards = vulkan()
        .unwrap_or_default()
        .into_iter()
        .filter(|found| found.automatic);
    candidates.extend(cards.map(|found| found.name));
    first_working(candidates, probe)
}

fn first_working(
    candidates: Vec<DeviceName>,
    probe: impl Fn(DeviceName) -> Result<(), String>,
) -> (DeviceName, Vec<String>) {
    let mut passed_over = Vec::new();
    for name in candidates {
        match probe(name) {
            Ok(()) => return (name, passed_over),
            Err(why) => passed_over.push(format!("{name} exists but cannot be used: {why}")),
        }
    }
    (DeviceName::Cpu, passed_over)
}

fn usable(name: DeviceName) -> Result<(), String> {
    let Some(index) = name.index() else {
        return Ok(());
    };
    let kind = name.kind();
    match count(kind).map_err(|why| format!("{why} {REMEDY}"))? {
        1 if index > 0 => Err(format!("there is only one, {kind}:0. {REMEDY}")),
        count if index >= count => Err(format!(
            "there are {count}, {kind}:0 to {kind}:{}. {REMEDY}",
            count - 1
        )),
        _ => probe(name).map_err(|why| format!("{why} {REMEDY}")),
    }
}

const REMEDY: &str = "`calvaria devices` lists what can be used; --device cpu always can.";

/// How many devices of a kind there are; at least one.
fn count(kind: &str) -> Result<usize, String> {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => cuda::count(),
        #[cfg(not(feature = "cuda"))]
        "cuda" => cuda().map(|found| found.len()),
        "vulkan" => vulkan().map(|found| found.len()),
        _ => Ok(1),
    }
}

/// Tries the device with a small sum.
///
/// # Errors
///
/// Why it cannot be used, and what to do.
pub fn probe(name: DeviceName) -> Result<(), String> {
    match name {
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(index) => cuda::probe(index),
        #[cfg(feature = "vulkan")]
        DeviceName::Vulkan(index) => vulkan::probe(index),
        _ => Ok(()),
    }
}

/// Whether a device that was to add eight ones works.
#[cfg(any(feature = "cuda", feature = "vulkan"))]
fn summed(sum: Result<Result<f32, String>, DevicePanic>) -> Result<(), String> {
    match sum {
        Ok(Ok(8.0)) => Ok(()),
        Ok(Ok(other)) => Err(format!("a test sum gave {other} instead of 8.")),
        Ok(Err(message)) => Err(panic::explain(&message)),
        Err(panic) => Err(panic.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_does_not_work_is_passed_over_and_told_of() {
        use DeviceName::{Cpu, Cuda, Vulkan};
        let probe = |name| match name {
            Cuda(_) => Err("no compiler.".to_owned()),
            _ => Ok(()),
        };
        let (device, messages) = first_working(vec![Cuda(0), Vulkan(0)], probe);
        assert_eq!(device, Vulkan(0));
        assert_eq!(messages, ["cuda:0 exists but cannot be used: no compiler."]);
        assert_eq!(first_working(vec![Cuda(0)], probe), (Cpu, messages));
        assert_eq!(first_working(Vec::new(), probe), (Cpu, Vec::new()));
    }
}
