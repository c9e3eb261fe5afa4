//! What a run ran on, and what it used: `environment.json`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::StartedFrom;
use super::commit::commit;
use crate::device::{self, DeviceName, cpu_model, gpu_model, peak_memory_mib};
use crate::files::{FileError, write_json};
use crate::kernel::instruction_set;
use crate::preprocess::cache::InputDigests;

/// Everything about the program, the machine and the input files that could matter for a result.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// What each case was read from: the SHA-256 of its files.
    pub inputs: BTreeMap<String, InputDigests>,
    /// The weights that training started from, if not from new ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_from: Option<StartedFrom>,
    /// Each start of the run, and what it used: one, unless the run was interrupted.
    pub sessions: Vec<Session>,
    #[serde(skip)]
    since: Since,
}

/// One start of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// The program's version.
    pub version: String,
    /// The commit that it was built from, with `-dirty` after it if files had changed, or `unknown`.
    pub commit: String,
    /// Cargo features that it was built with.
    pub features: Vec<String>,
    /// Burn's version.
    pub burn: String,
    /// Where tensors lived.
    pub device: String,
    /// The graphics card's name.
    pub gpu: Option<String>,
    /// The processor's name.
    pub cpu: String,
    /// The instructions with which the CPU's convolutions are computed.
    pub instructions: String,
    /// Threads for work on the CPU.
    pub threads: usize,
    /// Operating system and architecture.
    pub system: String,
    /// The command line.
    pub command: Vec<String>,
    /// When it started, UTC.
    pub started: String,
    /// Seconds from the start of training to the end of scoring.
    pub wall_seconds: f64,
    /// Processor time of all threads over these seconds.
    pub cpu_seconds: f64,
    /// The most memory that the process ever had, if the system reports it.
    pub peak_memory_mib: Option<f64>,
    /// Energy of the processor packages over these seconds, where the system lets it be read (Intel's
    /// and AMD's RAPL). It includes everything else that ran on the machine.
    pub energy_joules: Option<f64>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: commit().into(),
            features: features(),
            burn: env!("CALVARIA_BURN").into(),
            device: String::new(),
            gpu: None,
            cpu: cpu_model(),
            instructions: instruction_set().into(),
            threads: rayon::current_num_threads(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            command: Vec::new(),
            started: OffsetDateTime::now_utc()
                .format(&Rfc3339)
                .unwrap_or_default(),
            wall_seconds: 0.0,
            cpu_seconds: 0.0,
            peak_memory_mib: None,
            energy_joules: None,
        }
    }
}

/// The cargo features that are built in.
fn features() -> Vec<String> {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("vulkan", cfg!(feature = "vulkan")),
    ];
    let built = all.into_iter().filter(|(_, built)| *built);
    built.map(|(name, _)| name.to_owned()).collect()
}

/// The counters when the session started.
#[derive(Clone, Debug)]
struct Since {
    wall: Instant,
    cpu: Duration,
    energy: Option<f64>,
}

impl Environment {
    /// Starts a session of the run whose record is, or will be, in `file`.
    pub fn start(
        file: &Path,
        devices: &[DeviceName],
        command: &[String],
        inputs: BTreeMap<String, InputDigests>,
    ) -> Self {
        #[derive(Deserialize)]
        struct Earlier {
            #[serde(default)]
            started_from: Option<StartedFrom>,
            sessions: Vec<Session>,
        }
        let earlier = std::fs::read(file).ok();
        // An older record that cannot be read must not stop a run.
        let earlier = earlier.and_then(|bytes| serde_json::from_slice::<Earlier>(&bytes).ok());
        let (started_from, mut sessions) = earlier.map_or_else(Default::default, |earlier| {
            (earlier.started_from, earlier.sessions)
        });
        sessions.push(Session {
            device: device::names(devices),
            gpu: gpus(devices),
            command: command.to_vec(),
            ..Session::default()
        });
        Self {
            inputs,
            started_from,
            sessions,
            since: Since {
                wall: Instant::now(),
                cpu: cpu_time(),
                energy: energy(),
            },
        }
    }

    /// What the session runs on, in a line.
    pub fn line(&self) -> String {
        self.sessions.last().map_or_else(String::new, |session| {
            format!(
                "calvaria {} ({}) on {}: {}, {} threads, {}, {}",
                session.version,
                session.commit,
                session.device,
                session.gpu.as_ref().unwrap_or(&session.cpu),
                session.threads,
                session.instructions,
                session.system
            )
        })
    }

    /// Writes the record with what the session has used so far.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, file: &Path) -> Result<(), FileError> {
        let since = &self.since;
        if let Some(session) = self.sessions.last_mut() {
            session.wall_seconds = since.wall.elapsed().as_secs_f64();
            session.cpu_seconds = (cpu_time() - since.cpu).as_secs_f64();
            session.peak_memory_mib = peak_memory_mib();
            let used = energy().zip(since.energy).map(|(now, then)| now - then);
            // The counter overflows to 0 at times.
            session.energy_joules = used.filter(|joules| *joules >= 0.0);
        }
        write_json(file, self)
    }
}

/// The makers' names of the GPUs among `devices`.
fn gpus(devices: &[DeviceName]) -> Option<String> {
    let models: Vec<String> = devices.iter().copied().filter_map(gpu_model).collect();
    (!models.is_empty()).then(|| models.join(", "))
}

/// Processor time of this process so far, of all its threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The energy counters of all processor packages together, in joules.
fn energy() -> Option<f64> {
    let packages = std::fs::read_dir("/sys/class/powercap").ok()?;
    let packages = packages.filter_map(|entry| Some(entry.ok()?.path()));
    // `intel-rapl:0` is a package; `intel-rapl:0:1` is a part of one.
    let whole = packages.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("rapl:") && name.matches(':').count() == 1
    });
    let counters: Vec<f64> = whole
        .filter_map(|path| std::fs::read_to_string(path.join("energy_uj")).ok())
        .filter_map(|text| text.trim().parse::<f64>().ok())
        .collect();
    (!counters.is_empty()).then(|| counters.iter().sum::<f64>() / 1e6)
}
