//! The executor.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use calvaria::jobs::{Executor, Job, JobId, Outcome, Pool, Slurm, State};
use calvaria::sweep::RunKey;

use crate::{cluster, slurm};

/// A job of this many steps that resumes where it stopped: each step is a line of its file. When it is asked to
/// end it finishes its step, reports that, and fails, as a run does.
const STEPS: &str = r#"
told=''
trap 'told=1' TERM
step=$(wc -l <"$1")
while [ "$step" -lt "$2" ]; do
  sleep 0.2 & wait; wait
  step=$((step + 1))
  echo "$step by $$" >>"$1"
  [ -n "$told" ] && { echo saved; exit 1; }
done
echo complete
"#;

const STEP_COUNT: usize = 60;

fn id(trial: usize) -> JobId {
    JobId::new(format!("trial-{trial:04}/seed-1"))
}

fn trial(id: &JobId) -> usize {
    RunKey::of_job(id).unwrap().0
}

fn steps(study: &Path, trial: usize) -> PathBuf {
    study.join(format!("trial-{trial:04}/steps"))
}

fn log(study: &Path, trial: usize) -> PathBuf {
    study.join(format!("trial-{trial:04}/log.txt"))
}

fn job(study: &Path, trial: usize, count: usize) -> Job {
    let steps = steps(study, trial);
    std::fs::create_dir_all(steps.parent().unwrap()).unwrap();
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&steps)
        .unwrap();
    let mut command = ["bash", "-c", STEPS, "job"].map(OsString::from).to_vec();
    command.extend([steps.into_os_string(), count.to_string().into()]);
    Job {
        id: id(trial),
        command,
        log: log(study, trial),
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The steps of a trial: their numbers, and the processes that made them, in order.
fn made(study: &Path, trial: usize) -> (Vec<usize>, Vec<String>) {
    let text = read(&steps(study, trial));
    let (numbers, mut processes): (Vec<usize>, Vec<String>) = text
        .lines()
        .filter_map(|line| line.split_once(" by "))
        .map(|(number, process)| (number.parse::<usize>().unwrap(), process.to_owned()))
        .unzip();
    processes.dedup();
    (numbers, processes)
}

/// What a driver does: polls until `done`, collecting what ended. Tasks that were seen in the queue again do not
/// wait there for long.
fn drive(
    study: &Path,
    pool: &mut dyn Pool,
    ended: &mut Vec<(usize, Outcome)>,
    mut done: impl FnMut(&dyn Pool, &[(usize, Outcome)]) -> bool,
) {
    let (start, mut haste) = (Instant::now(), Haste::default());
    while !done(pool, ended) {
        let states = pool.states();
        assert!(
            start.elapsed() < Duration::from_secs(400),
            "this takes too long: {states:?}\n{}",
            states
                .iter()
                .map(|(id, _)| format!("{id}: {}\n", read(&log(study, trial(id)))))
                .collect::<String>()
        );
        std::thread::sleep(Duration::from_millis(100));
        ended.extend(
            pool.poll()
                .unwrap()
                .into_iter()
                .map(|(id, outcome)| (trial(&id), outcome)),
        );
        haste.hasten(study, pool);
    }
}

/// Slurm lets a task wait for two minutes after a requeue; here a few seconds do, once the pool has seen it wait.
#[derive(Default)]
struct Haste {
    /// Tasks with how often they were requeued.
    done: HashSet<String>,
}

impl Haste {
    fn hasten(&mut self, study: &Path, pool: &dyn Pool) {
        let states = pool.states();
        let seen = states
            .iter()
            .filter(|(_, state)| matches!(state, State::Requeued(_)))
            .count();
        if seen == 0 {
            return;
        }
        let format = "--Format=JobArrayID:24,RestartCnt:8,Reason:24";
        let queue = slurm("squeue", &["--me", "--array", "--noheader", format]);
        let ours = arrays(study);
        let waiting: Vec<(&str, &str)> = queue
            .lines()
            .filter(|line| line.contains("BeginTime"))
            .filter_map(|line| Some((line.split_whitespace().next()?, line)))
            .filter(|(task, _)| {
                let (array, _) = task.split_once('_').unwrap();
                ours.contains(&array.parse().unwrap())
            })
            .collect();
        if waiting.len() > seen {
            return;
        }
        for (task, line) in waiting {
            if self.done.insert(line.to_owned()) {
                slurm(
                    "scontrol",
                    &["update", &format!("JobId={task}"), "StartTime=now+5"],
                );
            }
        }
    }
}

/// The tasks that a study submitted, as Slurm numbers its arrays.
fn arrays(study: &Path) -> Vec<u64> {
    let record = read(&study.join("slurm/jobs.jsonl"));
    let number = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["slurm"]
            .as_u64()
            .filter(|_| event["event"] == "submitted")
    };
    record.lines().filter_map(number).collect()
}

fn of(ended: &[(usize, Outcome)], trial: usize) -> Vec<&Outcome> {
    ended
        .iter()
        .filter(|(of, _)| *of == trial)
        .map(|(_, outcome)| outcome)
        .collect()
}

