//! `calvaria sweep` as a user sees it: failing trials, kills, another definition, looking on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use regex::Regex;

use crate::common::{TPE, amount, calvaria, sweep_table, sweep_workplace};

fn sweep(folder: &Path, more: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .args(["sweep", "search.yaml"])
        .args(more)
        .assert()
}

const GRID: &str = "\
experiment: toy.yaml
space:
  train.batch_size: {choice: [2, 1]}
  optimizer.adam.learning_rate: {choice: [0.01, 1.0e+30]}
sampler: grid
objective: {metric: validation_iou, goal: maximize}
executor: {local: {workers: 1, devices: [cpu]}}
";

#[test]
fn files_of_another_origin_are_left_alone() {
    let folder = sweep_workplace(TPE);
    let table = folder.path().join("results/search/sweep.csv");
    std::fs::create_dir_all(table.parent().unwrap()).unwrap();
    std::fs::write(&table, "mine").unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["sweep", "search.yaml"])
        .assert()
        .code(2)
        .stderr(contains("sweep.csv exists"));
    assert_eq!(std::fs::read(&table).unwrap(), b"mine");
}

#[test]
fn a_trial_that_fails_is_recorded_and_the_sweep_goes_on() {
    let folder = sweep_workplace(GRID);
    sweep(folder.path(), &[])
        .success()
        .stdout(contains("4 trials: 2 finished, 0 pruned, 2 failed"))
        .stderr(contains("the loss is NaN"));
    let rows = sweep_table(folder.path(), "results");
    assert_eq!(rows.len(), 4);
    let failed = rows
        .values()
        .filter(|row| row.contains(&("status".into(), "failed".into())));
    for row in failed {
        let rate = row.iter().find(|(name, _)| name.ends_with("rate")).unwrap();
        assert_eq!(rate.1.parse(), Ok(1.0e30), "{row:?}");
    }
    let home = folder.path().join("results/search");
    for file in [
        "report.html",
        "plots/history.svg",
        "plots/parallel.png",
        "plots/slice-0.png",
        "log.txt",
    ] {
        assert!(home.join(file).is_file(), "{file} is missing");
    }
    // A finished sweep has nothing to do; looking on needs no lock.
    sweep(folder.path(), &[]).success();
    calvaria()
        .current_dir(folder.path())
        .args(["sweep", "status", "results/search"])
        .assert()
        .success()
        .stdout(
            contains("2 failed")
                .and(contains("Used: 4 trials begun"))
                .and(contains("2 of 10 failures"))
                .and(contains("8 finished trials are needed, and there are 2"))
                .and(contains("rank").not()),
        );
    let html = fs::read_to_string(home.join("report.html")).unwrap();
    assert!(html.contains("<summary>error: the loss is NaN"));
    for (trial, row) in &rows {
        let log = format!("href=\"logs/trial-000{trial}-seed-7.log\"");
        assert!(html.contains(&log), "{log} is missing");
        let report = format!("href=\"trial-000{trial}/seed-7/report.html\"");
        let finished = row.contains(&("status".into(), "finished".into()));
        assert_eq!(html.contains(&report), finished, "{report}");
    }
    // A trial is an ordinary run, which can be done again alone.
    let trial = rows.values().find(|row| row[0].1 == "1").unwrap()[1]
        .1
        .clone();
    let config = format!("results/search/trial-000{trial}/seed-7/config.yaml");
    calvaria()
        .current_dir(folder.path())
        .args([
            "run",
            &config,
            "--results",
            "alone",
            "--device",
            "cpu",
            "-q",
        ])
        .assert()
        .success();
}

#[test]
fn too_many_failures_stop_it() {
    let folder = sweep_workplace(&format!("{GRID}budget: {{failures: 1}}\n"));
    sweep(folder.path(), &[])
        .code(1)
        .stdout(contains("1 finished, 0 pruned, 1 failed"))
        .stderr(contains("1 trials failed").and(contains("--retry-failed")));
}

