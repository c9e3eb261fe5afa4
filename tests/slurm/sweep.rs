//! A sweep whose runs are jobs of a cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{TPE, calvaria, sweep_table, sweep_workplace};
use crate::{cluster, slurm};

/// How the names of the sweep's jobs begin. All tests share the cluster.
const SWEEP: &str = "search-";

/// The sweep's tasks, as Slurm names them, whose lines in the queue contain `word`.
fn tasks(word: &str) -> Vec<String> {
    let queue = slurm(
        "squeue",
        &[
            "--me",
            "--array",
            "--noheader",
            "--Format=JobArrayID:24,StateCompact:8,Reason:24,Name:64",
        ],
    );
    let own = queue.lines().filter(|line| line.contains(SWEEP));
    let lines = own.filter(|line| line.contains(word));
    let first = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    lines.map(first).collect()
}

/// The epochs of a trial's first run, without the time that they took.
fn epochs(home: &Path) -> Vec<Vec<String>> {
    let mut table = csv::Reader::from_path(home.join("seed-1/metrics.csv")).unwrap();
    let width = table.headers().unwrap().len() - 1;
    let cells = |row: csv::StringRecord| row.iter().take(width).map(str::to_owned).collect();
    table.records().map(|row| cells(row.unwrap())).collect()
}

/// How many sessions a trial's first run took.
fn sessions(home: &Path) -> usize {
    let record = fs::read(home.join("seed-1/environment.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    record["sessions"].as_array().unwrap().len()
}

/// On a real cluster, which `tests/slurm/run.sh` starts: one run is killed, another put back into the
/// queue in the middle, as Slurm does with those that reach their time limit.
#[test]
fn slurm_runs_a_sweep_to_its_end() {
    if !cluster() {
        return;
    }
    let text = TPE
        .replace("local: {workers: 1, devices: [cpu]}", "slurm: {cpus: 1}")
        .replace("trials: 8", "trials: 4")
        .replace("pruner: {median: {startup: 2, warmup: 0}}", "pruner: none")
        .replace(
            "experiment: toy.yaml",
            "experiment: toy.yaml\nset: {train.epochs: 60}\nparallelism: 2",
        )
        .replace("seeds: [1, 2]", "seeds: [1]");
    let folder = sweep_workplace(&text);
    let home = folder.path().join("results/search");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
        .current_dir(folder.path())
        .args(["sweep", "search.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = |trial: &str| {
        home.join(trial)
            .join("seed-1/checkpoints/last.state")
            .exists()
    };
    while !(begun("trial-0000") && begun("trial-0001")) {
        assert!(child.try_wait().unwrap().is_none(), "the sweep is at work");
        std::thread::sleep(Duration::from_millis(20));
    }
    let running = tasks(" R ");
    let requeued = running.last().expect("two runs are at work");
    slurm("scontrol", &["requeue", requeued]);
    slurm(
        "pkill",
        &["-KILL", "-f", "run .*experiment.yaml .*name=trial-0000"],
    );
    // Slurm lets a task wait for two minutes after a requeue; here a few seconds do.
    let mut hastened = 0;
    while child.try_wait().unwrap().is_none() {
        for task in tasks("BeginTime") {
            slurm(
                "scontrol",
                &["update", &format!("JobId={task}"), "StartTime=now+3"],
            );
            hastened += 1;
        }
        std::thread::sleep(Duration::from_secs(5));
    }
    assert!(hastened > 0, "a task was put back into the queue");
    let ended = child.wait_with_output().unwrap();
    let message =
        String::from_utf8(ended.stderr).unwrap() + &String::from_utf8(ended.stdout).unwrap();
    println!("{message}");
    assert!(ended.status.success(), "{message}");
    assert!(
        message.contains("4 trials") && message.contains("0 unfinished"),
        "{message}"
    );
    assert!(message.contains("signal 9"), "{message}");
    let rows = sweep_table(folder.path(), "results");
    let failed = rows
        .values()
        .filter(|row| row.contains(&("status".into(), "failed".into())));
    assert_eq!(failed.count(), 1, "the one whose run was killed: {rows:?}");

    // The requeued run resumed where it stopped, with the same result as an undisturbed one.
    let resumed = home.join("trial-0001");
    assert_eq!(sessions(&resumed), 2);
    let config = resumed.join("seed-1/config.yaml");
    calvaria()
        .current_dir(folder.path())
        .arg("run")
        .arg(&config)
        .args(["--device", "cpu", "--results", "alone", "-q"])
        .assert()
        .success();
    assert_eq!(
        epochs(&resumed),
        epochs(&folder.path().join("alone/trial-0001"))
    );
}
