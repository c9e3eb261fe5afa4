//! Jobs as worker processes: how they end and stop, and that none outlives its parent.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use calvaria::jobs::{
    Executor, ExecutorError, Failure, Job, JobId, Local, Outcome, Pool, State, Threads,
    quote_command,
};
use calvaria::sweep::RunKey;
use proptest::prelude::*;

/// Not for waiting: how long a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn id(trial: usize) -> JobId {
    JobId::new(format!("trial-{trial:04}/seed-1"))
}

fn trial(id: &JobId) -> usize {
    RunKey::of_job(id).unwrap().0
}

/// A job that is a shell script; what the executor adds to its command line are its arguments.
fn job(study: &Path, trial: usize, script: &str) -> Job {
    let command = ["sh", "-c", script, "job"].map(OsString::from).to_vec();
    Job {
        id: id(trial),
        command,
        log: log(study, trial),
    }
}

fn log(study: &Path, trial: usize) -> PathBuf {
    study.join(format!("trial-{trial:04}/log.txt"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The output of the first job, without the command line and the shell's message about a `sleep` that is stopped too.
fn output_of(study: &Path) -> Vec<String> {
    let lines = read(log(study, 0));
    let own = lines
        .lines()
        .filter(|line| !line.starts_with('$') && *line != "Terminated");
    own.map(String::from).collect()
}

fn open(study: &Path, local: Local) -> Box<dyn Pool> {
    Executor::Local(local).open(study).unwrap()
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "this takes too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The outcomes of this many jobs, by trial.
fn outcomes(pool: &mut dyn Pool, count: usize) -> Vec<(usize, Outcome)> {
    let mut all = Vec::new();
    wait_until(|| {
        all.extend(
            pool.poll()
                .unwrap()
                .into_iter()
                .map(|(id, outcome)| (trial(&id), outcome)),
        );
        all.len() >= count
    });
    all.sort_by_key(|(trial, _)| *trial);
    all
}

fn failure(outcome: &Outcome) -> &Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("it is {other}"),
    }
}

#[test]
fn a_worker_that_others_tell_to_end_was_stopped_and_did_not_fail() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(study.path(), Local::default());
    let jobs = ["exit 130", "kill -TERM $$; sleep 300"];
    let jobs = (0..).zip(jobs);
    pool.submit(
        jobs.map(|(trial, script)| job(study.path(), trial, script))
            .collect(),
    )
    .unwrap();
    let ended = outcomes(&mut *pool, 2);
    assert_eq!(ended, [(0, Outcome::Stopped), (1, Outcome::Stopped)]);
}

#[test]
fn a_worker_that_dies_fails_its_own_job_and_says_how() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(
        study.path(),
        Local {
            workers: 2,
            ..Local::default()
        },
    );
    let jobs = [
        "echo fine",
        "echo one; echo the loss is NaN >&2; exit 3",
        "echo deep in; kill -KILL $$",
        "kill -SEGV $$",
    ];
    let mut jobs: Vec<Job> = (0..)
        .zip(jobs)
        .map(|(trial, script)| job(study.path(), trial, script))
        .collect();
    jobs.push(Job {
        command: vec!["/nowhere/calvaria".into()],
        ..job(study.path(), 4, "")
    });
    pool.submit(jobs).unwrap();
    let ended = outcomes(&mut *pool, 5);
    assert_eq!(ended[0], (0, Outcome::Finished));
    let exit = failure(&ended[1].1);
    assert_eq!(
        (exit.cause.as_str(), exit.tail.as_str()),
        ("exit code 3", "one\nthe loss is NaN")
    );
    let killed = failure(&ended[2].1);
    assert!(
        killed.cause.contains("SIGKILL") && killed.cause.contains("memory"),
        "{killed}"
    );
    assert_eq!(killed.tail, "deep in");
    assert!(failure(&ended[3].1).cause.contains("SIGSEGV"));
    assert!(
        failure(&ended[4].1)
            .to_string()
            .contains("/nowhere/calvaria")
    );
    assert_eq!(pool.poll().unwrap(), [], "each outcome is reported once");
}