#[test]
fn failed_trials_run_again_when_asked() {
    let folder = sweep_workplace(
        "experiment: toy.yaml\nspace: {loss: {choice: [dice]}}\nsampler: grid\n\
         executor: {local: {devices: [cpu]}}\n",
    );
    // A file stands where the trial's folder is to be.
    let home = folder.path().join("results/search");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("trial-0000"), "").unwrap();
    sweep(folder.path(), &[])
        .code(1)
        .stdout(contains("1 failed"))
        .stderr(contains("no trial finished"));
    fs::remove_file(home.join("trial-0000")).unwrap();
    sweep(folder.path(), &[])
        .code(1)
        .stdout(contains("1 failed"));
    sweep(folder.path(), &["--retry-failed"])
        .success()
        .stdout(contains("1 trials: 1 finished, 0 pruned, 0 failed"));
    assert_eq!(sweep_table(folder.path(), "results").len(), 1);
}

#[test]
fn values_that_no_trial_can_run_with_are_refused_before_any_runs() {
    let folder = sweep_workplace(
        &GRID
            .replace("[2, 1]", "[2, 0]")
            .replace("space:", "space:\n  loss: {choice: [dice, dise]}"),
    );
    sweep(folder.path(), &[]).code(2).stderr(
        contains("train.batch_size=0")
            .and(contains("at least 1"))
            .and(contains("loss=dise").and(contains("`dice`"))),
    );
    assert!(!folder.path().join("results").exists());
    // What is wrong beside some values alone is left to the trials.
    let mixed = GRID.replace("space:", "space:\n  augment: {choice: [[mixup], [flip]]}");
    fs::write(folder.path().join("search.yaml"), mixed).unwrap();
    sweep(folder.path(), &["--dry-run"]).success();
}

