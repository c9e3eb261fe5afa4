//! Worker processes on this machine.

mod pool;
mod worker;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutorError, Job, quote_command};
use crate::device::DeviceChoice;
use pool::LocalPool;

pub(super) use worker::states;

/// Worker processes on this machine, each with its share of the processor or a GPU of its own. A worker
/// that dies fails its own job and nothing else.
///
/// Workers end with this program: they are asked to save when it stops or dies (the latter needs `setpriv`
/// of util-linux; without it the next start asks them, and waits for them).
///
/// Reference: none; ordinary processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Local {
    /// Jobs at once.
    #[schemars(range(min = 1))]
    pub workers: usize,
    /// Threads of each worker: a number, or `auto` for its share of the processor's.
    pub threads: Threads,
    /// The devices, as for `--device`: worker 0 uses the first, worker 1 the second, and so on; further workers
    /// begin again with the first.
    #[schemars(
        length(min = 1),
        inner(regex(pattern = r"^(auto|cpu|(cuda|vulkan)(:[0-9]+)?)$"))
    )]
    pub devices: Vec<String>,
    /// The most host memory that a worker may use, in GiB; it fails if it asks for more. Without it the only
    /// limit is the machine's memory.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub memory: Option<f64>,
    /// How long a worker that was asked to stop may take to save, in seconds.
    #[schemars(range(min = 0.0, max = 86400.0))]
    pub grace: f64,
}

/// How many threads a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be auto, or a number of threads")]
pub enum Threads {
    /// Its share.
    Auto(Auto),
    /// This many.
    Count(#[schemars(range(min = 1))] usize),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// `auto`
    Auto,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            workers: 1,
            threads: Threads::Auto(Auto::Auto),
            devices: vec!["auto".into()],
            memory: None,
            grace: 120.0,
        }
    }
}

impl Local {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.workers == 0 {
            return Err("workers must be at least 1".into());
        }
        if self.threads == Threads::Count(0) {
            return Err("threads must be auto or at least 1".into());
        }
        if self.devices.is_empty() {
            return Err("devices must name at least one".into());
        }
        self.devices
            .iter()
            .try_for_each(|device| validate_device(device))?;
        if self
            .memory
            .is_some_and(|gib| !(gib.is_finite() && gib > 0.0))
        {
            return Err("memory must be above 0".into());
        }
        if !(0.0..=86400.0).contains(&self.grace) {
            return Err("grace must lie in 0..=86400".into());
        }
        Ok(())
    }

    /// The threads of each worker.
    fn thread_count(&self) -> usize {
        match self.threads {
            Threads::Count(count) => count,
            Threads::Auto(_) => {
                let all = std::thread::available_parallelism().map_or(1, usize::from);
                (all / self.workers).max(1)
            }
        }
    }

    fn device(&self, slot: usize) -> &str {
        self.devices
            .get(slot % self.devices.len().max(1))
            .map_or("auto", String::as_str)
    }

    pub(super) fn dry_run(&self, jobs: &[Job]) -> Result<String, ExecutorError> {
        let threads = self.thread_count();
        let line = |(index, job): (usize, &Job)| {
            let slot = index % self.workers.max(1);
            let words = [
                job.command.as_slice(),
                &["--device".into(), self.device(slot).into()],
            ]
            .concat();
            let line = quote_command(&words).ok_or_else(|| ExecutorError::Nul {
                job: job.id.clone(),
            })?;
            Ok(format!(
                "# {}, worker {slot}\nRAYON_NUM_THREADS={threads} {}\n",
                job.id,
                line.to_string_lossy()
            ))
        };
        jobs.iter().enumerate().map(line).collect()
    }

    pub(super) fn open(&self, home: &Path) -> Result<LocalPool, ExecutorError> {
        LocalPool::open(self, home)
    }
}

/// Whether `device` is what `--device` takes.
pub(super) fn validate_device(device: &str) -> Result<(), String> {
    device.parse::<DeviceChoice>().map(|_| ())
}