#[test]
fn workers_run_at_once_each_on_its_device_with_its_threads() {
    let study = tempfile::tempdir().unwrap();
    let devices = vec!["cuda:0".into(), "cuda:1".into()];
    let mut pool = open(
        study.path(),
        Local {
            workers: 2,
            threads: Threads::Count(3),
            devices,
            ..Local::default()
        },
    );
    assert_eq!(pool.free_slots(), 2);
    // Each waits for the other, so they end only if they run at once; the third comes after.
    let meet = |mine: &str, other: &str| {
        let study = study.path().display();
        format!(
            "touch '{study}/{mine}'; until [ -e '{study}/{other}' ]; do sleep 0.01; done; echo $RAYON_NUM_THREADS \"$@\""
        )
    };
    let jobs = vec![
        job(study.path(), 0, &meet("a", "b")),
        job(study.path(), 1, &meet("b", "a")),
        job(study.path(), 2, "echo \"$@\""),
    ];
    pool.submit(jobs.clone()).unwrap();
    pool.submit(jobs).unwrap();
    assert_eq!(pool.free_slots(), 0);
    assert_eq!(pool.states()[2], (id(2), State::Pending(String::new())));
    assert!(
        outcomes(&mut *pool, 3)
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Finished)
    );
    assert!(read(log(study.path(), 0)).ends_with("\n3 --device cuda:0\n"));
    assert!(read(log(study.path(), 1)).ends_with("\n3 --device cuda:1\n"));
    assert_eq!(read(log(study.path(), 2)).lines().count(), 2, "it ran once");
}

#[test]
fn a_stopped_worker_is_told_once_and_saves() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(
        study.path(),
        Local {
            workers: 2,
            ..Local::default()
        },
    );
    let saves = "trap 'echo told' TERM; echo on; i=0; while [ $i -lt 30 ]; do sleep 0.01; \
                 case \"$(tail -n 1 \"$0\")\" in told) i=$((i + 1));; esac; done; exit 1";
    let mut saving = job(study.path(), 0, saves);
    saving.command[3] = log(study.path(), 0).into();
    pool.submit(vec![
        saving,
        job(study.path(), 1, "exit 0"),
        job(study.path(), 2, "true"),
    ])
    .unwrap();
    pool.stop(&id(2)).unwrap();
    wait_until(|| read(log(study.path(), 0)).ends_with("on\n"));
    pool.stop(&id(0)).unwrap();
    wait_until(|| output_of(study.path()).len() == 2);
    pool.stop(&id(0)).unwrap();
    assert!(pool.states().contains(&(id(0), State::Stopping)));
    pool.stop_all().unwrap();
    let ended = outcomes(&mut *pool, 3);
    assert_eq!(ended[0], (0, Outcome::Stopped));
    assert_eq!(ended[2], (2, Outcome::Stopped));
    assert_eq!(output_of(study.path()), ["on", "told"]);
    assert!(
        !log(study.path(), 2).exists(),
        "what is stopped in the queue never starts"
    );
}

#[test]
fn a_worker_that_does_not_stop_is_ended_with_all_that_it_started() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(
        study.path(),
        Local {
            grace: 0.2,
            ..Local::default()
        },
    );
    pool.submit(vec![job(
        study.path(),
        0,
        "trap '' TERM; echo on; sleep 300; sleep 300",
    )])
    .unwrap();
    wait_until(|| read(log(study.path(), 0)).ends_with("on\n"));
    let start = Instant::now();
    pool.stop_all().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(outcomes(&mut *pool, 1), [(0, Outcome::Stopped)]);
    // It can run again: no process of the first start holds its lock.
    pool.submit(vec![job(study.path(), 0, "true")]).unwrap();
    assert_eq!(outcomes(&mut *pool, 1), [(0, Outcome::Finished)]);
}

#[test]
fn what_a_dead_worker_leaves_behind_does_not_hold_up_its_job() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(study.path(), Local::default());
    let leaves = "exec 3<&0; sleep 300 <&3 & kill -KILL $$";
    pool.submit(vec![job(study.path(), 0, leaves)]).unwrap();
    assert!(
        failure(&outcomes(&mut *pool, 1)[0].1)
            .cause
            .contains("SIGKILL")
    );
    pool.submit(vec![job(study.path(), 0, "true")]).unwrap();
    assert_eq!(outcomes(&mut *pool, 1), [(0, Outcome::Finished)]);
}

