//! `calvaria sweep` as a user sees it: failing trials, kills, another definition, looking on.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use assert_cmd::assert::Assert;
use common::{calvaria, toy_workplace};
use predicates::prelude::*;
use predicates::str::{contains, is_match};

fn workplace(sweep: &str) -> tempfile::TempDir {
    let folder = toy_workplace(4);
    fs::write(folder.path().join("search.yaml"), sweep).unwrap();
    folder
}

fn sweep(folder: &Path, more: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .args(["sweep", "search.yaml"])
        .args(more)
        .assert()
}

/// The rows of `sweep.csv` by trial, without how often each was begun.
fn table(folder: &Path, results: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let path = folder.join(results).join("search/sweep.csv");
    let mut table = csv::Reader::from_path(path).unwrap();
    let header = table.headers().unwrap().clone();
    let rows = table.records().map(|row| {
        let row = row.unwrap();
        let cells = header.iter().zip(&row);
        let cells = cells.filter(|(name, _)| *name != "attempts");
        let cells: Vec<(String, String)> = cells
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        (row[1].to_owned(), cells)
    });
    rows.collect()
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
fn a_trial_that_fails_is_recorded_and_the_sweep_goes_on() {
    let folder = workplace(GRID);
    sweep(folder.path(), &[])
        .success()
        .stdout(contains("4 trials: 2 finished, 0 pruned, 2 failed"))
        .stderr(contains("the loss is NaN"));
    let rows = table(folder.path(), "results");
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
    let folder = workplace(&format!("{GRID}budget: {{failures: 1}}\n"));
    sweep(folder.path(), &[])
        .code(1)
        .stdout(contains("1 finished, 0 pruned, 1 failed"))
        .stderr(contains("1 trials failed").and(contains("--retry-failed")));
}

#[test]
fn failed_trials_run_again_when_asked() {
    let folder = workplace(
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
    assert_eq!(table(folder.path(), "results").len(), 1);
}

#[test]
fn values_that_no_trial_can_run_with_are_refused_before_any_runs() {
    let folder = workplace(
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

/// A sweep at work, once its record says `word`.
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
    let told = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status();
    assert!(told.unwrap().success());
}

#[test]
fn editing_the_experiment_while_the_sweep_runs_changes_no_trial() {
    let folder = workplace(&GRID.replace("1.0e+30", "0.02"));
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

const TPE: &str = "\
experiment: toy.yaml
seeds: [1, 2]
space:
  loss: {choice: [dice, bce, focal]}
  loss.focal.gamma: {uniform: [0.5, 4.0], when: {loss: focal}}
  optimizer.adam.learning_rate: {log_uniform: [1.0e-3, 3.0e-2]}
sampler: {tpe: {startup: 4}}
pruner: {median: {startup: 2, warmup: 0}}
objective: {metric: validation_iou_soft, goal: maximize}
budget: {trials: 8}
executor: {local: {workers: 1, devices: [cpu]}}
";

#[test]
fn a_sweep_killed_again_and_again_ends_like_one_that_was_not() {
    let folder = workplace(TPE);
    let start = SystemTime::now();
    sweep(folder.path(), &["--results", "whole"]).success();
    let takes = start.elapsed().unwrap();
    let mut kept: BTreeMap<String, SystemTime> = BTreeMap::new();
    for _ in 0..4 {
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
        // Workers are told to end with it.
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
    assert_eq!(table(folder.path(), "whole"), table(folder.path(), "cut"));
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
    let folder = workplace(&text);
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
    assert_eq!(table(folder.path(), "whole"), table(folder.path(), "cut"));
}

#[test]
fn sigterm_stops_it_and_another_definition_is_refused() {
    let folder = workplace(TPE);
    let mut child = at_work(folder.path(), "results", "\"event\":\"epoch\"");
    let seen = is_match(
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
    while !seen.eval(status().as_str()) {
        assert!(child.try_wait().unwrap().is_none(), "{}", status());
    }
    terminate(child.id());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("The same command continues it"), "{said}");
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
    let folder = workplace(&TPE.replace(
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
    let folder = workplace(&TPE.replace("choice", "chioce"));
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
    let folder = workplace(
        "experiment: toy.yaml\nspace: {loss: {choice: [dice, bce]}}\nsampler: grid\n\
         seeds: [1, 2]\nparallelism: 2\n\
         executor: {slurm: {bin: bin, poll: 0.1, detach: true, device: cpu}}\n",
    );
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

/// What Slurm's `program` prints.
fn slurm(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The tasks, as Slurm names them, whose lines in the queue contain `word`.
fn tasks(word: &str) -> Vec<String> {
    let queue = slurm(
        "squeue",
        &[
            "--me",
            "--array",
            "--noheader",
            "--Format=JobArrayID:24,StateCompact:8,Reason:24",
        ],
    );
    let lines = queue.lines().filter(|line| line.contains(word));
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
    if std::env::var("CALVARIA_SLURM").as_deref() != Ok("1") {
        eprintln!(
            "not run: CALVARIA_SLURM is not 1; tests/slurm/run.sh starts a cluster and sets it"
        );
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
    let folder = workplace(&text);
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
    let said = String::from_utf8(ended.stderr).unwrap() + &String::from_utf8(ended.stdout).unwrap();
    println!("{said}");
    assert!(ended.status.success(), "{said}");
    assert!(
        said.contains("4 trials") && said.contains("0 unfinished"),
        "{said}"
    );
    assert!(said.contains("signal 9"), "{said}");
    let rows = table(folder.path(), "results");
    let failed = rows
        .values()
        .filter(|row| row.contains(&("status".into(), "failed".into())));
    assert_eq!(failed.count(), 1, "the one whose run was killed: {rows:?}");

    // The one that was put back went on where it was, and came to what it comes to alone.
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
