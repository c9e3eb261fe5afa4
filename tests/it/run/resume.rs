//! Runs that are killed, stopped, out of disk space or made longer reach the same results as undisturbed ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use calvaria::layout::RunFolder;
use predicates::str::contains;
use rand::RngExt;

use crate::common::{amount, calvaria, toy_workplace};

/// Everything that draws random numbers or keeps a state between steps.
const EVERYTHING: &str = "\
extends: toy.yaml
name: everything
augment: [flip, {noise: {p: 1.0}}, {affine: {p: 0.5}}, {mixup: {p: 0.5}}]
model: {unet: {filters: 2, levels: 2, dropout: 0.2, norm: batch}}
optimizer: {adamw: {learning_rate: 0.01}}
schedule: cosine
train: {epochs: 6, ema: 0.9, warmup: 0.1}
validate: {metrics: [sm_iou]}
";

/// What must be the same to the byte, by file; of the history all but the seconds.
fn outcome(run: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let files = [
        "config.yaml",
        "split.json",
        "cases.csv",
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
    ];
    let mut outcome: BTreeMap<_, _> = files
        .iter()
        .map(|name| (*name, fs::read(run.join(name)).unwrap()))
        .collect();
    let mut history = RunFolder::new(run).read_metrics().unwrap();
    history.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    outcome.insert("metrics.csv", format!("{history:?}").into_bytes());
    outcome
}

fn assert_same(
    whole: &BTreeMap<&'static str, Vec<u8>>,
    other: &BTreeMap<&'static str, Vec<u8>>,
    how: &str,
) {
    for (name, bytes) in whole {
        assert!(bytes == &other[name], "{name} differs {how}");
    }
}

fn command(folder: &Path, results: &str, more: &[&str], threads: usize) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("calvaria"));
    command
        .current_dir(folder)
        .args(["run", "--device", "cpu", "--results", results])
        .args(more)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Waits until `run` has saved an epoch.
fn wait_for_an_epoch(child: &mut Child, run: &Path) {
    let state = run.join("checkpoints/last.state");
    while !state.exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended too soon");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_run_killed_anywhere_ends_the_same_with_any_number_of_threads_and_workers() {
    let folder = toy_workplace(5);
    fs::write(folder.path().join("everything.yaml"), EVERYTHING).unwrap();
    let start = Instant::now();
    let run = |results: &str, workers: &str, threads: usize| {
        let more = ["everything.yaml", "--set", workers];
        command(folder.path(), results, &more, threads)
    };
    let ended = run("whole", "train.workers=1", 1).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let whole_takes = start.elapsed();
    let of = |results: &str| folder.path().join(results).join("everything/seed-7");
    let mut whole = outcome(&of("whole"));
    // The number of workers is part of the settings, not of the outcome.
    whole.remove("config.yaml");
    let mut rng = rand::rng();
    let mut kills = 0;
    let all = [(1, 0), (2, 3), (2, 0), (2, 1), (1, 2), (1, 4), (2, 4)];
    let (pairs, times) = amount((2, 1), (all.len(), 4));
    for (threads, workers) in all.into_iter().take(pairs) {
        let results = format!("cut-{threads}-{workers}");
        let setting = format!("train.workers={workers}");
        for _ in 0..times {
            let mut child = run(&results, &setting, threads).spawn().unwrap();
            std::thread::sleep(whole_takes.mul_f64(rng.random_range(0.05..0.6)));
            child.kill().unwrap();
            let left = child.wait().unwrap();
            kills += usize::from(!left.success());
        }
        let ended = run(&results, &setting, threads).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let how = format!("with {threads} threads and {workers} workers, killed and resumed");
        assert_same(&whole, &outcome(&of(&results)), &how);
    }
    let least = amount(1, 7);
    assert!(
        kills >= least,
        "only {kills} of {} runs were killed at work",
        pairs * times
    );
}

