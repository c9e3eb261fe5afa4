//! Worker processes on this machine.

mod pool;
mod worker;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutorError, Job, JobExecutor, JobId, Pool, State, quote_command};
use crate::device::DeviceChoice;
use crate::settings::Fault;
use pool::LocalPool;
use worker::states;

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

impl JobExecutor for Local {
    fn dry_run(&self, _folder: &Path, jobs: &[Job]) -> Result<String, ExecutorError> {
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

    fn open(&self, folder: &Path) -> Result<Box<dyn Pool>, ExecutorError> {
        Ok(Box::new(LocalPool::open(self, folder)?))
    }

    fn states(&self, folder: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
        states(folder)
    }

    fn workers(&self) -> Option<usize> {
        Some(self.workers)
    }

    fn names_devices(&self) -> bool {
        self.devices.iter().any(|device| device != "auto")
    }

    fn rules(&self) -> Vec<Fault> {
        let devices = self.devices.iter().enumerate();
        devices
            .filter_map(|(index, device)| device_fault(&format!("devices.{index}"), device))
            .collect()
    }
}

impl Local {
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
}

/// What is wrong with the device at `key`, which must be what `--device` takes.
pub(super) fn device_fault(key: &str, device: &str) -> Option<Fault> {
    let message = device.parse::<DeviceChoice>().err()?;
    Some(Fault::new(key, message))
}
