//! The Slurm executor against programs that answer as Slurm does; the cluster itself is in
//! `tests/slurm`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use calvaria::jobs::{Executor, ExecutorError, Job, JobId, Outcome, Pool, Slurm, State};
use calvaria::sweep::RunKey;

/// `sbatch` numbers jobs from 101 on and puts their tasks into the file `queue`, which `squeue` prints.
const SBATCH: &str = r#"#!/bin/bash
cd "$(dirname "$0")" && here=$PWD && cd "$OLDPWD"
echo "sbatch $*" >>"$here/calls"
[ -e "$here/refusal" ] && { cat "$here/refusal" >&2; exit 1; }
name=$(sed -n 's/^#SBATCH --job-name=//p' "$2")
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$2")
job=$((101 + $(cat "$here/jobs" 2>/dev/null || echo 0)))
echo $((job - 100)) >"$here/jobs"
for task in $(seq 0 "$last"); do echo "$job|$task|PENDING||$name|Priority" >>"$here/queue"; done
[ -e "$here/time-out" ] && { echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1; }
echo "$job;cluster"
"#;
const SQUEUE: &str = r#"#!/bin/bash
cd "$(dirname "$0")"
[ -e down ] && { echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1; }
touch queue; cat queue
"#;
const NOTE: &str = "#!/bin/bash\necho \"$(basename \"$0\") $*\" >>\"$(dirname \"$0\")/calls\"\n";
const SACCT: &str = "#!/bin/bash\ncd \"$(dirname \"$0\")\"; cat accounts 2>/dev/null\n";

