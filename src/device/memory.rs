//! The memory of this process and of its machine, where the system reports it (Linux).

use rustix::process::{Resource, getrlimit};

use super::cpu::proc_value;

/// The most memory that the process has had, in MiB, since it began or since [`restart_peak`].
pub fn peak_memory_mib() -> Option<f64> {
    let bytes = kib("/proc/self/status", "VmHWM")?;
    Some(bytes as f64 / f64::from(1 << 20))
}

/// Lets [`peak_memory_mib`] begin anew, with what the process has now. Returns whether it does.
pub fn restart_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Bytes that this process can still get: the least of what the machine has left, what the process's limit
/// (`ulimit -v`) leaves, and what its control group's limit (a container's, a job's) leaves.
pub fn available_memory() -> Option<u64> {
    let machine = kib("/proc/meminfo", "MemAvailable");
    let swap = kib("/proc/meminfo", "SwapFree").unwrap_or(0);
    let machine = machine.map(|bytes| bytes + swap);
    let limit = getrlimit(Resource::As).current;
    let process = limit.zip(kib("/proc/self/status", "VmSize"));
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    let left = |limit: Option<(u64, u64)>| limit.map(|(most, used)| most.saturating_sub(used));
    [machine, left(process), left(group)]
        .into_iter()
        .flatten()
        .min()
}

/// Bytes, from a line such as `VmHWM:   1024 kB`.
fn kib(file: &str, name: &str) -> Option<u64> {
    let value = proc_value(file, name)?;
    Some(1024 * value.split_whitespace().next()?.parse::<u64>().ok()?)
}

/// The number that is all of a file; none where the file says `max`.
fn number(file: &str) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
