//! What a run ran on: `environment.json`.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Options;

/// Everything about the program and the machine that could matter for a result.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// The program's version.
    pub version: &'static str,
    /// The commit that it was built from, with `-dirty` after it if files had changed.
    pub commit: &'static str,
    /// Cargo features that it was built with.
    pub features: Vec<&'static str>,
    /// Burn's version.
    pub burn: &'static str,
    /// Where tensors lived.
    pub device: String,
    /// The processor's name.
    pub cpu: String,
    /// Threads for work on the CPU.
    pub threads: usize,
    /// Operating system and architecture.
    pub system: String,
    /// The command line.
    pub command: Vec<String>,
    /// When the run (or its continuation) started, UTC.
    pub started: String,
}

impl Environment {
    /// The environment at this moment.
    pub fn now(options: &Options) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("CALVARIA_COMMIT"),
            features: if cfg!(feature = "cuda") {
                vec!["cuda"]
            } else {
                Vec::new()
            },
            burn: "0.21.0",
            device: options.device.clone(),
            cpu: cpu_name(),
            threads: rayon::current_num_threads(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            command: options.command.clone(),
            started: OffsetDateTime::now_utc()
                .format(&Rfc3339)
                .unwrap_or_default(),
        }
    }
}

fn cpu_name() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".into())
}