#[test]
fn whatever_happens_to_its_tasks_an_array_ends_complete() {
    if !cluster() {
        return;
    }
    let start = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("it's a ")
        .tempdir()
        .unwrap();
    let study = folder.path();
    let executor = Executor::Slurm(Slurm {
        partition: Some("test".into()),
        time: Some("00:10:00".into()),
        setup: vec!["export ANSWER=42".into()],
        poll: 0.5,
        ..Slurm::default()
    });
    let mut pool = executor.open(study).unwrap();
    let mut failing = job(study, 4, 0);
    failing.command[2] = "echo the loss is NaN after $ANSWER steps; exit 3".into();
    let mut jobs: Vec<Job> = (0..4).map(|trial| job(study, trial, STEP_COUNT)).collect();
    jobs.extend([failing, job(study, 5, 100_000), job(study, 6, STEP_COUNT)]);
    pool.submit(jobs.clone()).unwrap();
    let array = arrays(study)[0];
    let mut ended = Vec::new();
    drive(study, &mut *pool, &mut ended, |_, ended| {
        !of(ended, 4).is_empty()
    });
    match of(&ended, 4)[..] {
        [Outcome::Failed(failure)] => {
            assert!(failure.cause.starts_with("exit code 3"), "{failure}");
            assert!(
                failure.tail.ends_with("the loss is NaN after 42 steps"),
                "{failure}"
            );
        }
        ref other => panic!("{other:?}"),
    }

    // In the middle of their steps, one is killed, one put back into the queue, one is near its limit.
    drive(study, &mut *pool, &mut ended, |_, _| {
        [1, 2, 3]
            .iter()
            .all(|trial| made(study, *trial).0.len() >= 8)
    });
    let (_, killed) = made(study, 1);
    slurm("kill", &["-KILL", &killed[0]]);
    slurm("scontrol", &["requeue", &format!("{array}_2")]);
    slurm(
        "scancel",
        &["--batch", "--signal=USR1", &format!("{array}_3")],
    );
    let mut requeued = [false; 2];
    drive(study, &mut *pool, &mut ended, |pool, ended| {
        for (id, state) in pool.states() {
            if let State::Requeued(1) = state {
                requeued[trial(&id) - 2] = true;
            }
        }
        requeued == [true; 2] && !of(ended, 1).is_empty()
    });
    match of(&ended, 1)[..] {
        [Outcome::Failed(failure)] => assert!(failure.cause.contains("SIGKILL"), "{failure}"),
        ref other => panic!("{other:?}"),
    }

    // The driver dies before it notes that, and another comes, which wants all but the failing trial to
    // continue.
    drop(pool);
    assert_eq!(executor.states(study).unwrap().len(), 7);
    let mut pool = executor.open(study).unwrap();
    ended.clear();
    drive(study, &mut *pool, &mut ended, |_, ended| {
        !of(ended, 1).is_empty()
    });
    jobs.retain(|job| of(&ended, trial(&job.id)).is_empty() && job.id != id(4) || job.id == id(1));
    pool.submit(jobs).unwrap();
    drive(study, &mut *pool, &mut ended, |_, _| {
        made(study, 5).0.len() >= 3
    });
    pool.stop(&id(5)).unwrap();
    drive(study, &mut *pool, &mut ended, |pool, _| {
        pool.states()
            .iter()
            .all(|(_, state)| matches!(state, State::Ended(_)))
    });

    for trial in [0, 1, 2, 3, 6] {
        assert_eq!(
            of(&ended, trial).last(),
            Some(&&Outcome::Finished),
            "trial {trial}"
        );
        let (numbers, processes) = made(study, trial);
        assert_eq!(
            numbers,
            (1..=STEP_COUNT).collect::<Vec<_>>(),
            "trial {trial}: no step is lost and none is made twice"
        );
        assert_eq!(
            processes.len(),
            if [1, 2, 3].contains(&trial) { 2 } else { 1 },
            "trial {trial}"
        );
    }
    assert_eq!(of(&ended, 5), [&Outcome::Stopped]);
    for trial in [2, 3, 5] {
        assert!(
            read(&log(study, trial)).contains("saved\n"),
            "trial {trial} was asked to stop and saved"
        );
    }
    assert_eq!(
        arrays(study).len(),
        2,
        "only the trial whose worker was killed was submitted again"
    );
    println!(
        "7 jobs: 1 killed, 2 requeued, 1 stopped, 1 failing; 2 drivers; {:.0?}",
        start.elapsed()
    );
}

#[test]
fn a_task_longer_than_its_time_limit_goes_on_until_it_is_complete() {
    if !cluster() {
        return;
    }
    let start = Instant::now();
    let study = tempfile::tempdir().unwrap();
    let config = Slurm {
        time: Some("1".into()),
        save_time: 20,
        poll: 0.5,
        ..Slurm::default()
    };
    let mut pool = Executor::Slurm(config).open(study.path()).unwrap();
    pool.submit(vec![job(study.path(), 0, 350)]).unwrap();
    let mut ended = Vec::new();
    drive(study.path(), &mut *pool, &mut ended, |_, ended| {
        !ended.is_empty()
    });
    assert_eq!(ended, [(0, Outcome::Finished)]);
    let (numbers, processes) = made(study.path(), 0);
    assert_eq!(numbers, (1..=350).collect::<Vec<_>>());
    assert!(processes.len() >= 2, "it reached its limit");
    println!(
        "70 s of steps under a limit of 60 s: {} starts, {:.0?}",
        processes.len(),
        start.elapsed()
    );
}

#[test]
fn slurm_says_why_it_refuses() {
    if !cluster() {
        return;
    }
    let study = tempfile::tempdir().unwrap();
    let refused = |slurm: Slurm| {
        let mut pool = Executor::Slurm(slurm).open(study.path()).unwrap();
        let error = pool
            .submit(vec![job(study.path(), 0, 1)])
            .unwrap_err()
            .to_string();
        assert!(pool.states().is_empty());
        println!("{error}");
        error
    };
    let partition = refused(Slurm {
        partition: Some("nope".into()),
        ..Slurm::default()
    });
    assert!(
        partition.contains("Set executor.slurm.partition"),
        "{partition}"
    );
    let resource = refused(Slurm {
        gres: Some("gpu:1".into()),
        ..Slurm::default()
    });
    assert!(resource.contains("Set executor.slurm.gres"), "{resource}");
}
