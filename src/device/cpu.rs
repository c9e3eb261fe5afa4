//! The processor.

use super::{DeviceInfo, DeviceName};
use crate::kernel::instruction_set;

pub(super) fn found() -> DeviceInfo {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    DeviceInfo {
        name: DeviceName::Cpu,
        model: model(),
        memory: memory(),
        details: format!("{threads} threads, {}", instruction_set()),
        automatic: true,
        warning: None,
    }
}

/// The processor's name, if the system reports it.
pub fn model() -> String {
    proc_value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into())
}

fn memory() -> Option<u64> {
    let kib = proc_value("/proc/meminfo", "MemTotal")?;
    Some(kib.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The value of the first line `name : value` of a system's text file.
pub(super) fn proc_value(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
