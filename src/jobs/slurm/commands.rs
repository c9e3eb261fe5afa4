//! Slurm's programs and what they print.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::jobs::ExecutorError;

/// A task as Slurm reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `PENDING`, `RUNNING`, …
    pub state: String,
    /// The node it runs on.
    pub node: String,
    /// Why it waits or ended.
    pub reason: String,
}

/// What a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Active,
    /// It ended by itself, and left an exit status.
    Ended,
    /// Slurm ended it.
    Killed,
}

impl Row {
    pub(super) fn phase(&self) -> Phase {
        match self.state.as_str() {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT"
            | "RESV_DEL_HOLD" => Phase::Waiting,
            "COMPLETED" | "FAILED" => Phase::Ended,
            "BOOT_FAIL" | "CANCELLED" | "DEADLINE" | "NODE_FAIL" | "OUT_OF_MEMORY"
            | "PREEMPTED" | "REVOKED" | "TIMEOUT" => Phase::Killed,
            // RUNNING, COMPLETING, CONFIGURING, SUSPENDED, … and what later versions add.
            _ => Phase::Active,
        }
    }
}

/// The user's tasks that Slurm knows, by job and index; those that ended stay a few minutes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub rows: HashMap<(u64, usize), Row>,
    /// Jobs by name.
    pub names: HashMap<String, u64>,
}

/// Slurm's programs.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    bin: Option<PathBuf>,
}

impl Commands {
    pub(super) fn new(bin: Option<&PathBuf>) -> Self {
        Self { bin: bin.cloned() }
    }

    /// Submits a script from its folder; the number of the job.
    pub(super) fn sbatch(&self, script: &Path) -> Result<u64, ExecutorError> {
        let folder = script.parent().unwrap_or(Path::new("."));
        let name = script.file_name().unwrap_or_default();
        let printed = self.run("sbatch", &[OsStr::new("--parsable"), name], folder)?;
        // `123`, or `123;cluster` where there are several.
        let number = printed
            .trim()
            .split(';')
            .next()
            .and_then(|number| number.parse().ok());
        number.ok_or_else(|| ExecutorError::Refused {
            command: format!("sbatch {}", script.display()),
            why: format!("it printed {printed:?} instead of a job's number"),
            remedy: "",
        })
    }

    pub(super) fn squeue(&self) -> Result<Queue, ExecutorError> {
        let arguments = [
            "--me",
            "--array",
            "--noheader",
            "--states=all",
            "--format=%F|%K|%T|%N|%j|%r",
        ];
        Ok(parse_squeue(&self.run(
            "squeue",
            &arguments.map(OsStr::new),
            Path::new("."),
        )?))
    }

    /// The state of a task in Slurm's accounting, if there is any and it knows the task.
    pub(super) fn sacct(&self, job: u64, task: usize) -> Option<Row> {
        let id = format!("--jobs={job}_{task}");
        let arguments = [
            "--noheader",
            "--parsable2",
            "--allocations",
            "--format=JobID,State,Reason",
            &id,
        ];
        parse_sacct(
            &self
                .run("sacct", &arguments.map(OsStr::new), Path::new("."))
                .ok()?,
            job,
            task,
        )
    }

    /// Cancels tasks that wait or run; Slurm asks those that run to end, and kills them if they take too long.
    pub(super) fn scancel(&self, tasks: &[(u64, usize)]) -> Result<(), ExecutorError> {
        // Thousands of words fit on a command line; more tasks than that are cancelled in turns.
        for some in tasks.chunks(1000) {
            let words: Vec<String> = some
                .iter()
                .map(|(job, task)| format!("{job}_{task}"))
                .collect();
            let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            self.run("scancel", &words, Path::new("."))?;
        }
        Ok(())
    }