#[test]
fn sigterm_saves_and_says_how_to_go_on() {
    let folder = toy_workplace(4);
    let run = |results: &str| {
        command(
            folder.path(),
            results,
            &["toy.yaml", "--set", "train.epochs=40"],
            2,
        )
    };
    let of = |results: &str| folder.path().join(results).join("toy/seed-7");
    assert!(run("whole").output().unwrap().status.success());
    for name in ["TERM", "INT"] {
        let mut child = run(name).spawn().unwrap();
        wait_for_an_epoch(&mut child, &of(name));
        signal(&child, name);
        let ended = child.wait_with_output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{message}");
        assert!(message.contains("The same command resumes"), "{message}");
        let epochs = RunFolder::new(of(name)).read_metrics().unwrap().len();
        assert!(
            message.contains(&format!("stopped after epoch {epochs}")),
            "{message}"
        );
        let ended = run(name).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert_same(&outcome(&of("whole")), &outcome(&of(name)), name);
    }
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let folder = toy_workplace(4);
    let run = |results: &str, more: &[&str]| {
        let mut command = calvaria();
        command.current_dir(folder.path()).args([
            "run",
            "toy.yaml",
            "--device",
            "cpu",
            "--results",
            results,
        ]);
        for option in more {
            command.args(["--set", option]);
        }
        command.assert()
    };
    let of = |results: &str| folder.path().join(results).join("toy/seed-7");
    for schedule in [
        "schedule=constant",
        "schedule={step: {epochs: 2}}",
        "schedule=plateau",
    ] {
        run("whole", &["train.epochs=6", schedule]).success();
        run("longer", &["train.epochs=3", schedule]).success();
        let first = RunFolder::new(of("longer")).read_metrics().unwrap();
        run("longer", &["train.epochs=6", schedule]).success();
        let history = RunFolder::new(of("longer")).read_metrics().unwrap();
        assert_eq!(history[..3], first[..], "what was trained stays");
        assert_same(&outcome(&of("whole")), &outcome(&of("longer")), schedule);
        run("longer", &["train.epochs=5", schedule])
            .code(2)
            .stderr(contains("this experiment has only 5"));
        for results in ["whole", "longer"] {
            fs::remove_dir_all(folder.path().join(results)).unwrap();
        }
    }
    for options in [
        ["schedule=cosine", "seed=7"],
        ["schedule=constant", "train.warmup=0.2"],
    ] {
        run("jump", &options).success();
        let more = [options[0], options[1], "train.epochs=6"];
        run("jump", &more)
            .code(2)
            .stderr(contains("the learning rate would jump"));
        assert_eq!(RunFolder::new(of("jump")).read_metrics().unwrap().len(), 3);
        fs::remove_dir_all(folder.path().join("jump")).unwrap();
    }
}

/// Where files may not grow beyond some size, as on a full disk.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_the_current_epoch_and_no_more() {
    let folder = toy_workplace(4);
    let more = ["toy.yaml", "--set", "train.epochs=6"];
    let of = |results: &str| folder.path().join(results).join("toy/seed-7");
    let ended = command(folder.path(), "whole", &more, 2).output().unwrap();
    assert!(ended.status.success());
    let mut child = command(folder.path(), "full", &more, 2).spawn().unwrap();
    wait_for_an_epoch(&mut child, &of("full"));
    child.kill().unwrap();
    child.wait().unwrap();
    let saved = RunFolder::new(of("full"))
        .read_metrics()
        .map_or(0, |epochs| epochs.len());
    // The shell's blocks are of 1024 bytes; the state needs more than one, and the signal that
    // would end the program is ignored, as a full disk sends none.
    let program = assert_cmd::cargo::cargo_bin("calvaria");
    let line = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} run {} --device cpu --results full",
        program.display(),
        more.map(|word| format!("'{word}'")).join(" ")
    );
    let ended = Command::new("bash")
        .current_dir(folder.path())
        .args(["-c", &line])
        .output()
        .unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{message}");
    assert!(message.contains("could not be saved"), "{message}");
    assert!(
        message.contains("disk is not full") && message.contains("the same command resumes"),
        "{message}"
    );
    assert!(!message.contains("panicked"), "{message}");
    let left = RunFolder::new(of("full"))
        .read_metrics()
        .map_or(0, |epochs| epochs.len());
    assert!(left >= saved, "{left} of {saved} epochs are left");
    let ended = command(folder.path(), "full", &more, 2).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_same(
        &outcome(&of("whole")),
        &outcome(&of("full")),
        "after the disk was full",
    );
}

#[test]
fn a_folder_that_vanishes_costs_the_current_epoch_and_no_more() {
    let folder = toy_workplace(4);
    let more = ["toy.yaml", "--set", "train.epochs=60"];
    let of = |results: &str| folder.path().join(results).join("toy/seed-7");
    let mut child = command(folder.path(), "lost", &more, 2).spawn().unwrap();
    wait_for_an_epoch(&mut child, &of("lost"));
    let (checkpoints, aside) = (of("lost").join("checkpoints"), folder.path().join("aside"));
    fs::rename(&checkpoints, &aside).unwrap();
    fs::write(&checkpoints, "no folder").unwrap();
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{message}");
    assert!(
        message.contains("could not be saved") && message.contains("checkpoints"),
        "{message}"
    );
    fs::remove_file(&checkpoints).unwrap();
    fs::rename(&aside, &checkpoints).unwrap();
    let ended = command(folder.path(), "lost", &more, 2).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let ended = command(folder.path(), "whole", &more, 2).output().unwrap();
    assert!(ended.status.success());
    assert_same(
        &outcome(&of("whole")),
        &outcome(&of("lost")),
        "after its folder was away",
    );
}
