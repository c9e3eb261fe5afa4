//! Job arrays on a cluster that runs Slurm.

mod commands;
mod pool;
mod record;
mod script;
mod task_status;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::local::device_fault;
use super::{ExecutorError, Job, JobExecutor, JobId, Pool, State};
use crate::settings::Fault;
use pool::SlurmPool;

/// Job arrays on a cluster that runs Slurm, one task per job. The arrays run without this program. It may end
/// or be killed; the next start finds them again. Near its time limit a task saves, returns to the queue and
/// resumes later. Slurm's accounting is used if there is any.
///
/// What is not set here is left to the cluster's defaults. The script and the record of submissions are
/// in the folder `slurm` of the results, which all nodes must see under the same path.
///
/// Reference: Yoo, Jette & Grondona, JSSPP 2003; the manual of sbatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Slurm {
    /// The partition.
    pub partition: Option<String>,
    /// The account that is charged.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The time limit of a task, such as `04:00:00` or `1-12` (days-hours).
    #[schemars(regex(pattern = r"^[0-9]+(:[0-9]+){0,2}$|^[0-9]+-[0-9]+(:[0-9]+){0,2}$"))]
    pub time: Option<String>,
    /// Host memory of a task, such as `32G`.
    #[schemars(regex(pattern = r"^[0-9]+[KMGT]?$"))]
    pub memory: Option<String>,
    /// Generic resources of a task, such as `gpu:1`.
    pub gres: Option<String>,
    /// CPU threads of a task.
    #[schemars(range(min = 1))]
    pub cpus: usize,
    /// Features that the node must have.
    pub constraint: Option<String>,
    /// Nodes to use.
    pub nodelist: Option<String>,
    /// Nodes to avoid.
    pub exclude: Option<String>,
    /// The device of a task, as for `--device`; Slurm shows it only the GPUs that are its own.
    #[schemars(regex(pattern = r"^(auto|cpu|(cuda|vulkan)(:[0-9]+)?)$"))]
    pub device: String,
    /// Shell lines that set up the environment of a task, such as `module load cuda`.
    pub setup: Vec<String>,
    /// Tasks of an array at once; without it as many as the cluster starts.
    #[schemars(range(min = 1))]
    pub array_limit: Option<usize>,
    /// Further options of sbatch, such as `--exclusive`.
    pub extra: Vec<String>,
    /// How long before its time limit a task is asked to save, in seconds. Slurm may be a minute early.
    #[schemars(range(min = 10, max = 65535))]
    pub save_time: u32,
    /// How often a task that reached its time limit is resumed.
    pub requeues: u32,
    /// How often Slurm is asked about the jobs, in seconds.
    #[schemars(range(min = 0.1, max = 3600.0))]
    pub poll: f64,
    /// Whether the arrays keep running when this program is stopped; otherwise they are cancelled.
    pub detach: bool,
    /// The folder of sbatch, squeue, scancel and scontrol, if they are not on the path.
    #[schemars(with = "Option<String>")]
    pub bin: Option<PathBuf>,
}

impl Default for Slurm {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            memory: None,
            gres: None,
            cpus: 1,
            constraint: None,
            nodelist: None,
            exclude: None,
            device: "auto".into(),
            setup: Vec::new(),
            array_limit: None,
            extra: Vec::new(),
            save_time: 90,
            requeues: 10,
            poll: 10.0,
            detach: false,
            bin: None,
        }
    }
}

/// Options of sbatch that the executor itself needs, and their short forms.
const OURS: [&str; 13] = [
    "--array",
    "--chdir",
    "--error",
    "--job-name",
    "--no-requeue",
    "--open-mode",
    "--output",
    "--parsable",
    "--requeue",
    "--signal",
    "--test-only",
    "--wait",
    "--wrap",
];
const OURS_SHORT: [&str; 6] = ["-a", "-D", "-e", "-J", "-o", "-W"];

impl JobExecutor for Slurm {
    fn open(&self, folder: &Path) -> Result<Box<dyn Pool>, ExecutorError> {
        Ok(Box::new(SlurmPool::open(self, folder)?))
    }

    fn states(&self, folder: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
        pool::states(self, folder)
    }

    fn dry_run(&self, folder: &Path, jobs: &[Job]) -> Result<String, ExecutorError> {
        let array = script::Array::new(self, folder, 1);
        let script = array.script(jobs.len())?;
        let table = array.table(jobs)?;
        let mut text = format!("# {}\n", array.script_path().display());
        text.push_str(&String::from_utf8_lossy(&script));
        text.push_str(&format!("\n# {}\n", array.table_path().display()));
        text.push_str(&String::from_utf8_lossy(&table));
        Ok(text)
    }