/// A sweep at work, once its record contains `word`.
fn at_work(folder: &Path, results: &str, word: &str) -> std::process::Child {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
        .current_dir(folder)
        .args(["sweep", "search.yaml", "--results", results])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let record = folder.join(results).join("search/study.jsonl");
    while !fs::read_to_string(&record).is_ok_and(|text| text.contains(word)) {
        assert!(child.try_wait().unwrap().is_none(), "ended too soon");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn terminate(pid: u32) {
    let signalled = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status();
    assert!(signalled.unwrap().success());
}

#[test]
fn editing_the_experiment_while_the_sweep_runs_changes_no_trial() {
    let folder = sweep_workplace(&GRID.replace("1.0e+30", "0.02"));
    let child = at_work(folder.path(), "results", "\"event\":\"started\"");
    let file = folder.path().join("toy.yaml");
    let edited = fs::read_to_string(&file)
        .unwrap()
        .replace("epochs: 3", "epochs: 2");
    fs::write(&file, edited).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    for trial in 0..4 {
        let config = format!("results/search/trial-{trial:04}/seed-7/config.yaml");
        let config = fs::read_to_string(folder.path().join(config)).unwrap();
        assert!(config.contains("epochs: 3"), "{config}");
    }
    sweep(folder.path(), &[])
        .code(2)
        .stderr(contains("experiment.train.epochs was 3, is 2"));
}

#[test]
fn a_folder_without_a_sweep_is_told_of_with_those_that_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("results/search");
    fs::create_dir_all(&home).unwrap();
    let status = |of: &str| {
        let mut program = calvaria();
        program
            .current_dir(folder.path())
            .args(["sweep", "status", of]);
        program.assert().code(2)
    };
    for nothing in ["none", "results", "results/search"] {
        status(nothing).stderr(
            contains(format!(
                "{nothing} holds no sweep: there is no study.jsonl in it"
            ))
            .and(contains("such as results/sweep-loss")),
        );
    }
    fs::write(home.join("study.jsonl"), "").unwrap();
    status("results/search").stderr(contains("holds no sweep").and(contains("damaged").not()));
    status("results").stderr(contains("Give one of those in it: results/search."));
}

#[test]
fn a_sweep_killed_again_and_again_ends_like_one_that_was_not() {
    let folder = sweep_workplace(TPE);
    let start = SystemTime::now();
    sweep(folder.path(), &["--results", "whole"]).success();
    let takes = start.elapsed().unwrap();
    let mut kept: BTreeMap<String, SystemTime> = BTreeMap::new();
    for _ in 0..amount(2, 4) {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
            .current_dir(folder.path())
            .args(["sweep", "search.yaml", "--results", "cut"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(takes.mul_f64(0.3));
        child.kill().unwrap();
        child.wait().unwrap();
        // Workers are asked to end with it.
        std::thread::sleep(Duration::from_millis(500));
        for trial in 0..8 {
            for seed in [1, 2] {
                let run = format!("cut/search/trial-{trial:04}/seed-{seed}/summary.json");
                let written =
                    fs::metadata(folder.path().join(&run)).and_then(|data| data.modified());
                if let Ok(written) = written {
                    let before = kept.insert(run.clone(), written);
                    assert!(
                        before.is_none_or(|before| before == written),
                        "{run} ran again"
                    );
                }
            }
        }
    }
    assert!(!kept.is_empty());
    sweep(folder.path(), &["--results", "cut"]).success();
    assert_eq!(
        sweep_table(folder.path(), "whole"),
        sweep_table(folder.path(), "cut")
    );
}

/// The process of the worker that runs this job.
fn worker(home: &Path, job: &str) -> u32 {
    let note = fs::read(home.join(format!("local/{job}.json"))).unwrap();
    let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
    note["pid"].as_u64().unwrap().try_into().unwrap()
}

/// As when a terminal, a container or a batch system ends the whole tree of processes.
#[test]
fn a_signal_to_worker_and_sweep_fails_no_trial() {
    let text = TPE
        .replace("trials: 8", "trials: 2")
        .replace("space:", "set: {train.epochs: 30}\nspace:");
    let folder = sweep_workplace(&text);
    sweep(folder.path(), &["--results", "whole"]).success();
    let child = at_work(folder.path(), "cut", "\"event\":\"epoch\"");
    let home = folder.path().join("cut/search");
    terminate(worker(&home, "trial-0000/seed-1"));
    let record = || fs::read_to_string(home.join("study.jsonl")).unwrap();
    while !record().contains("requeued") {
        assert!(!record().contains("\"event\":\"failed\""), "{}", record());
        std::thread::sleep(Duration::from_millis(10));
    }
    terminate(child.id());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(!record().contains("\"event\":\"failed\""), "{}", record());
    sweep(folder.path(), &["--results", "cut"]).success();
    assert_eq!(
        sweep_table(folder.path(), "whole"),
        sweep_table(folder.path(), "cut")
    );
}

#[test]
fn sigterm_stops_it_and_another_definition_is_refused() {
    let folder = sweep_workplace(TPE);
    let mut child = at_work(folder.path(), "results", "\"event\":\"epoch\"");
    let seen = Regex::new(
        r"\ntrial-\d{4} unfinished: epoch \d+, validation_iou_soft \d\.\d{4}\n  trial-\d{4}/seed-\d {11}running on process \d+\n",
    );
    let seen = seen.unwrap();
    let status = || {
        let mut program = calvaria();
        program.args(["sweep", "status", "results/search"]);
        let output = program.current_dir(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    // Between two runs nothing is at work.
    while !seen.is_match(&status()) {
        assert!(child.try_wait().unwrap().is_none(), "{}", status());
    }
    terminate(child.id());
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{message}");
    assert!(message.contains("The same command resumes"), "{message}");
    let other = TPE.replace("[0.5, 4.0]", "[0.5, 5.0]");
    fs::write(folder.path().join("search.yaml"), other).unwrap();
    sweep(folder.path(), &[])
        .code(2)
        .stderr(contains("another definition").and(contains("loss.focal.gamma")));
    let longer = TPE.replace("trials: 8", "trials: 2");
    fs::write(folder.path().join("search.yaml"), longer).unwrap();
    sweep(folder.path(), &[]).success();
}

#[test]
fn what_would_be_done_is_shown() {
    let folder = sweep_workplace(&TPE.replace(
        "local: {workers: 1, devices: [cpu]}",
        "slurm: {partition: gpu, time: '2:00:00', gres: 'gpu:1'}",
    ));
    sweep(folder.path(), &["--dry-run"]).success().stdout(
        contains("#SBATCH")
            .and(contains("--partition=gpu"))
            .and(contains("results/search/experiment.yaml"))
            .and(contains("name=trial-0000")),
    );
    assert!(!folder.path().join("results").exists());
    let folder = sweep_workplace(&TPE.replace("choice", "chioce"));
    sweep(folder.path(), &[])
        .code(2)
        .stderr(contains("search.yaml").and(contains("choice")));
}

/// `sbatch` and `squeue` as far as a sweep needs them: each submission is a line of `calls`, and its tasks
/// wait in `queue`.
const SBATCH: &str = r#"#!/bin/bash
here=$(cd "$(dirname "$0")" && pwd)
echo "$*" >>"$here/calls"
name=$(sed -n 's/^#SBATCH --job-name=//p' "$2")
job=$((100 + $(wc -l <"$here/calls")))
for task in 0 1; do echo "$job|$task|PENDING||$name|Priority" >>"$here/queue"; done
echo "$job"
"#;
const SQUEUE: &str = "#!/bin/bash\ncat \"$(dirname \"$0\")/queue\" 2>/dev/null || true\n";

#[test]
fn what_a_cluster_ended_while_nobody_watched_is_not_run_again() {
    for objective in ["validation_iou", "iou_soft"] {
        ended_by_a_cluster(objective);
    }
}

fn ended_by_a_cluster(objective: &str) {
    let folder = sweep_workplace(&format!(
        "experiment: toy.yaml\nspace: {{loss: {{choice: [dice, bce]}}}}\nsampler: grid\n\
         seeds: [1, 2]\nparallelism: 2\nobjective: {objective}\n\
         executor: {{slurm: {{bin: bin, poll: 0.1, detach: true, device: cpu}}}}\n",
    ));
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, text) in [("sbatch", SBATCH), ("squeue", SQUEUE)] {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let text = fs::read_to_string(folder.path().join("search.yaml")).unwrap();
    let text = text.replace("bin: bin", &format!("bin: {}", bin.display()));
    fs::write(folder.path().join("search.yaml"), text).unwrap();
    let submissions = || fs::read_to_string(bin.join("calls")).unwrap_or_default();
    let mut child = at_work(folder.path(), "results", "\"trial\":1,\"attempt\":1");
    let slurm = folder.path().join("results/search/slurm");
    let jobs = slurm.join("jobs.jsonl");
    while fs::read_to_string(&jobs)
        .unwrap_or_default()
        .matches("\"submitted\"")
        .count()
        < 2
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for array in [1, 2] {
        for task in [0, 1] {
            let ended = Command::new("bash")
                .arg(format!("array-{array:04}.sh"))
                .current_dir(&slurm)
                .env("SLURM_ARRAY_TASK_ID", task.to_string())
                .env("SLURM_ARRAY_JOB_ID", (100 + array).to_string())
                .env("SLURM_JOB_ID", (100 + 10 * array + task).to_string())
                .output()
                .unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
    }
    fs::write(bin.join("queue"), "").unwrap();
    sweep(folder.path(), &[])
        .success()
        .stdout(contains("2 trials: 2 finished"));
    assert_eq!(submissions().lines().count(), 2, "{}", submissions());
}