/// A study with odd characters in its path, and Slurm's programs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::Builder::new()
                .prefix("it's $HOME ")
                .tempdir()
                .unwrap(),
        };
        std::fs::create_dir(place.bin()).unwrap();
        for (name, text) in [
            ("sbatch", SBATCH),
            ("squeue", SQUEUE),
            ("scancel", NOTE),
            ("scontrol", NOTE),
            ("sacct", SACCT),
        ] {
            let path = place.bin().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        place
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn study(&self) -> PathBuf {
        self.folder.path().join("sweep-loss")
    }

    fn slurm(&self, name: &str) -> PathBuf {
        self.study().join("slurm").join(name)
    }

    fn config(&self) -> Slurm {
        Slurm {
            bin: Some(self.bin()),
            poll: 0.1,
            save_time: 10,
            ..Slurm::default()
        }
    }

    fn open(&self) -> Box<dyn Pool> {
        open(self.config(), &self.study())
    }

    fn job(&self, trial: usize, script: &str) -> Job {
        let command = ["bash", "-c", script, "job"].map(OsString::from).to_vec();
        Job {
            id: id(trial),
            command,
            log: self.log(trial),
        }
    }

    fn log(&self, trial: usize) -> PathBuf {
        self.study().join(format!("trial-{trial:04}/log.txt"))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.bin().join(name), text).unwrap();
    }

    fn calls(&self) -> String {
        read(self.bin().join("calls"))
    }

    /// Sets what `squeue` reports about a task: `state|node|name|reason`; nothing takes it out of the queue.
    fn set(&self, task: &str, status: &str) {
        let queue = read(self.bin().join("queue"));
        let line = |line: &str| match line.starts_with(&format!("{task}|")) {
            true if status.is_empty() => String::new(),
            true => format!("{task}|{status}\n"),
            false => format!("{line}\n"),
        };
        self.write("queue", &queue.lines().map(line).collect::<String>());
    }

    /// Runs a task of the first array as Slurm would.
    fn start(&self, task: usize) -> Child {
        Command::new("bash")
            .arg("array-0001.sh")
            .current_dir(self.study().join("slurm"))
            .envs([
                ("SLURM_ARRAY_TASK_ID", task.to_string()),
                ("SLURM_ARRAY_JOB_ID", "101".into()),
                ("SLURM_JOB_ID", (101 + task).to_string()),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, task: usize) -> Output {
        self.start(task).wait_with_output().unwrap()
    }
}

/// Opens the executor as a new process would. A program that another test is about to start holds what
/// this process had open until it runs, locks too.
fn open(config: Slurm, study: &Path) -> Box<dyn Pool> {
    let executor = Executor::Slurm(config);
    let mut pool = executor.open(study);
    let start = Instant::now();
    while matches!(pool, Err(ExecutorError::Busy { .. })) && start.elapsed().as_secs() < 10 {
        pool = executor.open(study);
    }
    pool.unwrap()
}

fn id(trial: usize) -> JobId {
    JobId::new(format!("trial-{trial:04}/seed-1/fold-0"))
}

fn trial(id: &JobId) -> usize {
    RunKey::of_job(id).unwrap().0
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "this takes too long"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(process: u32, signal: &str) {
    assert!(
        Command::new("kill")
            .args([signal, &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The process of the first job, which prints when it runs.
fn job_process(place: &Place) -> u32 {
    let log = read(place.log(0));
    let line = log.lines().rfind(|line| line.starts_with("on ")).unwrap();
    line["on ".len()..].parse().unwrap()
}

/// Waits for this many starts of the first job.
fn is_on(place: &Place, starts: usize) {
    wait_until(|| {
        read(place.log(0))
            .lines()
            .filter(|line| line.starts_with("on "))
            .count()
            == starts
    });
}

fn outcome(pool: &mut dyn Pool) -> (usize, Outcome) {
    let mut all = Vec::new();
    wait_until(|| {
        all = pool.poll().unwrap();
        !all.is_empty()
    });
    assert_eq!(all.len(), 1, "{all:?}");
    (trial(&all[0].0), all[0].1.clone())
}

/// The state of a trial at the next look.
fn state(pool: &mut dyn Pool, trial: usize) -> State {
    std::thread::sleep(Duration::from_millis(110));
    assert_eq!(pool.poll().unwrap(), []);
    pool.states()
        .into_iter()
        .find(|(seen, _)| *seen == id(trial))
        .unwrap()
        .1
}

fn why(outcome: (usize, Outcome)) -> String {
    match outcome.1 {
        Outcome::Failed(failure) => failure.to_string(),
        other => panic!("it is {other}"),
    }
}

#[test]
fn the_script_and_its_table() {
    let job = |trial: usize, filters: &str| {
        let words = [
            "/opt/calvaria",
            "run",
            "experiments/nfbs-baseline.yaml",
            "--set",
            filters,
            "--seeds",
            "1",
            "--folds",
            "0",
        ];
        Job {
            id: id(trial),
            command: words.map(OsString::from).to_vec(),
            log: format!("/data/it's/trial-{trial:04}/log.txt").into(),
        }
    };
    let slurm = Slurm {
        partition: Some("gpu".into()),
        account: Some("lab".into()),
        time: Some("04:00:00".into()),
        memory: Some("32G".into()),
        gres: Some("gpu:1".into()),
        cpus: 8,
        setup: vec![
            "module load cuda/12.4".into(),
            "source ~/venv/bin/activate".into(),
        ],
        array_limit: Some(4),
        extra: vec!["--exclusive".into()],
        ..Slurm::default()
    };
    let jobs = [job(3, "model.unet.filters=16"), job(4, "name=a 'b' $c")];
    let text = Executor::Slurm(slurm)
        .dry_run(Path::new("/data/sweep loss"), &jobs)
        .unwrap();
    let here = std::env::current_dir().unwrap();
    insta::assert_snapshot!(text.replace(here.to_str().unwrap(), "HERE"));
}

#[test]
fn a_task_that_ends_says_how() {
    let place = Place::new();
    let mut pool = place.open();
    assert_eq!(pool.free_slots(), usize::MAX);
    pool.submit(vec![
        place.job(0, "echo \"$@\" $RAYON_NUM_THREADS"),
        place.job(1, "echo NaN >&2; exit 3"),
        place.job(2, "kill -9 $$"),
    ])
    .unwrap();
    assert_eq!(place.calls(), "sbatch --parsable array-0001.sh\n");
    assert_eq!(state(&mut *pool, 0), State::Pending("Priority".into()));
    place.set("101|0", "RUNNING|node3|x|None");
    assert_eq!(state(&mut *pool, 0), State::Running("node3".into()));
    assert!(place.run(0).status.success());
    assert_eq!(outcome(&mut *pool), (0, Outcome::Finished));
    assert!(read(place.log(0)).ends_with("\n--device auto 1\n"));

    place.set("101|1", "RUNNING|node3|x|None");
    assert_eq!(place.run(1).status.code(), Some(3));
    assert_eq!(
        state(&mut *pool, 1),
        State::Running("node3".into()),
        "Slurm has the last word on a failure"
    );
    place.set("101|1", "FAILED|node3|x|NonZeroExitCode");
    let failure = why(outcome(&mut *pool));
    assert!(
        failure.starts_with("exit code 3; ") && failure.ends_with("NaN"),
        "{failure}"
    );

    place.run(2);
    place.set("101|2", "OUT_OF_MEMORY|node3|x|OutOfMemory");
    let failure = why(outcome(&mut *pool));
    assert!(
        failure.contains("SIGKILL") && failure.contains("Slurm: OUT_OF_MEMORY (OutOfMemory)"),
        "{failure}"
    );
}

#[test]
fn what_slurm_ends_is_told_with_its_reason() {
    let place = Place::new();
    let mut pool = place.open();
    let jobs = (0..5).map(|trial| place.job(trial, "true")).collect();
    pool.submit(jobs).unwrap();
    for (trial, reason) in [(0, "TIMEOUT"), (1, "NODE_FAIL"), (2, "CANCELLED")] {
        place.set(&format!("101|{trial}"), &format!("{reason}|n1|x|None"));
        assert_eq!(
            why(outcome(&mut *pool)),
            format!("Slurm: {reason}; its log is empty")
        );
    }
    place.write("accounts", "101_3|TIMEOUT|TimeLimit\n");
    place.set("101|3", "");
    assert_eq!(
        why(outcome(&mut *pool)),
        "Slurm: TIMEOUT (TimeLimit); its log is empty",
        "accounting remembers"
    );
    place.set("101|4", "");
    assert!(why(outcome(&mut *pool)).contains("Slurm no longer knows it"));
}

/// What Slurm 22.05.8 without cgroups (OverMemoryKill) wrote into the file of a task that asked for 50 MiB and took 300.
const KILLED: &str = "\
slurmstepd-vm: error: StepId=1.batch exceeded memory limit (331415552 > 52428800), being killed
slurmstepd-vm: error: *** JOB 1 ON vm CANCELLED AT 2026-11-30T08:41:33 ***
slurmstepd-vm: error: StepId=1.batch exceeded memory limit (331415552 > 52428800), being killed
slurmstepd-vm: error: Exceeded job memory limit
slurmstepd-vm: error: Exceeded job memory limit
";

#[test]
fn a_task_killed_for_its_memory_is_told_so_with_the_remedy() {
    let place = Place::new();
    let mut pool = place.open();
    pool.submit(vec![place.job(0, "true"), place.job(1, "true")])
        .unwrap();
    // It leaves no exit status, and Slurm calls that a failed launch.
    std::fs::create_dir_all(place.log(0).parent().unwrap()).unwrap();
    std::fs::write(place.log(0), "calvaria: trial-0000, start 1\n").unwrap();
    std::fs::write(place.slurm("array-0001/0.out"), KILLED).unwrap();
    place.set("101|0", "FAILED|n1|x|JobLaunchFailure");
    let failure = why(outcome(&mut *pool));
    for part in [
        "out of memory: ",
        "executor.slurm.memory",
        "Slurm: FAILED (JobLaunchFailure)",
        "calvaria: trial-0000, start 1",
        "Exceeded job memory limit",
    ] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    let log = read(place.log(0));
    assert_eq!(log.matches("Exceeded job memory limit").count(), 1, "{log}");
    // The next process gets the outcome again, and writes nothing twice.
    drop(pool);
    let mut pool = place.open();
    assert!(why(outcome(&mut *pool)).contains("out of memory: "));
    assert_eq!(read(place.log(0)), log);
    // Slurm that knows the state.
    place.set("101|1", "OUT_OF_MEMORY|n1|x|OutOfMemory");
    assert!(why(outcome(&mut *pool)).starts_with("out of memory: "));
}

#[test]
fn near_its_time_limit_a_task_saves_and_is_requeued() {
    let place = Place::new();
    let mut pool = place.open();
    let saves = "trap 'echo saved; exit 1' TERM; echo on $$; while :; do sleep 0.01; done";
    pool.submit(vec![place.job(0, saves)]).unwrap();
    let task = place.start(0);
    is_on(&place, 1);
    signal(task.id(), "-USR1");
    task.wait_with_output().unwrap();
    assert!(read(place.log(0)).contains("saved"));
    assert!(
        place.calls().ends_with("scontrol requeue 101\n"),
        "{}",
        place.calls()
    );
    place.set("101|0", "PENDING||x|BeginTime");
    assert_eq!(state(&mut *pool, 0), State::Requeued(1));

    // Saving never ends: the run resumes from the earlier save.
    place.set("101|0", "RUNNING|n1|x|None");
    let table = place.slurm("array-0001.tasks.sh");
    std::fs::write(&table, read(&table).replace("exit 1", "sleep 300")).unwrap();
    let mut task = place.start(0);
    is_on(&place, 2);
    signal(task.id(), "-USR1");
    wait_until(|| place.calls().matches("requeue").count() == 2);
    signal(task.id(), "-KILL");
    task.wait().unwrap();
    signal(job_process(&place), "-KILL");

    // At the end of its patience it reports an error.
    std::fs::write(place.slurm("array-0001/0.started"), "10 101\n").unwrap();
    std::fs::write(&table, read(&table).replace("sleep 300", "exit 130")).unwrap();
    let task = place.start(0);
    is_on(&place, 3);
    signal(task.id(), "-USR1");
    task.wait_with_output().unwrap();
    place.set("101|0", "FAILED|n1|x|None");
    let failure = why(outcome(&mut *pool));
    assert!(
        failure.contains("exit code 1") && failure.contains("allows no more"),
        "{failure}"
    );
}

#[test]
fn what_becomes_of_a_task_that_slurm_tells_to_end_is_for_slurm_to_say() {
    let place = Place::new();
    let mut pool = place.open();
    pool.submit(vec![place.job(
        0,
        "trap 'exit 1' TERM; echo on $$; while :; do sleep 0.01; done",
    )])
    .unwrap();
    let mut task = place.start(0);
    is_on(&place, 1);
    signal(task.id(), "-TERM");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(task.try_wait().unwrap(), None, "it waits for its job");
    // Slurm signals every process of a task, so the script does not.
    signal(job_process(&place), "-TERM");
    assert_eq!(task.wait().unwrap().code(), Some(1));
    assert!(!place.slurm("array-0001/0.exit").exists());
    place.set("101|0", "PENDING||x|None");
    assert_eq!(state(&mut *pool, 0), State::Requeued(1));
}

#[test]
fn the_environment_is_set_up_in_the_submitters_folder() {
    let place = Place::new();
    let setup = [
        "export ANSWER=42 # it's",
        "set -eu; false || true",
        "cd /",
        "set -- lost",
        "echo setting up",
    ]
    .map(String::from)
    .to_vec();
    let slurm = Slurm {
        setup,
        cpus: 3,
        device: "cuda".into(),
        ..place.config()
    };
    let mut pool = open(slurm, &place.study());
    pool.submit(vec![
        place.job(0, "echo $ANSWER $RAYON_NUM_THREADS \"$@\"; pwd; exit 7"),
    ])
    .unwrap();
    assert_eq!(place.run(0).status.code(), Some(7));
    assert_eq!(read(place.slurm("array-0001/0.exit")), "7\n");
    let here = std::env::current_dir().unwrap();
    assert!(
        read(place.log(0)).ends_with(&format!(
            "\nsetting up\n42 3 --device cuda\n{}\n",
            here.display()
        )),
        "{}",
        read(place.log(0))
    );
}

#[test]
fn a_new_process_finds_the_arrays_and_submits_nothing_twice() {
    let place = Place::new();
    let jobs: Vec<Job> = (0..3).map(|trial| place.job(trial, "true")).collect();
    let mut pool = place.open();
    pool.submit(jobs.clone()).unwrap();
    assert!(matches!(
        Executor::Slurm(place.config()).open(&place.study()),
        Err(ExecutorError::Busy { .. })
    ));
    drop(pool);
    place.run(0);

    let mut pool = place.open();
    pool.submit(jobs.clone()).unwrap();
    assert_eq!(outcome(&mut *pool), (0, Outcome::Finished));
    // Killed before it recorded the outcome: it gets the outcome again.
    drop(pool);
    let mut pool = place.open();
    assert_eq!(outcome(&mut *pool), (0, Outcome::Finished));
    assert_eq!(pool.poll().unwrap(), []);
    drop(pool);
    let mut pool = place.open();
    std::thread::sleep(Duration::from_millis(110));
    assert_eq!(pool.poll().unwrap(), []);
    let seen = Executor::Slurm(place.config())
        .states(&place.study())
        .unwrap();
    assert_eq!(seen[0].1, State::Ended(Outcome::Finished));
    assert_eq!(seen[1].1, State::Pending("Priority".into()));
    assert_eq!(place.calls(), "sbatch --parsable array-0001.sh\n");
    // What has ended may run again, as another rung of the same trial.
    pool.submit(jobs).unwrap();
    assert_eq!(place.calls().matches("sbatch").count(), 2);
}

#[test]
fn a_process_killed_while_it_submits_leaves_no_doubt() {
    let place = Place::new();
    let mut pool = place.open();
    pool.submit(vec![place.job(0, "echo ran")]).unwrap();
    drop(pool);
    let record = place.slurm("jobs.jsonl");
    let lines = read(&record);
    let submitting = lines.lines().next().unwrap();

    // Slurm has it, and the process died in the middle of a line.
    std::fs::write(
        &record,
        format!("{submitting}\n{}", &submitting[..submitting.len() - 9]),
    )
    .unwrap();
    let mut pool = place.open();
    pool.submit(vec![place.job(0, "echo ran")]).unwrap();
    assert_eq!(place.calls().matches("sbatch").count(), 1);
    assert_eq!(read(&record), lines, "the half line is gone");
    drop(pool);

    // It ran, and Slurm has forgotten it.
    place.run(0);
    let queue = read(place.bin().join("queue"));
    place.write("queue", "");
    std::fs::write(&record, format!("{submitting}\n")).unwrap();
    let mut pool = place.open();
    assert_eq!(outcome(&mut *pool), (0, Outcome::Finished));
    drop(pool);

    // Slurm does not have it: it is submitted again, and the first does nothing should it come late.
    std::fs::remove_dir_all(place.slurm("array-0001")).unwrap();
    std::fs::create_dir(place.slurm("array-0001")).unwrap();
    std::fs::write(&record, format!("{submitting}\n")).unwrap();
    let mut pool = place.open();
    pool.submit(vec![place.job(0, "echo ran")]).unwrap();
    assert_eq!(place.calls().matches("sbatch").count(), 2);
    place.write("queue", &queue);
    let script = place.slurm("array-0001.sh");
    std::fs::write(&script, read(&script).replace("sleep 1", "sleep 0.01")).unwrap();
    let late = place.run(0);
    assert!(late.status.success() && String::from_utf8_lossy(&late.stdout).contains("withdrawn"));
    assert_eq!(read(place.log(0)).matches("ran\n").count(), 1);
}

#[test]
fn a_refusal_says_what_slurm_said_and_a_time_out_is_no_refusal() {
    let place = Place::new();
    let mut pool = place.open();
    place.write("refusal", "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n");
    let error = pool
        .submit(vec![place.job(0, "true")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`sbatch --parsable array-0001.sh` failed: invalid partition specified: nope; Batch job submission failed: \
         Invalid partition name specified. Set executor.slurm.partition to one that `sinfo` lists."
    );
    assert_eq!(pool.states(), []);
    std::fs::remove_file(place.bin().join("refusal")).unwrap();
    place.write("time-out", "");
    pool.submit(vec![place.job(0, "true")]).unwrap();
    assert_eq!(state(&mut *pool, 0), State::Pending("Priority".into()));

    // Slurm is out of reach for a while.
    place.write("down", "");
    assert_eq!(state(&mut *pool, 0), State::Pending("Priority".into()));

    let elsewhere = Slurm {
        bin: Some("/nowhere".into()),
        ..place.config()
    };
    drop(pool);
    let mut pool = open(elsewhere, &place.study());
    let error = pool
        .submit(vec![place.job(1, "true")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nowhere/sbatch") || error.contains("/nowhere/squeue"),
        "{error}"
    );
    assert!(error.contains("executor.slurm.bin"), "{error}");
}

#[test]
fn stopping_cancels_and_detaching_does_not() {
    let place = Place::new();
    let mut pool = open(
        Slurm {
            array_limit: Some(3),
            ..place.config()
        },
        &place.study(),
    );
    pool.submit((0..3).map(|trial| place.job(trial, "true")).collect())
        .unwrap();
    assert_eq!(pool.free_slots(), 0);
    place.set("101|1", "RUNNING|n1|x|None");
    pool.stop(&id(1)).unwrap();
    pool.stop(&id(1)).unwrap();
    assert_eq!(
        place.calls(),
        "sbatch --parsable array-0001.sh\nscancel 101_1\n"
    );
    assert_eq!(state(&mut *pool, 1), State::Stopping);
    // Wanted again: once it has stopped.
    pool.submit(vec![place.job(1, "true")]).unwrap();
    assert_eq!(place.calls().matches("sbatch").count(), 1);
    place.set("101|1", "CANCELLED|n1|x|None");
    assert_eq!(outcome(&mut *pool), (1, Outcome::Stopped));
    assert_eq!(pool.poll().unwrap(), []);
    assert_eq!(place.calls().matches("sbatch").count(), 2);
    pool.stop_all().unwrap();
    assert!(
        place.calls().ends_with("scancel 101_0 101_2 102_0\n"),
        "{}",
        place.calls()
    );
    drop(pool);

    let calls = place.calls();
    let mut pool = open(
        Slurm {
            detach: true,
            ..place.config()
        },
        &place.study(),
    );
    pool.submit(vec![place.job(7, "true")]).unwrap();
    pool.stop_all().unwrap();
    assert_eq!(
        place.calls(),
        format!("{calls}sbatch --parsable array-0003.sh\n")
    );
}

#[test]
fn more_jobs_than_an_array_may_have_are_several_arrays() {
    let place = Place::new();
    let mut pool = place.open();
    let log = |job: Job| Job {
        log: place.log(0),
        ..job
    };
    let jobs = (0..1001).map(|trial| log(place.job(trial, "true")));
    pool.submit(jobs.collect()).unwrap();
    let script = |number: usize| read(place.slurm(&format!("array-{number:04}.sh")));
    assert!(script(1).contains("#SBATCH --array=0-999\n"));
    assert!(script(2).contains("#SBATCH --array=0-0\n"));
    assert_eq!(pool.states().len(), 1001);
}
