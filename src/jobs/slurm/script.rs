//! The batch script of an array, and the table of its tasks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Slurm;
use crate::files::{create_folder, hex, write_atomic};
use crate::jobs::{ExecutorError, Job, quote, quote_command};

/// The part of the script that is always the same.
const TASK: &str = include_str!("task.sh");
const SETUP: &str = "# @setup@\n";

/// An array's files: `array-0003.sh`, its table `array-0003.tasks.sh`, and the folder `array-0003` with
/// what the tasks leave: how often each started (`5.started`) and its exit status (`5.exit`).
pub(super) struct Array<'a> {
    slurm: &'a Slurm,
    folder: PathBuf,
    number: usize,
}

impl<'a> Array<'a> {
    pub(super) fn new(slurm: &'a Slurm, home: &Path, number: usize) -> Self {
        Self {
            slurm,
            folder: folder(home),
            number,
        }
    }

    fn stem(&self) -> String {
        format!("array-{:04}", self.number)
    }

    pub(super) fn script_path(&self) -> PathBuf {
        self.folder.join(format!("{}.sh", self.stem()))
    }

    pub(super) fn table_path(&self) -> PathBuf {
        self.folder.join(format!("{}.tasks.sh", self.stem()))
    }

    /// Where the table of a withdrawn array is: without one its tasks do nothing.
    pub(super) fn withdrawn_path(&self) -> PathBuf {
        self.folder.join(format!("{}.withdrawn.sh", self.stem()))
    }

    /// The folder of what the tasks leave.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(self.stem())
    }

    /// The job's name in Slurm: the folder's and, as others may be called the same, a digest of its path.
    pub(super) fn name(&self) -> String {
        let home = self.folder.parent().unwrap_or(&self.folder);
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        };
        let label: String = home
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .chars()
            .map(plain)
            .take(32)
            .collect();
        let digest = hex(&Sha256::digest(home.as_os_str().as_bytes())[..3]);
        format!("{label}-{digest}-{:04}", self.number)
    }

    /// Writes the script and the table.
    pub(super) fn write(&self, jobs: &[Job]) -> Result<(), ExecutorError> {
        let (script, table) = (self.script(jobs.len())?, self.table(jobs)?);
        create_folder(&self.files())?;
        write_atomic(&self.table_path(), |file| file.write_all(&table))?;
        write_atomic(&self.script_path(), |file| file.write_all(&script))?;
        Ok(())
    }

    /// The batch script for this many tasks.
    pub(super) fn script(&self, tasks: usize) -> Result<Vec<u8>, ExecutorError> {
        let slurm = self.slurm;
        let at_once = slurm
            .array_limit
            .map_or(String::new(), |limit| format!("%{limit}"));
        let mut options = vec![
            format!("--job-name={}", self.name()),
            format!("--array=0-{}{at_once}", tasks.saturating_sub(1)),
            // Relative to the folder of this file, from which it is submitted.
            format!("--output={}/%a.out", self.stem()),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            format!("--signal=B:USR1@{}", slurm.save_time),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", slurm.cpus),
        ];
        options.extend(
            slurm
                .options()
                .iter()
                .map(|(_, option, value)| format!("{option}={value}")),
        );
        options.extend(slurm.extra.iter().cloned());
        let header: String = options
            .iter()
            .map(|option| format!("#SBATCH {option}\n"))
            .collect();
        let scontrol = slurm
            .bin
            .as_ref()
            .map_or(PathBuf::from("scontrol"), |bin| bin.join("scontrol"));
        let here = std::env::current_dir().unwrap_or_default();
        let assignments = [
            assign("calvaria_array", self.files().as_os_str()),
            assign("calvaria_folder", here.as_os_str()),
            assign("calvaria_scontrol", scontrol.as_os_str()),
            format!("calvaria_requeues={}\n", slurm.requeues).into_bytes(),
            format!("calvaria_patience={}\n", slurm.save_time * 2 / 3).into_bytes(),
            format!("export RAYON_NUM_THREADS={}\n", slurm.cpus).into_bytes(),
        ];
        let (before, after) = TASK.split_once(SETUP).unwrap_or((TASK, ""));
        let setup: String = slurm.setup.iter().map(|line| format!("{line}\n")).collect();
        let parts = [
            b"#!/bin/bash\n",
            header.as_bytes(),
            b"\n",
            &assignments.concat(),
            before.as_bytes(),
            setup.as_bytes(),
            after.as_bytes(),
        ];
        Ok(parts.concat())
    }

    /// What each task does: its job's name, log and command line, by the task's index.
    pub(super) fn table(&self, jobs: &[Job]) -> Result<Vec<u8>, ExecutorError> {
        let mut table = b"case \"$SLURM_ARRAY_TASK_ID\" in\n".to_vec();
        for (index, job) in jobs.iter().enumerate() {
            let device = ["--device".into(), self.slurm.device.clone().into()];
            let words = [job.command.as_slice(), &device].concat();
            let line = quote_command(&words).ok_or_else(|| ExecutorError::Nul {
                job: job.id.clone(),
            })?;
            let log = std::path::absolute(&job.log).unwrap_or_else(|_| job.log.clone());
            table.extend(format!("{index})\n").as_bytes());
            table.extend(assign("  calvaria_job", job.id.to_string().as_ref()));
            table.extend(assign("  calvaria_log", log.as_os_str()));
            table.extend(b"  calvaria_command=(");
            table.extend(line.as_bytes());
            table.extend(b")\n  ;;\n");
        }
        table.extend(b"esac\n");
        Ok(table)
    }
}

/// The folder of the arrays, as every node must see it.
pub(super) fn folder(home: &Path) -> PathBuf {
    std::path::absolute(home)
        .unwrap_or_else(|_| home.to_owned())
        .join("slurm")
}

fn assign(name: &str, value: &OsStr) -> Vec<u8> {
    // Paths and names cannot hold a NUL, the one thing that cannot be quoted.
    let value = quote(value).unwrap_or_default();
    [name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat()
}