    fn workers(&self) -> Option<usize> {
        self.array_limit
    }

    fn names_devices(&self) -> bool {
        self.device != "auto"
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "\"'\\#".contains(c);
        for (key, _, value) in self.options() {
            if value.is_empty() || value.contains(is_odd) {
                let message = format!(
                    "{key} must be without spaces, quotes, backslashes and #, and not empty"
                );
                faults.push(Fault::new(key, message));
            }
        }
        if self.time.as_deref().is_some_and(|time| !is_time(time)) {
            let message = "time must be such as 90 (minutes), 04:00:00 or 1-12 (days-hours)";
            faults.push(Fault::new("time", message));
        }
        if self
            .memory
            .as_deref()
            .is_some_and(|memory| !is_memory(memory))
        {
            let message = "memory must be a number with K, M, G or T, such as 32G";
            faults.push(Fault::new("memory", message));
        }
        faults.extend(device_fault("device", &self.device));
        let options = self.extra.iter().enumerate();
        faults.extend(options.filter_map(|(index, option)| {
            Some(Fault::new(format!("extra.{index}"), refused(option)?))
        }));
        if self.setup.iter().any(|line| line.contains('\0')) {
            faults.push(Fault::new("setup", "setup must hold no NUL character"));
        }
        faults
    }
}

impl Slurm {
    /// The options that are set: key, option of sbatch, value.
    fn options(&self) -> Vec<(&'static str, &'static str, &str)> {
        let all = [
            ("partition", "--partition", &self.partition),
            ("account", "--account", &self.account),
            ("qos", "--qos", &self.qos),
            ("time", "--time", &self.time),
            ("memory", "--mem", &self.memory),
            ("gres", "--gres", &self.gres),
            ("constraint", "--constraint", &self.constraint),
            ("nodelist", "--nodelist", &self.nodelist),
            ("exclude", "--exclude", &self.exclude),
        ];
        all.into_iter()
            .filter_map(|(key, option, value)| Some((key, option, value.as_deref()?)))
            .collect()
    }
}

/// `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours` and so on.
fn is_time(text: &str) -> bool {
    let (days, clock) = text
        .split_once('-')
        .map_or((None, text), |(days, clock)| (Some(days), clock));
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    days.is_none_or(number) && clock.split(':').count() <= 3 && clock.split(':').all(number)
}

fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
}

/// Why an option of sbatch is refused, if it is.
fn refused(option: &str) -> Option<String> {
    let name = option.split(['=', ' ']).next().unwrap_or_default();
    if !name.starts_with('-') || option.chars().any(char::is_control) {
        return Some(format!(
            "extra must list options of sbatch, such as --exclusive; `{option}` is not one"
        ));
    }
    let short = OURS_SHORT
        .iter()
        .any(|ours| !name.starts_with("--") && name.starts_with(ours));
    (short || OURS.contains(&name))
        .then(|| format!("extra must leave {name} alone: the executor sets it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_would_misread_is_refused_by_name() {
        let refused = |slurm: Slurm, key: &str| {
            let faults = slurm.rules();
            assert!(faults[0].path.starts_with(key), "{faults:?}");
        };
        let default = Slurm::default;
        assert_eq!(default().rules(), []);
        refused(
            Slurm {
                partition: Some("gpu\n#SBATCH -w x".into()),
                ..default()
            },
            "partition",
        );
        refused(
            Slurm {
                account: Some(String::new()),
                ..default()
            },
            "account",
        );
        refused(
            Slurm {
                time: Some("4h".into()),
                ..default()
            },
            "time",
        );
        refused(
            Slurm {
                memory: Some("32GB".into()),
                ..default()
            },
            "memory",
        );
        refused(
            Slurm {
                device: "gpu".into(),
                ..default()
            },
            "device",
        );
        for option in [
            "exclusive",
            "--array=0-3",
            "-a0-3",
            "-J x",
            "--signal=TERM",
            "--x\nrm",
        ] {
            refused(
                Slurm {
                    extra: vec![option.into()],
                    ..default()
                },
                "extra",
            );
        }
        for time in ["90", "90:00", "04:00:00", "1-12", "1-12:30:00"] {
            let slurm = Slurm {
                time: Some(time.into()),
                ..default()
            };
            assert_eq!(slurm.rules(), []);
        }
        let slurm = Slurm {
            extra: vec!["--exclusive".into()],
            ..default()
        };
        assert_eq!(slurm.rules(), []);
    }
}