#[test]
fn a_job_submitted_while_it_stops_starts_again_afterwards() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(
        study.path(),
        Local {
            workers: 2,
            ..Local::default()
        },
    );
    let slow = "trap 'sleep 0.3; echo saved; exit 1' TERM; echo on; while :; do sleep 0.01; done";
    pool.submit(vec![job(study.path(), 0, slow)]).unwrap();
    wait_until(|| read(log(study.path(), 0)).ends_with("on\n"));
    pool.stop(&id(0)).unwrap();
    pool.submit(vec![job(study.path(), 0, "echo again")])
        .unwrap();
    assert_eq!(
        outcomes(&mut *pool, 2),
        [(0, Outcome::Stopped), (0, Outcome::Finished)]
    );
    let log = read(log(study.path(), 0));
    assert!(
        log.find("saved").unwrap() < log.rfind("again").unwrap(),
        "{log}"
    );
}

#[test]
fn a_worker_that_asks_for_too_much_memory_fails() {
    let study = tempfile::tempdir().unwrap();
    let mut pool = open(
        study.path(),
        Local {
            memory: Some(0.05),
            ..Local::default()
        },
    );
    let copy = |size: &str| format!("dd if=/dev/zero of=/dev/null count=1 bs={size} 2>&1");
    pool.submit(vec![
        job(study.path(), 0, &copy("1M")),
        job(study.path(), 1, &copy("400M")),
    ])
    .unwrap();
    let ended = outcomes(&mut *pool, 2);
    assert_eq!(ended[0].1, Outcome::Finished);
    assert!(
        failure(&ended[1].1).tail.contains("memory"),
        "{}",
        failure(&ended[1].1)
    );
}

#[test]
fn a_study_has_one_process_and_others_may_look() {
    let study = tempfile::tempdir().unwrap();
    let executor = Executor::default();
    let mut pool = executor.open(study.path()).unwrap();
    pool.submit(vec![job(study.path(), 3, "echo on; exec sleep 300")])
        .unwrap();
    assert!(matches!(
        executor.open(study.path()),
        Err(ExecutorError::Busy { .. })
    ));
    let seen = executor.states(study.path()).unwrap();
    assert!(
        matches!(seen.as_slice(), [(seen, State::Running(_))] if *seen == id(3)),
        "{seen:?}"
    );
    drop(pool);
    assert_eq!(
        executor.states(study.path()).unwrap(),
        [],
        "workers end with their pool"
    );
}

/// Not a test: a process that runs one job, for [`killed`] to kill.
#[test]
fn driver() {
    let Some(study) = std::env::var_os("CALVARIA_TEST_DRIVER").map(PathBuf::from) else {
        return;
    };
    let mut pool = open(&study, Local::default());
    let script = "trap 'sleep 0.5; echo saved; exit 1' TERM; echo on; while :; do sleep 0.01; done";
    pool.submit(vec![job(&study, 0, script)]).unwrap();
    wait_until(|| !pool.poll().unwrap().is_empty());
}

/// Starts a process with one worker and kills it when the worker is at work.
fn kill_a_driver(study: &Path, path: &str) {
    let mut driver = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "jobs::local::driver"])
        .env("CALVARIA_TEST_DRIVER", study)
        .env("PATH", path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| read(log(study, 0)).ends_with("on\n"));
    // The note of the worker follows its start.
    wait_until(|| !Executor::default().states(study).unwrap().is_empty());
    driver.kill().unwrap();
    driver.wait().unwrap();
}

/// The worker saves, and its job starts again only then.
fn goes_on_once(study: &Path) {
    let mut pool = open(study, Local::default());
    pool.submit(vec![job(study, 0, "echo again")]).unwrap();
    assert_eq!(outcomes(&mut *pool, 1), [(0, Outcome::Finished)]);
    assert_eq!(output_of(study), ["on", "saved", "again"]);
}

#[test]
fn workers_of_a_killed_process_save_and_end() {
    let study = tempfile::tempdir().unwrap();
    kill_a_driver(study.path(), &std::env::var("PATH").unwrap());
    // Only the system asks it to stop.
    wait_until(|| read(log(study.path(), 0)).ends_with("saved\n"));
    goes_on_once(study.path());
}

