//! Where networks are computed: what devices are called, which are there, and why one cannot be used.
//!
//! Burn panics where a GPU, its driver or its memory is not as it should be, in threads of its own as
//! well; here those panics become sentences ([`guard`]).

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod guard;
mod name;
#[cfg(feature = "vulkan")]
mod vulkan;

use serde::Serialize;

pub use cpu::{model as cpu_model, peak_memory_mib};
pub use guard::{Broken, guard};
pub use name::{DeviceChoice, DeviceName};
#[cfg(feature = "vulkan")]
pub use vulkan::device as vulkan_device;

/// A device that is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Its name.
    pub name: DeviceName,
    /// The maker's name of it.
    pub model: String,
    /// Its memory, in bytes, where it tells.
    pub memory: Option<u64>,
    /// The rest worth knowing: driver, compute capability, instructions.
    pub details: String,
    /// Whether `auto` would take it.
    pub automatic: bool,
    /// What its user has to beware of.
    pub caution: Option<String>,
}

/// The devices of a kind, or why none can be used.
pub type Inventory = Result<Vec<Found>, String>;

/// All kinds of devices and what there is of each, the best kind first.
pub fn inventory() -> Vec<(&'static str, Inventory)> {
    vec![
        ("cuda", cuda()),
        ("vulkan", vulkan()),
        ("cpu", Ok(vec![cpu::found()])),
    ]
}

/// What its maker calls a GPU; none where it is none, or not there.
pub fn gpu_model(name: DeviceName) -> Option<String> {
    Some(gpu(name)?.model)
}

/// What a user of the device has to beware of.
pub fn caution(name: DeviceName) -> Option<String> {
    gpu(name)?.caution
}

fn gpu(name: DeviceName) -> Option<Found> {
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

/// The devices that `choice` means, each of which is there and does a small sum.
///
/// # Errors
///
/// Which device cannot be used, why, and what to do.
pub fn resolve(choice: &DeviceChoice) -> Result<Vec<DeviceName>, String> {
    let names = match choice {
        DeviceChoice::Auto => return Ok(vec![automatic().0]),
        DeviceChoice::Named(names) => names,
    };
    for &name in names {
        usable(name).map_err(|why| format!("the device {name} cannot be used: {why}"))?;
    }
    Ok(names.clone())
}

/// The first GPU that works, or the processor; and of each GPU before it why it does not work.
pub fn automatic() -> (DeviceName, Vec<String>) {
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
            Err(why) => passed_over.push(format!("{name} is there but cannot be used: {why}")),
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

/// What a sum of eight ones says of the device that did it.
#[cfg(any(feature = "cuda", feature = "vulkan"))]
fn summed(sum: Result<Result<f32, String>, Broken>) -> Result<(), String> {
    match sum {
        Ok(Ok(8.0)) => Ok(()),
        Ok(Ok(other)) => Err(format!("it says that eight ones are {other}.")),
        Ok(Err(said)) => Err(guard::explain(&said)),
        Err(broken) => Err(broken.to_string()),
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
        let (device, told) = first_working(vec![Cuda(0), Vulkan(0)], probe);
        assert_eq!(device, Vulkan(0));
        assert_eq!(told, ["cuda:0 is there but cannot be used: no compiler."]);
        assert_eq!(first_working(vec![Cuda(0)], probe), (Cpu, told));
        assert_eq!(first_working(Vec::new(), probe), (Cpu, Vec::new()));
    }
}