    fn run(
        &self,
        program: &str,
        arguments: &[&OsStr],
        folder: &Path,
    ) -> Result<String, ExecutorError> {
        let path = self
            .bin
            .as_ref()
            .map_or(PathBuf::from(program), |bin| bin.join(program));
        let output = Command::new(&path)
            .args(arguments)
            .current_dir(folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| ExecutorError::NoSlurm {
                program: path.display().to_string(),
                source,
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        let mut why = String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace(&format!("{program}: error: "), "")
            .replace('\n', "; ");
        if why.is_empty() {
            why = output.status.to_string();
        }
        let remedy = remedy(&why);
        Err(ExecutorError::Refused {
            command: format!("{program} {}", words.join(" ")),
            why,
            remedy,
        })
    }
}

/// What to do about a refusal.
fn remedy(why: &str) -> &'static str {
    let known = [
        (
            "nvalid partition",
            ". Set executor.slurm.partition to one that `sinfo` lists.",
        ),
        (
            "nvalid account",
            ". Set executor.slurm.account to one of yours: `sacctmgr show associations user=$USER`.",
        ),
        (
            "nvalid qos",
            ". Set executor.slurm.qos to one that `sacctmgr show qos` lists.",
        ),
        (
            "nvalid generic resource",
            ". Set executor.slurm.gres to one that `sinfo --format=%G` lists.",
        ),
        (
            "node configuration is not available",
            ". No node has that much: lower executor.slurm.memory, cpus or gres.",
        ),
        (
            "ime limit",
            ". Lower executor.slurm.time; `sinfo --format='%P %l'` lists the limits.",
        ),
        (
            "job array",
            ". Lower the number of jobs at once, or ask for a larger MaxArraySize.",
        ),
        (
            "ubmit",
            ". Lower executor.slurm.array_limit or the sweep's parallelism, or wait until fewer jobs are queued.",
        ),
        (
            "nable to contact",
            ". Try again when Slurm's controller answers (`sinfo`).",
        ),
        (
            "stablish a configuration",
            ". Start the sweep where Slurm is set up, such as a login node.",
        ),
    ];
    known
        .iter()
        .find(|(part, _)| why.contains(part))
        .map_or("", |(_, remedy)| remedy)
}

fn parse_squeue(printed: &str) -> Queue {
    let mut queue = Queue::default();
    for line in printed.lines() {
        // The reason comes last: it may hold anything.
        let mut fields = line.trim().splitn(6, '|');
        let mut next = || fields.next().unwrap_or_default().to_owned();
        let (job, task, state, node, name, reason) =
            (next(), next(), next(), next(), next(), next());
        // Jobs other than arrays are not ours: their index is N/A.
        let (Ok(job), Ok(task)) = (job.parse(), task.parse()) else {
            continue;
        };
        queue.names.insert(name, job);
        queue.rows.insert(
            (job, task),
            Row {
                state,
                node,
                reason,
            },
        );
    }
    queue
}

fn parse_sacct(printed: &str, job: u64, task: usize) -> Option<Row> {
    let id = format!("{job}_{task}");
    // The last line is the latest start.
    let line = printed
        .lines()
        .rfind(|line| line.split('|').next() == Some(&id))?;
    let mut fields = line.split('|').skip(1);
    // `CANCELLED by 1000`
    let state = fields.next()?.split(' ').next()?.to_owned();
    Some(Row {
        state,
        node: String::new(),
        reason: fields.next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Printed by Slurm 22.05.8, but for the last line, which is of the form in its manual.
    const SQUEUE: &str = "1|0|CANCELLED|vm|toy-00ff00-0001|None\n1|1|PENDING||toy-00ff00-0001|BeginTime\n\
                          1|2|RUNNING|vm|toy-00ff00-0001|None\n7|N/A|RUNNING|vm|mine|None\n\
                          9|0|PENDING||toy-00ff00-0002|(a|b)\n";

    #[test]
    fn the_queue_is_read() {
        let queue = parse_squeue(SQUEUE);
        assert_eq!(queue.rows.len(), 4);
        assert_eq!(queue.names["toy-00ff00-0002"], 9);
        let phases = [0, 1, 2].map(|task| queue.rows[&(1, task)].phase());
        assert_eq!(phases, [Phase::Killed, Phase::Waiting, Phase::Active]);
        assert_eq!(queue.rows[&(1, 2)].node, "vm");
        assert_eq!(queue.rows[&(9, 0)].reason, "(a|b)");
    }

    #[test]
    fn accounting_says_how_the_latest_start_ended() {
        let printed = "12_3|REQUEUED|None\n12_3|CANCELLED by 1000|None\n12_30|TIMEOUT|None\n";
        assert_eq!(parse_sacct(printed, 12, 3).unwrap().state, "CANCELLED");
        assert_eq!(parse_sacct(printed, 12, 30).unwrap().phase(), Phase::Killed);
        assert_eq!(parse_sacct(printed, 12, 0), None);
    }
}