#[test]
fn without_setpriv_the_next_process_tells_the_workers() {
    let study = tempfile::tempdir().unwrap();
    let programs = study.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    for program in ["sh", "sleep"] {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .unwrap();
        std::os::unix::fs::symlink(
            String::from_utf8(found.stdout).unwrap().trim(),
            programs.join(program),
        )
        .unwrap();
    }
    kill_a_driver(study.path(), programs.to_str().unwrap());
    std::thread::sleep(Duration::from_millis(700));
    assert!(read(log(study.path(), 0)).ends_with("on\n"), "it lives on");
    goes_on_once(study.path());
}

#[test]
fn a_dry_run_prints_what_a_shell_can_be_given() {
    let study = Path::new("study");
    let mut odd = job(study, 7, "");
    odd.command = [
        "calvaria",
        "run",
        "my head.yaml",
        "--set",
        "model.unet.filters=$(rm -rf /)",
    ]
    .map(OsString::from)
    .to_vec();
    let local = Local {
        workers: 2,
        threads: Threads::Count(4),
        devices: vec!["cpu".into()],
        ..Local::default()
    };
    let text = Executor::Local(local).dry_run(study, &[odd]).unwrap();
    insta::assert_snapshot!(text, @r"
    # trial-0007/seed-1, worker 0
    RAYON_NUM_THREADS=4 calvaria run 'my head.yaml' --set 'model.unet.filters=$(rm -rf /)' --device cpu
    ");
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (local, why) in [
        (
            Local {
                workers: 0,
                ..Local::default()
            },
            "local.workers: workers must be at least 1, not 0",
        ),
        (
            Local {
                threads: Threads::Count(0),
                ..Local::default()
            },
            "local.threads: threads must be `auto` or at least 1, not 0",
        ),
        (
            Local {
                devices: vec![],
                ..Local::default()
            },
            "local.devices: devices must have at least 1 item, not 0",
        ),
        (
            Local {
                memory: Some(0.0),
                ..Local::default()
            },
            "local.memory: memory must be above 0, not 0.0",
        ),
        (
            Local {
                grace: -1.0,
                ..Local::default()
            },
            "local.grace: grace must be at least 0, not -1.0",
        ),
    ] {
        let faults = Executor::Local(local).validate().unwrap_err();
        assert_eq!(faults.to_string(), why);
    }
    let read = |yaml: &str| serde_yaml::from_str::<Executor>(yaml);
    assert_eq!(read("local").unwrap(), Executor::default());
    assert_eq!(
        read("{local: {threads: 2}}").unwrap(),
        Executor::Local(Local {
            threads: Threads::Count(2),
            ..Local::default()
        })
    );
    assert!(
        read("{local: {threads: all}}")
            .unwrap_err()
            .to_string()
            .contains("must be auto, or a number of threads")
    );
    assert!(
        read("{slurm: {partion: gpu}}")
            .unwrap_err()
            .to_string()
            .contains("`partition`")
    );
}

fn words() -> impl Strategy<Value = Vec<OsString>> {
    let plain = prop::collection::vec(any::<u8>(), 0..12);
    let sharp = prop::collection::vec(
        prop::sample::select(b"'\"\\$`!*?[]{}~#&|;<>()= \t\n-^%ax\xff".to_vec()),
        0..12,
    );
    let word = prop_oneof![plain, sharp].prop_map(|mut bytes: Vec<u8>| {
        bytes.retain(|byte| *byte != 0);
        OsString::from_vec(bytes)
    });
    prop::collection::vec(word, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_shell_reads_the_words_that_were_quoted(words in words()) {
        let line = quote_command(&words).unwrap();
        for shell in ["sh", "bash"] {
            let mut script = OsString::from("printf '%s\\0' ");
            script.push(&line);
            let printed = Command::new(shell).arg("-c").arg(script).output().unwrap();
            let mut expected = Vec::new();
            for word in &words {
                expected.extend(word.clone().into_vec());
                expected.push(0);
            }
            prop_assert_eq!(&printed.stdout, &expected, "{} {:?}", shell, line);
        }
    }
}
